"""Opening a workspace's page: a link in a notebook, the system's browser elsewhere. A token never stands in a URL that is shown."""

from __future__ import annotations

import os
import secrets
import webbrowser
from html import escape
from pathlib import Path
from urllib.parse import quote

from .errors import WorkspaceError
from .find import Server
from .waiting import in_notebook


def open_page(name: str, url: str, server: Server) -> None:
    """Raises `WorkspaceError` when there is no browser to open."""
    if in_notebook():
        from IPython.display import HTML, display

        link = f'<a href="{escape(url)}" target="_blank" rel="noopener">Open <b>{escape(name)}</b> in a new tab</a>'
        display(HTML(f"<div>{link}</div>"))  # type: ignore[no-untyped-call]
        return
    if not webbrowser.open(_signed_in(url, server)):
        raise WorkspaceError("No browser could be started here.", f"Open this address yourself: {url}")


def _signed_in(url: str, server: Server) -> str:
    """A file, readable by its owner only, whose page goes on with the token: as Jupyter itself starts browsers."""
    from jupyter_core.paths import jupyter_runtime_dir

    if not server.token:
        return url
    folder = Path(jupyter_runtime_dir())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in folder.glob("jupyter-workspaces-open-*.html"):
        old.unlink(missing_ok=True)
    file = folder / f"jupyter-workspaces-open-{secrets.token_hex(8)}.html"
    target = escape(f"{url}?token={quote(server.token)}")
    page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={target}"><title>Opening…</title>'
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(page)
    return file.as_uri()
