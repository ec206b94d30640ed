"""Which Kubernetes API to talk to, and with what credentials.

The order is: an explicit setting, `KUBECONFIG`, the pod's service account, the embedded cluster. `~/.kube/config` may be
production: it is offered by name, never used unasked.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import kubeconfig
from .credentials import CertificateFiles, Credentials, FileToken, LoginProgram, ProviderToken, StaticToken, load_certificate
from .kubeconfig import Context
from .kubeconfig import NoEndpoint as NoEndpoint
from .proxies import checked, proxy_for

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def _no_token() -> str | None:
    return None


async def _nothing_newer(used: str | None) -> bool:
    return False


@dataclass(frozen=True)
class Endpoint:
    """An API server: where it is, how to trust it, how to sign in. `name` is for people (“local cluster”, a context's name).

    `renew` is asked with the token that a 401 refused, and says whether to try once more. `namespace` is where somebody works
    who may not see all namespaces.
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
    impersonation: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def headers(self) -> dict[str, str]:
        """The credential for one request, fresh where tokens expire. Raises `Unauthorized` when there is none to be had."""
        token = await self.token()
        return {**self.impersonation, **({"Authorization": f"Bearer {token}"} if token else {})}

    def trust_also(self, other: Endpoint) -> None:
        """Trust the authorities of another endpoint, too: the same cluster's, whose certificates were renewed."""
        if self.ssl_context is not None and other.ssl_context is not None:
            known = self.ssl_context.get_ca_certs(binary_form=True)
            for authority in other.ssl_context.get_ca_certs(binary_form=True):
                if authority not in known:
                    self.ssl_context.load_verify_locations(cadata=authority)


def from_embedded(path: Path) -> Endpoint:
    """The embedded cluster by the kubeconfig that it wrote: one cluster with inline CA data, one user with a token. Raises `NoEndpoint`."""
    try:
        context = kubeconfig.load([path])
        trust = _trust(context.cluster)
        bearer: str = context.user["token"]
    except (NoEndpoint, LookupError) as error:
        raise NoEndpoint(f"The local cluster's kubeconfig {path} cannot be read: {error}") from error
    return Endpoint(context.cluster["server"], "local cluster", trust, StaticToken(bearer).token, embedded=True)


def from_kubeconfig(path: Path | None = None, context: str | None = None) -> Endpoint:
    """A context of a kubeconfig; without `path` of the files that KUBECONFIG lists, else `~/.kube/config`. Raises `NoEndpoint`."""
    paths = [path] if path is not None else kubeconfig.default_paths()
    chosen = kubeconfig.load(paths, context)
    url = str(chosen.cluster["server"]).rstrip("/")
    trust = _trust(chosen.cluster) if url.startswith("https") else None
    user = _User(paths, chosen, trust)
    named = chosen.cluster.get("proxy-url")
    proxy = checked(named, f"proxy-url of the context {chosen.name}") if named else proxy_for(url)
    return Endpoint(
        url, chosen.name, trust, user.token, chosen.namespace, renew=user.renew, proxy=proxy, impersonation=_impersonation(chosen.user)
    )


def from_service_account() -> Endpoint:
    """The cluster whose pod we run in. Its token is read again each time: the kubelet rotates it."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if ":" in host:
        host = f"[{host}]"
    url, credential = f"https://{host}:{port}", FileToken(SERVICE_ACCOUNT / "token")
    namespace = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    trust = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    return Endpoint(url, "this cluster", trust, credential.token, namespace, in_cluster=True, renew=credential.renew, proxy=proxy_for(url))


def choose(path: str | None, context: str | None, start_embedded: Callable[[], Path], *, embedded: bool = False) -> Endpoint:
    """The endpoint by the order above. `start_embedded` starts or finds the embedded cluster and gives its kubeconfig; it may block
    for seconds, so call this off the event loop. Raises `NoEndpoint`, and what `start_embedded` raises.
    """
    found = None if embedded else find(path, context)
    return found or from_embedded(start_embedded())


def find(path: str | None = None, context: str | None = None) -> Endpoint | None:
    """The cluster that the settings name, None when they name none. Raises `NoEndpoint`."""
    if path or context or os.environ.get("KUBECONFIG"):
        return from_kubeconfig(Path(path).expanduser() if path else None, context)
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").exists():
        return from_service_account()
    return None


class _User:
    """Who a context signs in as. When nothing newer is known and the server refuses, the kubeconfig itself may have a newer login."""

    def __init__(self, paths: list[Path], context: Context, trust: ssl.SSLContext | None) -> None:
        self._paths, self._context, self._trust = paths, context, trust
        self._credentials = _credentials(paths, context, trust)

    async def token(self) -> str | None:
        return await self._credentials.token()

    async def renew(self, used: str | None) -> bool:
        if await self._credentials.renew(used):
            return True
        try:
            context = kubeconfig.load(self._paths, self._context.name)
            if context.user == self._context.user:
                return await self._credentials.token() != used
            self._credentials = _credentials(self._paths, context, self._trust)
        except NoEndpoint:
            return False
        self._context = context
        return True


def _credentials(paths: list[Path], context: Context, trust: ssl.SSLContext | None) -> Credentials:
    user, name = context.user, context.name
    if trust is not None and user.get("client-certificate-data") and user.get("client-key-data"):
        try:
            load_certificate(trust, base64.b64decode(user["client-certificate-data"]), base64.b64decode(user["client-key-data"]))
        except (binascii.Error, ssl.SSLError, OSError) as error:
            raise NoEndpoint(f"The client certificate of the context {name} cannot be used: {error}") from error
    certificate = None
    if trust is not None and user.get("client-certificate") and user.get("client-key"):
        certificate = CertificateFiles(trust, Path(user["client-certificate"]), Path(user["client-key"]))
    if user.get("tokenFile"):
        return FileToken(Path(user["tokenFile"]))
    if user.get("token"):
        return StaticToken(user["token"])
    if user.get("exec"):
        return LoginProgram(user["exec"], context.cluster, name, trust)
    if user.get("auth-provider"):
        return ProviderToken(paths, name)
    return certificate or StaticToken(None)


class _Named(ssl.SSLContext):
    """Asks for, and checks, another name than the one that was dialled (`tls-server-name`), whoever makes the connection."""

    server_name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


def _trust(cluster: Mapping[str, Any]) -> ssl.SSLContext:
    """Raises `NoEndpoint`."""
    data, file, name = (cluster.get(key) for key in ("certificate-authority-data", "certificate-authority", "tls-server-name"))
    trust = _Named(ssl.PROTOCOL_TLS_CLIENT) if name else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(trust, _Named):
        trust.server_name = str(name)
    try:
        if data or file:
            trust.load_verify_locations(cadata=base64.b64decode(data).decode("ascii") if data else None, cafile=None if data else file)
        else:
            trust.load_default_certs()
    except (OSError, ValueError, ssl.SSLError) as error:
        raise NoEndpoint(f"The certificate authority of {cluster['server']} cannot be used: {error}") from error
    if cluster.get("insecure-skip-tls-verify"):
        trust.check_hostname = False
        trust.verify_mode = ssl.CERT_NONE
    return trust


def _impersonation(user: Mapping[str, Any]) -> dict[str, str]:
    """`as` and `as-uid` of a kubeconfig. Raises `NoEndpoint` for groups and extras, which take a header each."""
    if user.get("as-groups") or user.get("as-user-extra"):
        raise NoEndpoint(
            "The kubeconfig acts as somebody else with groups (as-groups, as-user-extra), which is not known here. Use `as` alone."
        )
    return {header: user[key] for key, header in (("as", "Impersonate-User"), ("as-uid", "Impersonate-Uid")) if user.get(key)}
