"""HTML rewriting: URLs in attributes and in JupyterLab's configuration get the server's base URL."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .json_strings import JsonRewriter
from .rewriting import PublicPath
from .tokenizer import Tokenizer, attributes

MOST_ATTRIBUTES = 1000
"""A start tag with more attributes that have a value passes unchanged, so that the work on one tag is bounded."""

_URL_ATTRIBUTES = frozenset((b"src", b"href", b"action", b"formaction", b"poster"))
_MAY_HAVE_URL = re.compile(rb"=[\t\n\f\r ]*[\"']?[/h]")
_LAB_CONFIG = b"jupyter-config-data"


class HtmlRewriter(Tokenizer):
    """Rewrites URLs on their way to the browser. Feed it the body's bytes as they come, then `finish`."""

    def __init__(self, path: PublicPath) -> None:
        super().__init__()
        self._path = path
        self._config: JsonRewriter | None = None

    def start_tag(self, name: bytes, tag: bytes) -> bytes:
        if name == b"script" and any(one.name == b"id" and one.value == _LAB_CONFIG for one in attributes(tag)):
            self._config = JsonRewriter(self._config_string)
        return tag if _MAY_HAVE_URL.search(tag) is None else self._with_urls(tag)

    def raw_text(self, data: bytes) -> bytes:
        return data if self._config is None else self._config.feed(data)

    def raw_text_end(self) -> bytes:
        config, self._config = self._config, None
        return b"" if config is None else config.finish()

    def _with_urls(self, tag: bytes) -> bytes:
        parts: list[bytes] = []
        written = 0
        for number, attribute in enumerate(attributes(tag)):
            if number == MOST_ATTRIBUTES:
                return tag
            if attribute.name in _URL_ATTRIBUTES:
                parts += (tag[written : attribute.start], self._path.outward(attribute.value.decode("latin-1")).encode("latin-1"))
                written = attribute.end
        return b"".join((*parts, tag[written:]))

    def _config_string(self, keys: Sequence[str], value: str) -> str:
        """One string of the configuration.

        `appUrl` and others like it are relative to `baseUrl` in spite of their slash, so only what names the root is changed.
        """
        full = keys[-1] == "baseUrl" or (keys[-1].startswith("full") and keys[-1].endswith("Url"))
        own = value.startswith(self._path.inner) or value == self._path.inner[:-1]
        return self._path.outward(value) if own or (self._path.removed and full) else value
