"""HTML rewriting: the URLs in attributes, scripts and style sheets get the server's base URL.

Two rules meet here. In attributes that hold URLs, every root-absolute URL is changed: a program whose kind says `removePathPrefix`
knows no other. Everywhere else a URL can act only the workspace's own path is recognized (`addresses`). What people read or type
stays: text, comments, `<textarea>`, `<title>`, and the attribute `value`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence

from .addresses import Addresses, ScriptAddresses
from .json_strings import JsonRewriter
from .public_path import PublicPath
from .tokenizer import Tokenizer, attributes
from .url_attributes import (
    MAY_HAVE_URL,
    PATH,
    URL_ATTRIBUTES,
    WITHIN,
)

MOST_ATTRIBUTES = 1000
"""A start tag with more attributes that have a value passes unchanged, so that the work on one tag is bounded."""

_KNOWN_TAGS = 1000
_LAB_CONFIG = b"jupyter-config-data"
_USERS = frozenset((b"value",))
"""Attributes that go back to the program as they are."""


class HtmlRewriter(Tokenizer):
    """Rewrites URLs on their way to the browser. Feed it the body's bytes as they come, then `finish`."""

    def __init__(self, path: PublicPath) -> None:
        super().__init__()
        self._path = path
        self._addresses = Addresses(path)
        self._script = ScriptAddresses(path)
        self._config: JsonRewriter | None = None
        self._tags: dict[bytes, bytes] = {}  # on many pages the same ones come again and again

    def start_tag(self, name: bytes, tag: bytes) -> bytes:
        if (
            name == b"script"
            and _LAB_CONFIG in tag
            and any(one.name == b"id" and one.value == _LAB_CONFIG for one in attributes(tag))
        ):
            self._config = JsonRewriter(self._config_string)
        if PATH not in tag and MAY_HAVE_URL.search(tag) is None:
            return tag
        if (known := self._tags.get(tag)) is None:
            known = self._changed(tag)
            if len(self._tags) < _KNOWN_TAGS and len(tag) < _KNOWN_TAGS:
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
        if not data or self._element not in (b"script", b"style"):
            return data
        return self._script.feed(data if self._config is None else self._config.feed(data))

    def raw_text_end(self) -> bytes:
        config, self._config = self._config, None
        held = b"" if config is None else self._script.feed(config.finish())
        return held + self._script.finish()

    def _value(self, name: bytes, value: bytes) -> bytes:
        """An attribute's value for the browser; the very same object where nothing changes."""
        if name in URL_ATTRIBUTES:
            return self._url(value)
        if name in _USERS:
            return value
        if (within := WITHIN.get(name)) is not None:
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
        """One string of the configuration.

        `appUrl` and others like it are relative to `baseUrl` in spite of their slash, so only what names the root is changed.
        """
        full = keys[-1] == "baseUrl" or (keys[-1].startswith("full") and keys[-1].endswith("Url"))
        own = value.startswith(self._path.inner) or value == self._path.inner[:-1]
        return self._path.outward(value) if own or (self._path.removed and full) else value


def _substituted(
    pattern: re.Pattern[bytes], change: Callable[[bytes], bytes], value: bytes
) -> bytes:
    """Return the value with the URLs changed that the pattern's second group finds."""
    changed = pattern.sub(lambda found: found[1] + change(found[2]), value)
    return value if changed == value else changed
