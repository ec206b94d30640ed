"""Script element that shows a notice in the tab of a workspace that is no longer available. Pure.

JupyterLab's dialog about a lost connection has a fixed text, and other programs show less. So the
proxy appends one script element to the page that a browser opens in a tab. The script
(`tab_notice.js`) changes nothing in the page, and sends nothing while the workspace responds. It
reads the browser's Resource Timing entries, in which the header `Server-Timing` (W3C) marks
responses of this server in place of the workspace. Then it requests the state from
`handlers.tab_notice.StateHandler`.

All other bytes are the program's own. A page gets the element only if

- the request has `Sec-Fetch-Dest: document` (Fetch Metadata): no frames, no requests of scripts, no
  programs other than browsers;
- the response is a complete HTML page with status 200 in a readable encoding, no download, and
  without `Cache-Control: no-transform` (RFC 9111 §5.2.2.6);
- its policies permit a script and a request of its own origin (CSP 3), and have no `sandbox`;
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
"""Name of the web application's setting that permits the notice."""
TAB = ".tab"
"""Path segment beside the ids of a workspace's ports, which contain no dot."""
SCRIPT, STATE = "notice.js", "state"
METRIC = "jupyter-workspaces"
"""Name of the metric in `Server-Timing`. Its description is a state of `Unavailable`."""

_END = re.compile(rb"</html[\t\n\f\r ]*>[\t\n\f\r ]*\Z", re.IGNORECASE)
_LONGEST_END = 256
_POLICIES = frozenset(("content-security-policy", "content-security-policy-report-only"))
_INTEGRITY = frozenset(("integrity-policy", "integrity-policy-report-only"))


class ScriptAppender:
    """Rewriter that appends an element to a page that ends with `</html>`."""

    def __init__(self, element: bytes, before: Rewriter | None = None) -> None:
        """Start before the first byte. `before` rewrites the page first."""
        self._element, self._before, self._tail = element, before, b""

    def feed(self, data: bytes) -> bytes:
        """Return the output that is complete after `data`."""
        return self._note_end(data if self._before is None else self._before.feed(data))

    def finish(self) -> bytes:
        """Return the rest of the output, with the element."""
        rest = b"" if self._before is None else self._note_end(self._before.finish())
        return rest + self._element if _END.search(self._tail) else rest

    def _note_end(self, data: bytes) -> bytes:
        self._tail = (self._tail + data[-_LONGEST_END:])[-_LONGEST_END:]
        return data


def opens_tab(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether the response to a browser's request becomes the page of a tab."""
    return method != "HEAD" and headers.get("Sec-Fetch-Dest") == "document"


def accepts_notice(
    status: int, content_type: str, charset: str, headers: Iterable[tuple[str, str]]
) -> bool:
    """Return whether the element can be appended to a response with these headers."""
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
    """Return whether a policy (CSP 3 §2.2) permits a script and a request of the page's own origin.

    It does so with `'self'` or `*`, or without a directive for scripts and connections.
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


def script_element(workspace_path: str, port_id: str) -> bytes:
    """Return the script element for a page of a port.

    `workspace_path` is the workspace's path in the browser, with a slash at its end.
    """
    source = f"{workspace_path}{TAB}/{port_id}/{SCRIPT}?v={version()}"
    return f'<script async src="{escape(source)}"></script>'.encode("latin-1", "xmlcharrefreplace")


@cache
def script() -> bytes:
    """Return the script, which is the same for every page."""
    return files(__package__).joinpath("tab_notice.js").read_bytes()


@cache
def version() -> str:
    """Return a version that changes with the script, so that browsers may cache it."""
    return hashlib.sha256(script()).hexdigest()[:12]
