"""Chooses the Kubernetes API server to use, and its credentials.

The order is: an explicit setting, `KUBECONFIG`, the pod's service account, the local cluster.
`~/.kube/config` may name a production cluster, so it is only used if a setting names a context.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

from jupyter_workspaces.common import tls

from .errors import NoEndpoint
from .kubeconfig import loading
from .kubeconfig.credentials import FileToken, StaticToken
from .kubeconfig.users import KubeconfigUser, fixed_headers, server_url
from .proxies import checked, proxy_for

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def _no_token() -> str | None:
    return None


async def _nothing_newer(used: str | None) -> bool:
    return False


@dataclass(frozen=True)
class Endpoint:
    """An API server: its URL, how to verify it, and how to authenticate.

    Attributes:
        url: base URL of the API server.
        name: name for people: "local cluster", or the name of a context.
        ssl_context: TLS settings for https URLs.
        token: returns a bearer token, or None without one.
        namespace: default namespace of the user, for users who cannot list all namespaces.
        embedded: whether this is the local cluster.
        in_cluster: whether this process runs in a pod of the cluster.
        renew: called with the token that a 401 response refused; returns whether to retry once.
        proxy: URL of an HTTP proxy.
        fixed_headers: headers of every request.
    """

    url: str
    name: str
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    token: Callable[[], Awaitable[str | None]] = field(default=_no_token, repr=False)
    namespace: str = "default"
    embedded: bool = False
    in_cluster: bool = False
    renew: Callable[[str | None], Awaitable[bool]] = field(default=_nothing_newer, repr=False)
    proxy: str | None = field(default=None, repr=False)
    fixed_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    async def headers(self) -> CIMultiDict[str]:
        """Return the credential headers of one request, with a renewed token if it has expired.

        Includes `fixed_headers` (impersonation, basic authentication); names may be repeated.

        Raises:
            Unauthorized: there is no valid credential.
        """
        token = await self.token()
        found = CIMultiDict(self.fixed_headers)
        if token:
            found["Authorization"] = f"Bearer {token}"
        return found


def from_embedded(path: Path) -> Endpoint:
    """Return the endpoint of the local cluster by the kubeconfig that it wrote.

    Raises:
        NoEndpoint: the kubeconfig cannot be read or has no token.
    """
    try:
        context = loading.load([path])
    except NoEndpoint as error:
        raise NoEndpoint(f"The local cluster cannot be used: {error}") from None
    bearer = context.user.get("token")
    if not bearer:
        raise NoEndpoint(
            f"The local cluster's kubeconfig {path} has no token. "
            "Restart the local cluster to write it again."
        )
    return Endpoint(
        context.cluster["server"],
        "local cluster",
        _trust(context),
        StaticToken(bearer).token,
        embedded=True,
    )


def from_kubeconfig(path: Path | None = None, context: str | None = None) -> Endpoint:
    """Return the endpoint of a context of a kubeconfig.

    Args:
        path: the file. None: the files that KUBECONFIG lists, or else `~/.kube/config`.
        context: name of the context. None: the current context.

    Raises:
        NoEndpoint: the kubeconfig cannot be used.
    """
    paths = [path] if path is not None else loading.default_paths()
    chosen = loading.load(paths, context)
    url = server_url(chosen)
    trust = _trust(chosen) if url.startswith("https") else None
    user = KubeconfigUser(paths, chosen, trust)
    named = chosen.cluster.get("proxy-url")
    proxy = (
        checked(named, f"proxy-url of the cluster {chosen.cluster_name}")
        if named
        else proxy_for(url)
    )
    headers = fixed_headers(chosen)
    return Endpoint(
        url,
        chosen.name,
        trust,
        user.token,
        chosen.namespace,
        renew=user.renew,
        proxy=proxy,
        fixed_headers=headers,
    )


def from_service_account() -> Endpoint:
    """Return the in-cluster endpoint. Reads its token for each request: the kubelet rotates it.

    Raises:
        NoEndpoint: the files of the service account cannot be used.
    """
    host, port = (
        os.environ["KUBERNETES_SERVICE_HOST"],
        os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
    )
    if ":" in host:
        host = f"[{host}]"
    url, credential = f"https://{host}:{port}", FileToken(SERVICE_ACCOUNT / "token")
    try:
        trust = tls.client_context((SERVICE_ACCOUNT / "ca.crt").read_bytes())
        namespace_file = SERVICE_ACCOUNT / "namespace"
        namespace = (
            namespace_file.read_text(encoding="utf-8", errors="replace").strip()
            if namespace_file.exists()
            else ""
        )
    except OSError as error:
        raise NoEndpoint(
            f"The service account's file {error.filename} cannot be read: {error.strerror}."
        ) from None
    except tls.BadCertificate as error:
        raise NoEndpoint(
            f"The service account's {SERVICE_ACCOUNT / 'ca.crt'} cannot be used: {error}."
        ) from None
    namespace = namespace or "default"
    return Endpoint(
        url,
        "this cluster",
        trust,
        credential.token,
        namespace,
        in_cluster=True,
        renew=credential.renew,
        proxy=proxy_for(url),
    )


def choose(
    path: str | None,
    context: str | None,
    start_embedded: Callable[[], Path],
    *,
    embedded: bool = False,
) -> Endpoint:
    """Return the endpoint by the order in the module's description. Call it in a thread.

    Args:
        path: kubeconfig of an explicit setting.
        context: context of an explicit setting.
        start_embedded: starts or finds the local cluster and returns its kubeconfig; may block for
            seconds. Its exceptions are passed on.
        embedded: use the local cluster, whatever the settings and the environment say.

    Raises:
        NoEndpoint: the chosen cluster cannot be used.
    """
    found = None if embedded else find(path, context)
    return found or from_embedded(start_embedded())


def find(path: str | None = None, context: str | None = None) -> Endpoint | None:
    """Return the endpoint that settings or the environment name, None if they name none.

    Raises:
        NoEndpoint: the cluster cannot be used.
    """
    if path or context or os.environ.get("KUBECONFIG"):
        return from_kubeconfig(Path(path).expanduser() if path else None, context)
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").exists():
        return from_service_account()
    return None


def _trust(context: loading.Context) -> ssl.SSLContext:
    """Return the TLS settings of a context. Raises `NoEndpoint`."""
    cluster: Mapping[str, Any] = context.cluster
    data, file = cluster.get("certificate-authority-data"), cluster.get("certificate-authority")
    insecure = cluster.get("insecure-skip-tls-verify", False)
    who = f"The cluster {context.cluster_name} of the kubeconfig"
    if data and file:
        raise NoEndpoint(
            f"{who} has certificate-authority and certificate-authority-data. Keep one of them."
        )
    if insecure and (data or file):
        raise NoEndpoint(
            f"{who} has a certificate authority and insecure-skip-tls-verify. Remove the latter."
        )
    try:
        authorities = data or (Path(file).read_bytes() if file else None)
        return tls.client_context(
            authorities, server_name=cluster.get("tls-server-name", ""), insecure=insecure
        )
    except OSError as error:
        raise NoEndpoint(
            f"{who} names the certificate-authority {file}, which cannot be read: {error.strerror}."
        ) from None
    except tls.BadCertificate as error:
        key = "certificate-authority-data" if data else f"certificate-authority {file}"
        raise NoEndpoint(
            f"The {key} of the cluster {context.cluster_name} cannot be used: {error}."
        ) from None
