"""A message in tabs that are open on a workspace which was paused, deleted or has ended.

A program's page cannot know what happened to its workspace. So the proxy adds one script element to the end of a
document that a person opens, where the page's policy lets it run. The script (`tab_messages.js`) makes no request while
the page's own are answered. It runs in the workspace's page and has no more rights than that.

Sources: Fetch metadata (W3C), CSP 3 §6.7, Resource Timing (`responseStatus`), RFC 9111 §5.2.2.6 (`no-transform`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado import web

from .pages import LOOKS
from .rewriters import Rewriter, is_download, is_unreadable
from .rewriting import PublicPath

SETTING = "jupyter_workspaces_tab_messages"
STATE_HEADER = "Jupyter-Workspaces-State"
"""In answers that stand for a workspace that cannot be reached: why (`target.Unavailable`)."""
NAME = "workspace/tab-messages.js"
CACHED_SECONDS = 86400

# A new tab, so that what is not saved in the old one can be saved when the workspace runs again.
_ACTIONS = {"paused": "Resume in a new tab", "failed": "Show in a new tab", "starting": "Show in a new tab", "token": "Show in a new tab"}
_SHOWN = ("paused", "gone", "stopping", "starting", "failed", "token", "secret", "unreachable", "cluster", "port")


class ScriptHandler(web.RequestHandler):
    """Serves the script, which contains no user data."""

    @allow_unauthenticated
    def get(self) -> None:
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", f"public, max-age={CACHED_SECONDS}")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.finish(script())


class WithMessages:
    """A page with the script's element at its end, behind whatever else rewrites it."""

    def __init__(self, element: bytes, inner: Rewriter | None = None) -> None:
        self._element, self._inner = element, inner

    def feed(self, data: bytes) -> bytes:
        return data if self._inner is None else self._inner.feed(data)

    def finish(self) -> bytes:
        return (b"" if self._inner is None else self._inner.finish()) + self._element


@cache
def script() -> bytes:
    """Return the script, with the words of the pages that stand for a workspace."""
    titles = {state: {"title": f"{LOOKS[state].title}.", "action": _ACTIONS.get(state, "")} for state in _SHOWN}
    text = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return text.replace("TITLES", json.dumps(titles)).encode()


def element(path: PublicPath, name: str) -> bytes:
    """Return the script's element for a page of the workspace `name`."""
    version = _version()
    text = f'<script async src="{escape(path.base)}{NAME}?{version}" data-path="{escape(path.outer)}" data-name="{escape(name)}"></script>'
    return text.encode("ascii", "xmlcharrefreplace")


@cache
def _version() -> str:
    return hashlib.sha256(script()).hexdigest()[:12]


def opens_document(method: str | None, headers: Mapping[str, str]) -> bool:
    """Return whether a browser opens a page of its own with this request: no frame, no script's request, no other program."""
    return method == "GET" and headers.get("Sec-Fetch-Dest") == "document"


def takes_script(status: int, content_type: str, charset: str, headers: Mapping[str, str], policies: Sequence[str]) -> bool:
    """Return whether the script may be added to a response with these headers, under these Content-Security-Policies."""
    return (
        status == 200
        and content_type == "text/html"
        and not is_unreadable(charset)
        and not is_download(headers.get("Content-Disposition", ""))
        and "no-transform" not in headers.get("Cache-Control", "").lower()
        and all(_allows_script(policy) for line in policies for policy in line.split(","))
    )


def _allows_script(policy: str) -> bool:
    """Whether a policy lets a script of the page's own origin run."""
    directives: dict[str, list[str]] = {}
    for directive in policy.lower().split(";"):
        words = directive.split()
        if words:
            directives.setdefault(words[0], words[1:])
    if "sandbox" in directives or "require-trusted-types-for" in directives:
        return False
    names = ("script-src-elem", "script-src", "default-src")
    sources = next((directives[name] for name in names if name in directives), None)
    return sources is None or ("'strict-dynamic'" not in sources and ("'self'" in sources or "*" in sources))
