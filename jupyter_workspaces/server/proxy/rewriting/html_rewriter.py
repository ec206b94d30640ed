"""Rewrites the URLs in a page's attributes, scripts and style sheets.

There are two rules. In attributes that contain URLs, every root-absolute URL is mapped: a program
whose kind sets `removePathPrefix` writes no others. In scripts, style sheets and other attributes,
only the workspace's own path is recognized (`addresses`). What people read or type stays: text,
comments, `<textarea>`, `<title>`, and the attribute `value`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence

from .addresses import AddressRewriter, ScriptRewriter
from .html_patterns import attributes
from .html_tokenizer import HtmlTokenizer
from .json_rewriter import JsonRewriter
from .public_path import PublicPath
from .url_attributes import (
    MAY_HAVE_URL,
    PATH_MARK,
    URL_ATTRIBUTES,
    URLS_IN_VALUE,
)

MOST_ATTRIBUTES = 1000
"""A start tag with more attributes with a value stays unchanged, to limit the work on one tag."""

_CACHED_TAGS = 1000
_LAB_CONFIG = b"jupyter-config-data"
_USER_INPUT = frozenset((b"value",))
"""Attributes that the browser returns to the program."""


class HtmlRewriter(HtmlTokenizer):
    """Rewrites the URLs in a page incrementally."""

    def __init__(self, path: PublicPath) -> None:
        """Prepare the rewriters for a public path."""
        super().__init__()
        self._path = path
        self._addresses = AddressRewriter(path)
        self._script = ScriptRewriter(path)
        self._config: JsonRewriter | None = None
        self._tags: dict[bytes, bytes] = {}  # cache: many pages repeat their tags

    def start_tag(self, name: bytes, tag: bytes) -> bytes:
        """Rewrite the attributes of a start tag."""
        if (
            name == b"script"
            and _LAB_CONFIG in tag
            and any(one.name == b"id" and one.value == _LAB_CONFIG for one in attributes(tag))
        ):
            self._config = JsonRewriter(self._config_string)
        if PATH_MARK not in tag and MAY_HAVE_URL.search(tag) is None:
            return tag
        if (known := self._tags.get(tag)) is None:
            known = self._changed(tag)
            if len(self._tags) < _CACHED_TAGS and len(tag) < _CACHED_TAGS:
                self._tags[tag] = known
        return known

    def _changed(self, tag: bytes) -> bytes:
        parts: list[bytes] = []
        written = 0
        for number, attribute in enumerate(attributes(tag)):
            if number == MOST_ATTRIBUTES:
                return tag
            value = self._value(attribute.name, attribute.value)
            if value is not attribute.value:
                parts += (tag[written : attribute.start], value)
                written = attribute.end
        return b"".join((*parts, tag[written:])) if parts else tag

    def raw_text(self, data: bytes) -> bytes:
        """Rewrite scripts and style sheets."""
        if not data or self._element not in (b"script", b"style"):
            return data
        return self._script.feed(data if self._config is None else self._config.feed(data))

    def raw_text_end(self) -> bytes:
        """Return the rest of a script or style sheet."""
        config, self._config = self._config, None
        held = b"" if config is None else self._script.feed(config.finish())
        return held + self._script.finish()

    def _value(self, name: bytes, value: bytes) -> bytes:
        """Rewrite an attribute's value. Returns the same object if nothing changes."""
        if name in URL_ATTRIBUTES:
            return self._url(value)
        if name in _USER_INPUT:
            return value
        if (within := URLS_IN_VALUE.get(name)) is not None:
            value = _substituted(within, self._url, value)
        return self._addresses.in_value(value)

    def _url(self, value: bytes) -> bytes:
        """One URL for the browser; the very same object where nothing changes."""
        changed = self._outward(value)
        return value if changed == value else changed

    def _outward(self, value: bytes) -> bytes:
        text = value.decode("latin-1")
        if "&" not in text.partition("?")[0]:
            changed = self._path.outward(text).encode("latin-1")
        elif (moved := self._path.outward(read := html.unescape(text))) != read:
            changed = html.escape(moved).encode("latin-1", "xmlcharrefreplace")
        else:
            changed = value
        return self._addresses.in_value(value) if changed == value else changed

    def _config_string(self, keys: Sequence[str], value: str) -> str:
        """Rewrite a string of JupyterLab's configuration.

        `appUrl` and similar strings are relative to `baseUrl` in spite of their slash, so they
        stay.
        """
        full = keys[-1] == "baseUrl" or (keys[-1].startswith("full") and keys[-1].endswith("Url"))
        own = value.startswith(self._path.inner) or value == self._path.inner[:-1]
        return self._path.outward(value) if own or (self._path.removed and full) else value


def _substituted(
    pattern: re.Pattern[bytes], change: Callable[[bytes], bytes], value: bytes
) -> bytes:
    """Return the value with the URLs changed that the pattern's second group matches."""
    changed = pattern.sub(lambda found: found[1] + change(found[2]), value)
    return value if changed == value else changed
