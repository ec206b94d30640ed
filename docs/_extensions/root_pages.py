"""Show Markdown files of the repository's root as pages, with links that work in both places.

A page such as `docs/contributing.md` includes `CONTRIBUTING.md`. Links in the included file are
relative to the root, and links to it from other pages leave `docs/`: both are changed to the page
while Sphinx reads.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
_LINK = re.compile(r"\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def from_root(text: str) -> str:
    """Return the text of a file of the root with links as a page in `docs/` needs them."""

    def changed(found: re.Match[str]) -> str:
        target = found["target"]
        return f"]({PAGES.get(target, target.removeprefix('docs/'))}{found['anchor'] or ''})"

    return _LINK.sub(changed, text)


def from_docs(text: str) -> str:
    """Return the text of a page in `docs/` with links to files of the root as links to pages."""

    def changed(found: re.Match[str]) -> str:
        target = found["target"]
        page = PAGES.get(target.removeprefix("../")) if target.startswith("../") else None
        return f"]({page}{found['anchor'] or ''})" if page else found[0]

    return _LINK.sub(changed, text)


def _include_read(app: Any, path: Path, docname: str, content: list[str]) -> None:
    if Path(path).name in PAGES:
        content[0] = from_root(content[0])


def _source_read(app: Any, docname: str, content: list[str]) -> None:
    content[0] = from_docs(content[0])


def setup(app: Any) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("include-read", _include_read)
    app.connect("source-read", _source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
