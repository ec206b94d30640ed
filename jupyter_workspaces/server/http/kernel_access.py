"""Authentication of the kernels that this server started (`kernel_file`).

Kernels cannot authenticate as users do: by a password, a login page or a token of a hub. Without
authentication, their writes would fail the XSRF check, which needs a cookie.
"""

from __future__ import annotations

import hmac
import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.authorizer import AllowAllAuthorizer, Authorizer
from jupyter_server.auth.identity import IdentityProvider, User

from jupyter_workspaces.common.kernel_file import VARIABLE, KernelFile, name
from jupyter_workspaces.common.tls import first_certificate

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest
    from tornado.web import RequestHandler

SETTING = "jupyter_workspaces_kernels"
_EVERYWHERE = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class _Kernels(IdentityProvider):
    """Identity of requests that are authenticated by the token of the kernels."""

    def get_user(self, handler: RequestHandler) -> User:
        return User(username="kernel", display_name="A kernel of this server")

    def is_token_authenticated(self, handler: RequestHandler) -> bool:
        return True

    @property
    def auth_enabled(self) -> bool:
        return True


class Kernels:
    """Token of a server's kernels, and the file that contains it."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.identities = _Kernels(token="")
        self.authorizer = AllowAllAuthorizer()
        self._path: Path | None = None

    @property
    def owner(self) -> str | None:
        """Owner of this server according to JupyterHub; kernels act as this user."""
        return os.environ.get("JUPYTERHUB_USER") or None

    def accepts(self, request: HTTPServerRequest) -> bool:
        """Return whether `Authorization` has the token; one in the URL is ignored."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() in ("token", "bearer") and hmac.compare_digest(
            given.strip().encode(), self.token.encode()
        )

    def publish(self, serverapp: Any) -> None:
        """Write the file once the server listens. Raises `OSError`."""
        self._path = Path(serverapp.runtime_dir) / name(os.getpid())
        self._file(serverapp).write(self._path)
        os.environ[VARIABLE] = str(self._path)

    def withdraw(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            if os.environ.get(VARIABLE) == str(self._path):
                del os.environ[VARIABLE]

    def _file(self, serverapp: Any) -> KernelFile:
        options = serverapp.ssl_options or {}
        certificate = options.get("certfile") or serverapp.certfile
        key = options.get("keyfile") or serverapp.keyfile or certificate
        asks = bool(options.get("ca_certs") or serverapp.client_ca)
        if serverapp.sock:
            return KernelFile(
                f"http://localhost{serverapp.base_url}", self.token, socket=str(serverapp.sock)
            )
        host = _EVERYWHERE.get(serverapp.ip, serverapp.ip)
        scheme = "https" if certificate else "http"
        address = f"[{host}]" if ":" in host else host
        return KernelFile(
            f"{scheme}://{address}:{serverapp.port}{serverapp.base_url}",
            self.token,
            first_certificate(Path(certificate).read_bytes()).decode("ascii", "replace")
            if certificate
            else "",
            str(Path(certificate).absolute()) if asks and certificate else "",
            str(Path(key).absolute()) if asks and key else "",
        )


class KernelAccess:
    """Mixin for handlers that accept the token of the kernels."""

    if TYPE_CHECKING:
        settings: dict[str, Any]
        request: HTTPServerRequest

    @cached_property
    def kernels(self) -> Kernels | None:
        """Kernels of the server if a kernel sent this request, else None."""
        found: Kernels | None = self.settings.get(SETTING)
        return found if found is not None and found.accepts(self.request) else None

    @property
    def identity_provider(self) -> IdentityProvider:
        """Identity provider of the request."""
        if self.kernels is not None:
            return self.kernels.identities
        return super().identity_provider  # type: ignore[misc, no-any-return]

    @property
    def authorizer(self) -> Authorizer:
        # A kernel runs as the account of the server; Jupyter's authorizer authorizes users.
        """Authorizer of the request. A kernel runs as the account of the server."""
        if self.kernels is not None:
            return self.kernels.authorizer
        return super().authorizer  # type: ignore[misc, no-any-return]

    def check_xsrf_cookie(self) -> None:
        """Skip the check for kernels: pages of other sites cannot send their token."""
        if self.kernels is None:
            super().check_xsrf_cookie()  # type: ignore[misc]
