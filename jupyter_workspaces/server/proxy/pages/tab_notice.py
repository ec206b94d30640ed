"""A notice in the tab of a workspace that was paused or deleted: which pages get its script. Pure.

JupyterLab's dialog about a lost connection has a fixed text, and other programs show less, so the
proxy appends one script element to the page that a browser opens in a tab. The script
(`tab_notice.js`) changes nothing in the page and asks nothing while all is well: it sees in the
browser's Resource Timing entries that a request was answered by this server instead of the
workspace (`Server-Timing`, W3C), and then asks `tab.StateHandler` what happened.

All other bytes are the program's own. A page is left alone unless

- the request says `Sec-Fetch-Dest: document` (Fetch Metadata): no frames, no requests of scripts,
  no programs that are not browsers;
- the response is a complete HTML page with status 200 in a readable encoding, no download, and
  without `Cache-Control: no-transform` (RFC 9111 §5.2.2.6);
- its policies allow a script and a request of its own origin (CSP 3), and no `sandbox`;
- its last bytes are `</html>`, after which the parser still accepts a script (WHATWG HTML,
  "after after body").
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files

from jupyter_workspaces.server.proxy.rewriting.content_types import (
    Rewriter,
    is_download,
    is_unreadable,
)

SETTING = "jupyter_workspaces_tab_notices"
TAB = ".tab"  # beside a workspace's ports, whose names have no dot
SCRIPT, STATE = "notice.js", "state"
TIMING = "jupyter-workspaces"
"""Name of the metric in `Server-Timing`; its description is the state of `target.Unavailable`."""

_END = re.compile(rb"</html[\t\n\f\r ]*>[\t\n\f\r ]*\Z", re.IGNORECASE)
_LONGEST_END = 256
_POLICIES = frozenset(("content-security-policy", "content-security-policy-report-only"))
_INTEGRITY = frozenset(("integrity-policy", "integrity-policy-report-only"))


class Appender:
    """Adds `element` after a page's `</html>`, if the page ends so. `before` rewrites the page first."""

    def __init__(self, element: bytes, before: Rewriter | None = None) -> None:
        self._element, self._before, self._tail = element, before, b""

    def feed(self, data: bytes) -> bytes:
        return self._passed(data if self._before is None else self._before.feed(data))

    def finish(self) -> bytes:
        rest = b"" if self._before is None else self._passed(self._before.finish())
        return rest + self._element if _END.search(self._tail) else rest

    def _passed(self, data: bytes) -> bytes:
        self._tail = (self._tail + data[-_LONGEST_END:])[-_LONGEST_END:]
        return data


def opens_tab(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a browser says that the response becomes the page of a tab."""
    return method != "HEAD" and headers.get("Sec-Fetch-Dest") == "document"


def takes_notice(
    status: int, content_type: str, charset: str, headers: Iterable[tuple[str, str]]
) -> bool:
    """Return whether the script can be appended to a response with these headers."""
    if status != 200 or content_type != "text/html" or is_unreadable(charset):
        return False
    for name, value in headers:
        lower = name.lower()
        if lower in _INTEGRITY or (lower == "content-disposition" and is_download(value)):
            return False
        if lower == "cache-control" and "no-transform" in value.lower():
            return False
        if lower in _POLICIES and not all(map(allows_notice, value.split(","))):
            return False
    return True


def allows_notice(policy: str) -> bool:
    """Return whether one policy (CSP 3 §2.2) lets a page run a script of its own origin and ask it.

    Only what is certain counts: `'self'` or `*`, or no directive about it.
    """
    directives: dict[str, Sequence[str]] = {}
    for directive in policy.split(";"):
        if words := directive.lower().split():
            directives.setdefault(words[0], words[1:])  # later ones of the same name do not count
    if "sandbox" in directives:
        return False
    for chain in (("script-src-elem", "script-src", "default-src"), ("connect-src", "default-src")):
        sources = next((directives[name] for name in chain if name in directives), ("*",))
        if not {"'self'", "*"}.intersection(sources) or "'strict-dynamic'" in sources:
            return False
    return True


def element(workspace_path: str, port_id: str) -> bytes:
    """The script element for a page of a port. `workspace_path` is the browser's, with a slash at its end."""
    source = f"{workspace_path}{TAB}/{port_id}/{SCRIPT}?v={version()}"
    return f'<script async src="{escape(source)}"></script>'.encode("latin-1", "xmlcharrefreplace")


@cache
def script() -> bytes:
    """The script, the same for every page."""
    return files(__package__).joinpath("tab_notice.js").read_bytes()


@cache
def version() -> str:
    """A mark that changes with the script, so that browsers may keep it."""
    return hashlib.sha256(script()).hexdigest()[:12]
