"""Check links without the internet.

In Markdown files as a reader of the repository follows them, with the files that their text names,
and in the built site.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

_FOLDERS = r"(?:\.ci|benchmarks|deploy|docs|jupyter_workspaces|labextension|tests|tools)"
_FILE = re.compile(rf"({_FOLDERS}/[\w./-]+\w)(?:::\w+)?\Z")
_LOADED = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
}


def in_markdown(root: Path) -> list[str]:
    """Return one line for each broken link in the Markdown files of the repository at `root`."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    pages = {
        root / name: _read(root / name)
        for name in listed.stdout.splitlines()
        if (root / name).exists()
    }
    broken = []
    for path, page in pages.items():
        # A changelog names files that were there then.
        describes = path.relative_to(root).parts[0] in ("docs", "README.md", "CONTRIBUTING.md")
        named = page.files if describes else ()
        problems = [(name, "there is no such file") for name in named if not (root / name).exists()]
        for target in page.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not file.exists():
                problems.append((target, "there is no such file"))
            elif (
                parts.fragment
                and file in pages
                and unquote(parts.fragment) not in pages[file].anchors
            ):
                problems.append((target, "there is no such heading"))
        broken += [f"{path.relative_to(root)}: {target}: {problem}" for target, problem in problems]
    return broken


@dataclass(frozen=True)
class _Markdown:
    """Anchors of headings as code hosts write them, targets of links and images, named files."""

    anchors: set[str]
    links: list[str]
    files: list[str]


def _read(path: Path) -> _Markdown:
    found = _Markdown(set(), [], [])
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            found.anchors.add(_slug(_text(tokens[number + 1])))
        for one in token.children or ():
            if one.type in ("link_open", "image"):
                found.links.append(str(one.attrs.get("href") or one.attrs.get("src")))
            elif one.type == "code_inline" and (named := _FILE.match(one.content)):
                found.files.append(named[1])
    return found


def _text(token: Token) -> str:
    return "".join(
        one.content for one in token.children or () if one.type in ("text", "code_inline")
    )


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


class _Page(HTMLParser):
    """The ids of a page, and where its elements lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the ids of an element, the links, and the files that the page loads."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            elif value and (tag, name) in _LOADED and dict(attrs).get("rel") != "canonical":
                self.loaded.append(value)
            elif value and (tag, name) == ("a", "href"):
                self.links.append(value)


def in_site(site: Path) -> list[str]:
    """Return one line for each broken link of the site, and for each file from another site."""
    pages = {
        path: _Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts
    }
    broken = [
        f"{path.relative_to(site)}: {problem}"
        for path, page in pages.items()
        for problem in _problems(path, page, pages)
    ]
    return list(dict.fromkeys(broken))


def _problems(path: Path, page: _Page, pages: dict[Path, _Page]) -> Iterator[str]:
    for target in page.links + page.loaded:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            if target in page.loaded and parts.scheme != "data":
                yield f"loads {target} from another site"
            continue
        file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not file.exists():
            yield f"{target}: there is no such file"
        elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].ids:
            yield f"{target}: there is no such heading"


if __name__ == "__main__":
    broken = in_markdown(Path.cwd())
    sys.exit("\n".join(broken) or None)
