"""The templates in a kind's values: `{{ httpPathPrefix "jupyterlab" }}` and nothing else (contracts/kubeflow-workspaces.md §4.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from . import metadata_keys

_BASE_URL = re.compile(r"(?:/(?!\.{1,2}/)[A-Za-z0-9._~@-]+){0,20}/")
_LONGEST_BASE_URL = 200
_CALL = re.compile(r'httpPathPrefix\s+(?:"([^"\\]*)"|`([^`]*)`)')


class TemplateError(ValueError):
    """The text is no template that we know."""


def connect_path(namespace: str, workspace: str, port_id: str, base: str = "/") -> str:
    """The public path of a workspace's port, below the base URL of a server; it ends with a slash."""
    return f"{base}workspace/connect/{namespace}/{workspace}/{port_id}/"


def base_url(metadata: Mapping[str, Any]) -> str:
    """Return the base URL in the path that a workspace's programs get, by the annotation `names.BASE_URL`.

    `metadata` is of a Workspace (for its next start) or of a pod (for the programs that run). `/` where it says none, or one that
    programs could read in two ways: with escapes, dots or more than 200 characters.
    """
    found = (metadata.get("annotations") or {}).get(metadata_keys.BASE_URL)
    return found if isinstance(found, str) and is_plain_base_url(found) else "/"


def is_plain_base_url(url: str) -> bool:
    """Return whether every program reads a base URL as it is written."""
    return len(url) <= _LONGEST_BASE_URL and _BASE_URL.fullmatch(url) is not None


def render(text: str, http_path_prefix: Callable[[str], str]) -> str:
    """The text with each action replaced by what `http_path_prefix` gives for its port id. Raises `TemplateError`."""
    parts: list[str] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            raise TemplateError(f"{_short(text[start:])} does not end")
        before, action, after = text[at:start], text[start + 2 : end], end + 2
        # `{{- ` and ` -}}` also take the blanks beside them.
        if action[:1] == "-" and action[1:2].isspace():
            before, action = before.rstrip(), action[1:]
        if action[-1:] == "-" and action[-2:-1].isspace():
            action = action[:-1]
            while text[after : after + 1].isspace():
                after += 1
        call = _CALL.fullmatch(action.strip())
        if call is None:
            raise TemplateError(
                f'{_short(text[start : end + 2])} is not known: only {{{{ httpPathPrefix "port id" }}}} is'
            )
        parts += (before, http_path_prefix(call[1] if call[1] is not None else call[2]))
        at = after
    return "".join((*parts, text[at:]))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
