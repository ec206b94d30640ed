"""User of a kubeconfig's context: selects credentials like kubectl, and refuses invalid entries.

Raises an error where kubectl would prompt for a password or silently send no credentials: requests
are anonymous only if the user's entry is empty.
"""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit

from jupyter_workspaces.common import tls
from jupyter_workspaces.kube.errors import NoEndpoint
from jupyter_workspaces.kube.proxies import is_this_machine

from . import loading
from .credentials import (
    CertificateFiles,
    Credentials,
    FileToken,
    StaticToken,
    fits_header,
)
from .exec_plugin import LoginProgram
from .loading import Context

_REMOVED = {
    "azure": "Use kubelogin (https://github.com/Azure/kubelogin): `kubelogin convert-kubeconfig`.",
    "gcp": "Use gke-gcloud-auth-plugin: `gcloud container clusters get-credentials` writes a "
    "kubeconfig for it.",
}
_HEADER_NAME = "!#$&'*+-.^_`|~"
"""Characters of a header's name besides letters and digits, without `%` (RFC 9110 §5.6.2)."""


class KubeconfigUser:
    """Credentials of a context. Reads the kubeconfig again if the server refuses them."""

    def __init__(self, paths: list[Path], context: Context, trust: ssl.SSLContext | None) -> None:
        """Select the credentials of a context's user. Raises `NoEndpoint`."""
        self._paths, self._context, self._trust = paths, context, trust
        self._credentials = _credentials(context, trust)

    async def token(self) -> str | None:
        """Return the bearer token for the next request. Raises `ClusterError`."""
        return await self._credentials.token()

    async def renew(self, used: str | None) -> bool:
        """Return whether to retry after `used` was refused. Raises `ClusterError`."""
        if await self._credentials.renew(used):
            return True
        try:
            context = loading.load(self._paths, self._context.name)
            if context.user == self._context.user:
                return await self._credentials.token() != used
            self._credentials = _credentials(context, self._trust)
        except NoEndpoint:
            return False
        self._context = context
        return True


def server_url(context: Context) -> str:
    """Return the API server's URL as kubectl reads it: `http://` if there is no scheme.

    Raises:
        NoEndpoint: the URL is invalid or holds credentials.
    """
    given = str(context.cluster["server"])
    who = f"The server of the cluster {context.cluster_name}"
    url = given if "://" in given else f"http://{given}"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise NoEndpoint(f"{who} is not a URL. It must look like https://host:6443.") from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or any(char <= " " for char in given)
    ):
        raise NoEndpoint(f"{who} is not a URL of HTTPS. It must look like https://host:6443.")
    if "@" in parts.netloc:
        raise NoEndpoint(
            f"{who} has a user name or password in its URL. Move them to username and password of "
            "the user."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path}".rstrip("/")


def fixed_headers(context: Context) -> tuple[tuple[str, str], ...]:
    """Return the headers of every request: basic authentication and impersonation.

    Raises:
        NoEndpoint: the fields contradict each other or have line breaks.
    """
    user, who = context.user, f"The user {context.user_name} of the kubeconfig"
    found: list[tuple[str, str]] = []
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}".encode()
        found.append(("Authorization", f"Basic {base64.b64encode(pair).decode()}"))
    groups, extras = user.get("as-groups", []), user.get("as-user-extra", {})
    if not user.get("as"):
        if user.get("as-uid") or groups or extras:
            raise NoEndpoint(
                f"{who} has as-uid, as-groups or as-user-extra without as. Add the name of the "
                "user to act as."
            )
        return tuple(found)
    found.append(("Impersonate-User", user["as"]))
    if user.get("as-uid"):
        found.append(("Impersonate-Uid", user["as-uid"]))
    found += [("Impersonate-Group", group) for group in groups]
    found += [
        (f"Impersonate-Extra-{quote(key, safe=_HEADER_NAME)}", value)
        for key, values in extras.items()
        for value in values or ()
    ]
    if not all(fits_header(value) for _, value in found):
        raise NoEndpoint(f"{who} has a line break in as, as-uid, as-groups or as-user-extra.")
    return tuple(found)


