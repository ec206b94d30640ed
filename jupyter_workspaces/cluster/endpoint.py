"""Which Kubernetes API to talk to, and with what credentials.

The order is: an explicit setting, `KUBECONFIG`, the pod's service account, the embedded cluster. `~/.kube/config` may be
production: it is offered by name, never used unasked.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoEndpoint(Exception):
    """A setting names a cluster that cannot be found. The text says which setting and what to do."""


async def _no_token() -> str | None:
    return None


@dataclass(frozen=True)
class Endpoint:
    """An API server: where it is, how to trust it, how to sign in. `name` is for people (“local cluster”, a context's name)."""

    url: str
    name: str
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    token: Callable[[], Awaitable[str | None]] = field(default=_no_token, repr=False)
    namespace: str = "default"
    embedded: bool = False
    in_cluster: bool = False

    async def headers(self) -> dict[str, str]:
        """The credential for one request, fresh where tokens expire."""
        token = await self.token()
        return {"Authorization": f"Bearer {token}"} if token else {}


def from_embedded(kubeconfig: Path) -> Endpoint:
    """The embedded cluster by the kubeconfig that it wrote: one cluster with inline CA data, one user with a token. Raises `NoEndpoint`."""
    import base64

    try:
        document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        bearer: str = user["token"]
        url: str = cluster["server"]
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise NoEndpoint(f"The local cluster's kubeconfig {kubeconfig} cannot be read: {error}") from error

    async def token() -> str | None:
        return bearer

    return Endpoint(url, "local cluster", ssl.create_default_context(cadata=authority), token, embedded=True)


def from_kubeconfig(path: Path, context: str | None = None) -> Endpoint:
    """A context of a kubeconfig, with its exec plugins and token refresh, by the official client. Raises `NoEndpoint`."""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_kube_config(config_file=str(path), context=context, client_configuration=configuration, persist_config=False)
        _, current = config.list_kube_config_contexts(config_file=str(path))
        contexts, _ = config.list_kube_config_contexts(config_file=str(path))
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise NoEndpoint(f"{path} does not name a usable cluster: {error}") from error
    chosen = next((found for found in contexts if found["name"] == context), current)
    return _from_configuration(configuration, chosen["name"], chosen.get("context", {}).get("namespace") or "default")


def from_service_account() -> Endpoint:
    """The cluster whose pod we run in. Its token is read again each time: the kubelet rotates it."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if ":" in host:
        host = f"[{host}]"

    async def token() -> str | None:
        return (SERVICE_ACCOUNT / "token").read_text(encoding="utf-8").strip()

    namespace = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    trust = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    return Endpoint(f"https://{host}:{port}", "this cluster", trust, token, namespace, in_cluster=True)


def choose(kubeconfig: str | None, context: str | None, start_embedded: Callable[[], Path], *, embedded: bool = False) -> Endpoint:
    """The endpoint by the order above. `start_embedded` starts or finds the embedded cluster and gives its kubeconfig; it may block
    for seconds, so call this off the event loop. Raises `NoEndpoint`, and what `start_embedded` raises.
    """
    if embedded:
        return from_embedded(start_embedded())
    if kubeconfig or context:
        return from_kubeconfig(Path(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config").expanduser(), context)
    if named := os.environ.get("KUBECONFIG"):
        return from_kubeconfig(Path(named).expanduser())
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").exists():
        return from_service_account()
    return from_embedded(start_embedded())


def _from_configuration(configuration: Any, name: str, namespace: str) -> Endpoint:
    trust: ssl.SSLContext | None = None
    if configuration.host.startswith("https"):
        trust = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if not configuration.verify_ssl:
            trust.check_hostname = False
            trust.verify_mode = ssl.CERT_NONE
        if configuration.cert_file:
            trust.load_cert_chain(configuration.cert_file, configuration.key_file)

    async def token() -> str | None:
        # By its settings, not by the key's name: that changed between versions of the client. Asking refreshes a token that expired.
        settings = await asyncio.to_thread(configuration.auth_settings)
        value: str | None = (settings.get("BearerToken") or {}).get("value")
        return value.removeprefix("Bearer ") if value else None

    return Endpoint(configuration.host.rstrip("/"), name, trust, token, namespace)
