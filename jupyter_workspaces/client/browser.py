"""Opens a workspace's page: a link in a notebook, elsewhere the system's browser.

No token appears in a URL that is shown or passed to a browser's command line.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import webbrowser
from html import escape
from pathlib import Path
from urllib.parse import quote, urlsplit

from jupyter_workspaces.common.terminal import printable

from .discovery import Server
from .errors import WorkspaceError
from .progress_display import in_notebook

OPEN_AT_ONCE_MS = 15_000


def open_page(name: str, url: str, server: Server, note: str = "") -> None:
    """Open a workspace's page and show `note`. Raises `WorkspaceError` without a browser."""
    if not in_notebook():
        if note:
            print(note, file=sys.stderr)
        if not webbrowser.open(_signed_in(url, server)):
            raise WorkspaceError("Cannot start a browser.", f"Open this address yourself: {url}")
        return
    from IPython.display import display

    script = ""
    if server.same_page:
        # Only when the cell runs, not when a saved notebook is opened. The link remains.
        now = int(time.time() * 1000)
        script = (
            f"<script>if (Math.abs(Date.now() - {now}) < {OPEN_AT_ONCE_MS}) "
            f"window.open({_in_script(url)}, '_blank', 'noopener')</script>"
        )
    elif _has_screen():
        webbrowser.open(_signed_in(url, server))
    link = (
        f'<a href="{escape(url)}" target="_blank" rel="noopener">'
        f"Open <b>{escape(name)}</b> in a new tab</a>"
    )
    said = f"<p>{escape(note)}</p>" if note else ""
    text = printable(f"{name} is at {url}") + (f"\n{printable(note)}" if note else "")
    display({"text/html": f"<div>{link}</div>{said}{script}", "text/plain": text}, raw=True)


def _in_script(text: str) -> str:
    return json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _has_screen() -> bool:
    """Return whether this machine likely has a screen."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _signed_in(url: str, server: Server) -> str:
    """Return the URL of a private file that signs in and redirects, as Jupyter itself does.

    The redirect leads through the sign-in page, so that only the server receives the token.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    if not server.token or not server.signs_in:
        return url
    folder = Path(jupyter_runtime_dir())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in folder.glob("jupyter-workspaces-open-*.html"):
        old.unlink(missing_ok=True)
    file = folder / f"jupyter-workspaces-open-{secrets.token_hex(8)}.html"
    target = escape(
        f"{server.root}login?next={quote(urlsplit(url).path)}&token={quote(server.token)}"
    )
    page = (
        '<!doctype html><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="0;url={target}"><title>Opening…</title>'
    )
    with open(
        os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as opened:
        opened.write(page)
    return file.as_uri()
