"""Which server to ask: one that is named, the one that this kernel belongs to, else the user's own `serve`."""

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
NAME_ONE = (
    "Name a server by JUPYTER_WORKSPACES_URL and JUPYTER_WORKSPACES_TOKEN, or by `jw.use_server(url, token)`; "
    "`jupyter workspaces serve` starts one."
)


@dataclass(frozen=True)
class Way:
    """How to connect to a server: over TLS that trusts `trust`, or by a Unix socket."""

    trust: ssl.SSLContext | None = field(default=None, repr=False)
    socket: str = ""

    def session(self) -> aiohttp.ClientSession:
        """A new session of connections. Cookies would make a token's request a browser's one, which XSRF rules then refuse."""
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
    """A server that serves workspaces. `root` ends in a slash; the token never shows.

    `signs_in` is false for a token that opens no pages in a browser.
    """

    root: str
    api: str
    token: str = field(default="", repr=False)
    same_page: bool = False
    way: Way = field(default_factory=Way, repr=False)
    signs_in: bool = True


@dataclass(frozen=True)
class Candidate:
    """Server that may serve workspaces.

    If `named_by` is set, it must serve them, else it is skipped without an error. Other failures are
    always errors, so that no request goes to an unintended server.
    """

    root: str
    token: str = field(repr=False)
    same_page: bool
    named_by: str | None = None
    way: Way = field(default_factory=Way, repr=False)
    signs_in: bool = True


async def find(url: str | None = None, token: str | None = None, *, start: bool = True) -> Server:
    """The server by the order above; one is only started with `start`. Raises `WorkspaceError`."""
    candidate = _candidate(url, token)
    if candidate is not None:
        found = await _probe(candidate)
        if found is not None:
            return found
        if candidate.named_by is not None:
            text = f"{candidate.named_by} names {candidate.root}, where no workspaces are served."
            raise WorkspaceError(
                text,
                "Check the address, and that jupyter-workspaces is installed and enabled in that server.",
            )
    from .start import shared_server

    root, secret = await shared_server(start)
    return Server(root, root + API_PATHS[1], secret)


def _candidate(url: str | None, token: str | None) -> Candidate | None:
    """Raises `WorkspaceError`."""
    for named, named_by in (
        (url, "The address"),
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
        # The hub says where the server listens; 0.0.0.0 is where it binds, not where it can be reached.
        return Candidate(
            _slashed(hub_url.replace("//0.0.0.0", "//127.0.0.1").replace("//:", "//127.0.0.1:")),
            hub_token,
            True,
        )
    return next(_without_a_file(parent), None) if parent.isdigit() else None


def _own_server(path: Path) -> Candidate:
    """Return the Jupyter server that started this kernel, with its credentials. Raises `WorkspaceError`."""
    try:
        told = kernel_file.read(path)
        trust = tls.pinned_context(told.certificate.encode()) if told.certificate else None
        if trust is not None and told.client_certificate:
            tls.load_pair(
                trust,
                Path(told.client_certificate).read_bytes(),
                Path(told.client_key).read_bytes(),
            )
    except PermissionError as error:
        text = f"This kernel may not read {error.filename}, by which its Jupyter server lets it in: it runs as another user."
        raise WorkspaceError(text, NAME_ONE) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise WorkspaceError(
            f"{path}, by which this kernel's Jupyter server lets it in, cannot be used: {why}.",
            NAME_ONE,
        ) from None
    way = Way(trust, told.socket)
    return Candidate(
        told.url, told.token, True, "This kernel's Jupyter server", way, signs_in=False
    )


def _without_a_file(parent: str) -> Iterator[Candidate]:
    """A Jupyter server that does not let kernels in by a file of ours: an older version, or without the extension."""
    from jupyter_core.paths import jupyter_runtime_dir

    try:
        info = json.loads(
            (Path(jupyter_runtime_dir()) / f"jpserver-{parent}.json").read_text(encoding="utf-8")
        )
        socket = info.get("sock") or ""
        root = f"http://localhost{info['base_url']}" if socket else info["url"]
        yield Candidate(_slashed(root), info.get("token") or "", True, way=Way(socket=socket))
    except (OSError, ValueError, KeyError):
        pass  # no such file: a gateway's, a hub's or an editor's kernel


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
        own = " (this kernel's own Jupyter server)" if candidate.same_page else ""
        text = f"The server at {candidate.root}{own} does not answer: {why_silent(error)}."
        hint = (
            NAME_ONE if candidate.same_page else "Check that it runs and that its address is right."
        )
        raise Unreachable(text, hint) from None
    if refused and candidate.same_page:
        text = f"The server at {candidate.root} (this kernel's own Jupyter server) does not say whether it serves workspaces: status {refused}."
        raise WorkspaceError(text, NAME_ONE)
    return None


def why_silent(error: Exception) -> str:
    """Return why a request failed; without the address, which may hold a token."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLError):
        trusted = (
            " Trust its authority by SSL_CERT_FILE"
            if isinstance(cause, ssl.SSLCertVerificationError)
            else ""
        )
        return tls.failure(cause) + (f".{trusted}" if trusted else "")
    if isinstance(error, asyncio.TimeoutError):
        return "it took too long"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()
    return type(error).__name__


def as_written(url: str) -> URL:
    """The URL with its escapes as they are: `/user/x%40y/` is not `/user/x@y/` to a Jupyter server."""
    from yarl import URL

    return URL(url, encoded=True)


def _token_of(url: str) -> str:
    """Of an address as Jupyter prints it, `…?token=…`."""
    return (parse_qs(urlsplit(url).query).get("token") or [""])[0]


def _slashed(url: str) -> str:
    root = url.partition("?")[0]
    for path in API_PATHS:  # who names the API itself means its server
        root = root.rstrip("/").removesuffix("/" + path)
    return root.rstrip("/") + "/"
