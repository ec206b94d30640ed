"""Server discovery: which server the client uses, in this order.

1. The `url` argument, then JUPYTER_WORKSPACES_URL.
2. The Jupyter server of this kernel, by the file that it writes for kernels (`kernel_file`).
3. JupyterHub's single-user server, by JUPYTERHUB_SERVICE_URL.
4. A Jupyter server without that file, by its `jpserver-PID.json`.
5. The user's shared local server (`shared_server`).
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from jupyter_workspaces.common import kernel_file, tls

from .errors import Unreachable, WorkspaceError

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

ANSWER_SECONDS = 3.0
API_PATHS = ("workspaces/api/v1", "api/v1")
SET_SERVER_HINT = (
    "Set JUPYTER_WORKSPACES_URL and JUPYTER_WORKSPACES_TOKEN, or call `jw.use_server(url, token)`; "
    "`jupyter workspaces serve` starts a server."
)


@dataclass(frozen=True)
class ConnectionOptions:
    """How to connect to a server: TLS context `trust`, or path of a Unix socket."""

    trust: ssl.SSLContext | None = field(default=None, repr=False)
    socket: str = ""

    def session(self) -> aiohttp.ClientSession:
        """Return a new session, without cookies: with them Jupyter checks XSRF tokens."""
        import aiohttp

        tcp = aiohttp.TCPConnector
        connector = (
            aiohttp.UnixConnector(self.socket)
            if self.socket
            else tcp(ssl=self.trust or tls.client_context())
        )
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=2**20
        )


@dataclass(frozen=True)
class Server:
    """A server that serves the workspaces API.

    Attributes:
        root: Base URL, ending in `/`.
        api: URL of the API.
        token: Token for the `Authorization` header; may be empty.
        same_page: Whether it is the Jupyter server that serves this notebook's page too.
        way: How to connect.
        signs_in: Whether the token can sign in a browser.
    """

    root: str
    api: str
    token: str = field(default="", repr=False)
    same_page: bool = False
    way: ConnectionOptions = field(default_factory=ConnectionOptions, repr=False)
    signs_in: bool = True


@dataclass(frozen=True)
class Candidate:
    """A server that may serve workspaces.

    If `named_by` is set, a server without workspaces is an error, else it is skipped. Other
    failures are always errors, so that no request goes to an unintended server.
    """

    root: str
    token: str = field(repr=False)
    same_page: bool
    named_by: str | None = None
    way: ConnectionOptions = field(default_factory=ConnectionOptions, repr=False)
    signs_in: bool = True


async def find(url: str | None = None, token: str | None = None, *, start: bool = True) -> Server:
    """Return the server to use; starts a shared one if `start`. Raises `WorkspaceError`."""
    candidate = _candidate(url, token)
    if candidate is not None:
        found = await _probe(candidate)
        if found is not None:
            return found
        if candidate.named_by is not None:
            text = f"{candidate.named_by} is {candidate.root}, which does not serve workspaces."
            raise WorkspaceError(
                text,
                "Check the address, and that jupyter-workspaces is installed and enabled there.",
            )
    from .shared_server import shared_server

    root, secret = await shared_server(start)
    return Server(root, root + API_PATHS[1], secret)


def _candidate(url: str | None, token: str | None) -> Candidate | None:
    """Raises `WorkspaceError`."""
    for named, named_by in (
        (url, "The server URL"),
        (os.environ.get("JUPYTER_WORKSPACES_URL"), "JUPYTER_WORKSPACES_URL"),
    ):
        if named:
            secret = token or os.environ.get("JUPYTER_WORKSPACES_TOKEN") or _token_of(named)
            return Candidate(_slashed(named), secret, False, named_by)
    parent = os.environ.get("JPY_PARENT_PID", "")
    if parent.isdigit() and (path := kernel_file.path_for_kernel(parent)) is not None:
        return _own_server(path)
    hub_url, hub_token = (
        os.environ.get("JUPYTERHUB_SERVICE_URL"),
        os.environ.get("JUPYTERHUB_API_TOKEN"),
    )
    if hub_url and hub_token:
        # This is the address that the server binds; 0.0.0.0 is not one to connect to.
        return Candidate(
            _slashed(hub_url.replace("//0.0.0.0", "//127.0.0.1").replace("//:", "//127.0.0.1:")),
            hub_token,
            True,
        )
    return next(_without_a_file(parent), None) if parent.isdigit() else None


def _own_server(path: Path) -> Candidate:
    """Return the Jupyter server that started this kernel. Raises `WorkspaceError`."""
    try:
        found = kernel_file.read(path)
        trust = tls.pinned_context(found.certificate.encode()) if found.certificate else None
        if trust is not None and found.client_certificate:
            tls.load_pair(
                trust,
                Path(found.client_certificate).read_bytes(),
                Path(found.client_key).read_bytes(),
            )
    except PermissionError as error:
        text = (
            f"Cannot read {error.filename}, the credentials for this kernel's Jupyter server: "
            "the kernel runs as another user."
        )
        raise WorkspaceError(text, SET_SERVER_HINT) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise WorkspaceError(
            f"Cannot use {path}, the credentials for this kernel's Jupyter server: {why}.",
            SET_SERVER_HINT,
        ) from None
    way = ConnectionOptions(trust, found.socket)
    return Candidate(
        found.url, found.token, True, "This kernel's Jupyter server", way, signs_in=False
    )


def _without_a_file(parent: str) -> Iterator[Candidate]:
    """Yield the Jupyter server of this kernel if it has no `kernel_file`.

    It runs an older version of the extension, or none.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    try:
        info = json.loads(
            (Path(jupyter_runtime_dir()) / f"jpserver-{parent}.json").read_text(encoding="utf-8")
        )
        socket = info.get("sock") or ""
        root = f"http://localhost{info['base_url']}" if socket else info["url"]
        yield Candidate(
            _slashed(root), info.get("token") or "", True, way=ConnectionOptions(socket=socket)
        )
    except (OSError, ValueError, KeyError):
        pass  # no such file: the kernel of a gateway, a hub or an editor


