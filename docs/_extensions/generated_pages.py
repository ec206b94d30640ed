"""Write the parts of the site that come from the code into `docs/generated/`, before Sphinx reads any page."""

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
    """Write all generated parts. A file that would stay the same is not touched, so rebuilds are fast."""
    folder.mkdir(exist_ok=True)
    parts = {
        "http-api.md": openapi_tables.markdown(description("/api/v1")),
        "python-api.md": python_api.markdown(),
        "settings.md": settings_tables.markdown(),
    }
    for name, text in parts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _plain_text(app: Any, context: Any, lines: list[str]) -> None:
    """Help texts of the command line are plain text: escape asterisks, and mark names of options as code."""
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
