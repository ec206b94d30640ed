"""Write the parts of the site that come from the code into `docs/generated/`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import openapi_tables
import python_api
import settings_tables

from jupyter_workspaces.server.api.workspaces.about.description import description

_OPTION = re.compile(r"(?<![\w`-])(--[a-z][a-z-]*)")


def write(folder: Path) -> None:
    """Write all generated parts, except those that have not changed, so that rebuilds are fast."""
    folder.mkdir(exist_ok=True)
    parts = {
        "http-api.md": openapi_tables.markdown(description("/api/v1")),
        "python-api.md": python_api.markdown(),
    }
    for name, (owner, inherited) in settings_tables.PARTS.items():
        parts[name] = settings_tables.markdown(owner, inherited)
    for name, text in parts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _plain_text(app: Any, context: Any, lines: list[str]) -> None:
    """Mark options as code in help texts, which are plain text, and escape asterisks."""
    lines[:] = [
        line if line.startswith("..") else _OPTION.sub(r"``\1``", line.replace("*", "\\*"))
        for line in lines
    ]


def setup(app: Any) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.setup_extension("sphinx_click")
    app.connect("builder-inited", lambda sphinx: write(Path(sphinx.srcdir) / "generated"))
    app.connect("sphinx-click-process-options", _plain_text)
    app.connect("sphinx-click-process-description", _plain_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