async def _probe(candidate: Candidate) -> Server | None:
    """Return the server, None if it serves no workspaces. Raises `WorkspaceError` if unknown."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    refused = 0
    try:
        async with candidate.way.session() as session:
            for path in API_PATHS:
                url = as_written(f"{candidate.root}{path}/healthcheck")
                async with session.get(url, timeout=timeout, allow_redirects=False) as answer:
                    if (
                        answer.status == 200
                        and answer.content_type == "application/json"
                        and "systemInfo" in await answer.json()
                    ):
                        way, signs_in = candidate.way, candidate.signs_in
                        return Server(
                            candidate.root,
                            candidate.root + path,
                            candidate.token,
                            candidate.same_page,
                            way,
                            signs_in,
                        )
                    refused = refused or (answer.status if answer.status != 404 else 0)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
        own = " (this kernel's Jupyter server)" if candidate.same_page else ""
        text = f"Cannot connect to the server at {candidate.root}{own}: {failure_reason(error)}."
        hint = (
            SET_SERVER_HINT
            if candidate.same_page
            else "Check the address, and that the server is running."
        )
        raise Unreachable(text, hint) from None
    if refused and candidate.same_page:
        text = (
            f"Cannot use the server at {candidate.root} (this kernel's Jupyter server): "
            f"the health check returned status {refused}."
        )
        raise WorkspaceError(text, SET_SERVER_HINT)
    return None


def failure_reason(error: Exception) -> str:
    """Return why a request failed, without the URL, which may contain a token."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLError):
        trusted = (
            " Set SSL_CERT_FILE to trust its certificate authority"
            if isinstance(cause, ssl.SSLCertVerificationError)
            else ""
        )
        return tls.failure(cause) + (f".{trusted}" if trusted else "")
    if isinstance(error, asyncio.TimeoutError):
        return "timed out"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()
    return type(error).__name__


def as_written(url: str) -> URL:
    """Return a URL that keeps its escapes: Jupyter distinguishes `/x%40y/` from `/x@y/`."""
    from yarl import URL

    return URL(url, encoded=True)


def _token_of(url: str) -> str:
    """Return the token of a URL as Jupyter prints it, `…?token=…`."""
    return (parse_qs(urlsplit(url).query).get("token") or [""])[0]


def _slashed(url: str) -> str:
    root = url.partition("?")[0]
    for path in API_PATHS:  # a URL of the API stands for its server
        root = root.rstrip("/").removesuffix("/" + path)
    return root.rstrip("/") + "/"