def _credentials(context: Context, trust: ssl.SSLContext | None) -> Credentials:
    """Select the credentials of a user. Raises `NoEndpoint`."""
    user, name = context.user, context.user_name
    _refuse_contradictions(context)
    certificate = _certificate(context, trust)
    token = user.get("token", "").rstrip(" \t") or None  # Go's HTTP client trims header values
    if token is not None and not fits_header(token):
        raise NoEndpoint(
            f"The token of the user {name} has a line break in it. Remove it from the kubeconfig."
        )
    credentials: Credentials | None = None
    if user.get("tokenFile"):
        credentials = FileToken(Path(user["tokenFile"]), token)
    elif token is not None:
        credentials = StaticToken(token)
    elif user.get("username"):
        credentials = StaticToken(None)
    elif certificate is None and "exec" in user:
        credentials = LoginProgram(context, trust)
    elif "auth-provider" in user:
        from .oidc import ProviderToken

        credentials = ProviderToken(context)
    credentials = credentials or certificate
    _refuse_plain_http(context, credentials is not None)
    if credentials is None:
        _refuse_nothing(context)
        return StaticToken(None)
    return credentials


def _certificate(context: Context, trust: ssl.SSLContext | None) -> Credentials | None:
    """Load the client certificate; None without one, and without TLS. Raises `NoEndpoint`."""
    user, name = context.user, context.user_name
    certificate, certificate_file = (
        user.get("client-certificate-data"),
        user.get("client-certificate"),
    )
    key, key_file = user.get("client-key-data"), user.get("client-key")
    if not certificate and not certificate_file:
        return None
    if not key and not key_file:
        raise NoEndpoint(
            f"The user {name} has a client-certificate without a client-key. Add client-key or "
            "client-key-data."
        )
    if (certificate and certificate_file) or (key and key_file):
        raise NoEndpoint(
            f"The user {name} has client-certificate or client-key as a file and as data. Keep "
            "one of them."
        )
    if trust is None:
        return None
    if certificate_file and key_file:
        return CertificateFiles(trust, Path(certificate_file), Path(key_file), name)
    try:
        tls.load_pair(
            trust,
            certificate or Path(str(certificate_file)).read_bytes(),
            key or Path(str(key_file)).read_bytes(),
        )
    except OSError as error:
        raise NoEndpoint(
            f"The file {error.filename} of the user {name} cannot be read: {error.strerror}."
        ) from None
    except tls.BadCertificate as error:
        raise NoEndpoint(
            f"The client certificate of the user {name} cannot be used: {error}."
        ) from None
    return StaticToken(None)


def _refuse_contradictions(context: Context) -> None:
    """Raise `NoEndpoint` if a user has two kinds of credentials that exclude each other."""
    user, name = context.user, context.user_name
    if (user.get("token") or user.get("tokenFile")) and (
        user.get("username") or user.get("password")
    ):
        raise NoEndpoint(
            f"The user {name} has a token, and a username or password. Keep one of them."
        )
    if "auth-provider" not in user:
        return
    if "exec" in user:
        raise NoEndpoint(f"The user {name} has auth-provider and exec. Keep one of them.")
    provider = user["auth-provider"].get("name", "")
    if provider != "oidc":
        advice = _REMOVED.get(provider, "Use a login program (exec) instead.")
        raise NoEndpoint(
            f"The user {name} has the auth-provider {provider!r}, which neither kubectl nor this "
            f"server supports. {advice}"
        )


def _refuse_plain_http(context: Context, has_credentials: bool) -> None:
    """Raise `NoEndpoint` if credentials would be sent unencrypted. kubectl omits them silently."""
    parts = urlsplit(server_url(context))
    if has_credentials and parts.scheme == "http" and not is_this_machine(parts.hostname or ""):
        raise NoEndpoint(
            f"The server of the cluster {context.cluster_name} is not https://, so that the "
            f"credentials of the user {context.user_name} "
            "would be readable on the network. Write https:// in front of it."
        )


def _refuse_nothing(context: Context) -> None:
    """Raise `NoEndpoint` for an entry with keys but no credentials. kubectl prompts then."""
    impersonates_only = all(key.startswith("as") for key, value in context.user.items() if value)
    plain = server_url(context).startswith("http:")
    if context.user_says_nothing or (plain and impersonates_only and context.user.get("as")):
        return
    raise NoEndpoint(
        f"The user {context.user_name} of the kubeconfig has no credentials that can be used: no "
        "token, tokenFile, username, exec, "
        "auth-provider, or client-certificate with its client-key. Sign in to the cluster again, "
        "or correct its entry."
    )
