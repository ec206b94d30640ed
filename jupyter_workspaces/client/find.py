"""Which server to ask: one that is named, the one that this kernel belongs to, else the user's own `serve`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from .errors import Unreachable, WorkspaceError

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

ANSWER_SECONDS = 3.0
API_PATHS = ("workspaces/api/v1", "api/v1")


@dataclass(frozen=True)
class Server:
    """A server that serves workspaces. `root` ends in a slash; the token never shows."""

    root: str
    api: str
    token: str = field(default="", repr=False)
    same_page: bool = False


@dataclass(frozen=True)
class Candidate:
    """A server that may be the one, and what to say when it is named and is not."""

    root: str
    token: str
    same_page: bool
    named_by: str | None = None


async def find(session: aiohttp.ClientSession, url: str | None = None, token: str | None = None, *, start: bool = True) -> Server:
    """The server by the order above; one is only started with `start`. Raises `WorkspaceError`."""
    for candidate in _candidates(url, token):
        try:
            found = await _probe(session, candidate)
        except WorkspaceError:
            if candidate.named_by is not None:
                raise
            continue
        if found is not None:
            return found
        if candidate.named_by is not None:
            text = f"{candidate.named_by} names {candidate.root}, where no workspaces are served."
            raise WorkspaceError(text, "Check the address, and that jupyter-workspaces is installed and enabled in that server.")
    from .start import shared_server

    root, secret = await shared_server(start)
    return Server(root, root + API_PATHS[1], secret)


def _candidates(url: str | None, token: str | None) -> Iterator[Candidate]:
    for named, named_by in ((url, "The address"), (os.environ.get("JUPYTER_WORKSPACES_URL"), "JUPYTER_WORKSPACES_URL")):
        if named:
            secret = token or os.environ.get("JUPYTER_WORKSPACES_TOKEN") or _token_of(named)
            yield Candidate(_slashed(named), secret, False, named_by)
            return
    hub_url, hub_token = os.environ.get("JUPYTERHUB_SERVICE_URL"), os.environ.get("JUPYTERHUB_API_TOKEN")
    if hub_url and hub_token:
        # The hub says where the server listens; 0.0.0.0 is where it binds, not where it can be reached.
        yield Candidate(_slashed(hub_url.replace("//0.0.0.0", "//127.0.0.1").replace("//:", "//127.0.0.1:")), hub_token, True)
    parent = os.environ.get("JPY_PARENT_PID")
    if parent and parent.isdigit():
        from jupyter_core.paths import jupyter_runtime_dir

        try:
            info = json.loads((Path(jupyter_runtime_dir()) / f"jpserver-{parent}.json").read_text(encoding="utf-8"))
            yield Candidate(_slashed(info["url"]), info.get("token") or "", True)
        except (OSError, ValueError, KeyError):
            pass  # no such file: a gateway's, a hub's or an editor's kernel


async def _probe(session: aiohttp.ClientSession, candidate: Candidate) -> Server | None:
    """The candidate as a server, None when it serves no workspaces. Raises `WorkspaceError` when it does not answer."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        for path in API_PATHS:
            async with session.get(as_written(f"{candidate.root}{path}/healthcheck"), timeout=timeout, allow_redirects=False) as answer:
                if answer.status == 200 and answer.content_type == "application/json" and "systemInfo" in await answer.json():
                    return Server(candidate.root, candidate.root + path, candidate.token, candidate.same_page)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
        text = f"The server at {candidate.root} does not answer: {str(error) or type(error).__name__}."
        raise Unreachable(text, "Check that it runs and that its address is right.") from error
    return None


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
