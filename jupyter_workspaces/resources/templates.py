"""Renders the templates in values of a WorkspaceKind, and builds the paths that they contain.

Kubeflow renders these values with Go's text/template (https://pkg.go.dev/text/template) and one
function, `{{ httpPathPrefix "PORT_ID" }}`: the public path of a port of the workspace. Only a call
of this function is supported here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from . import metadata_keys

_BASE_URL = re.compile(r"(?:/(?!\.{1,2}/)[A-Za-z0-9._~@-]+){0,20}/")
_LONGEST_BASE_URL = 200
_CALL = re.compile(r'httpPathPrefix\s+(?:"([^"\\]*)"|`([^`]*)`)')


class TemplateError(ValueError):
    """The text contains an unsupported template. The message says which part."""


def connect_path(namespace: str, workspace: str, port_id: str, base: str = "/") -> str:
    """Return the public path of a port of a workspace; it ends with a slash.

    Args:
        namespace: namespace of the workspace.
        workspace: its name.
        port_id: id of the port in the kind.
        base: base URL of the server.
    """
    return f"{base}workspace/connect/{namespace}/{workspace}/{port_id}/"


def base_url(metadata: Mapping[str, Any]) -> str:
    """Return the base URL in the path that the programs of a workspace get.

    Args:
        metadata: metadata of a Workspace (for its next start) or of a pod (for its programs).

    Returns:
        Value of the annotation `metadata_keys.BASE_URL`; `/` if there is none, or one that
        programs could interpret differently (see `is_plain_base_url`).
    """
    found = (metadata.get("annotations") or {}).get(metadata_keys.BASE_URL)
    return found if isinstance(found, str) and is_plain_base_url(found) else "/"


def is_plain_base_url(url: str) -> bool:
    """Return whether all programs interpret a base URL in the same way.

    URLs with escapes, dot segments or more than 200 characters are not plain.
    """
    return len(url) <= _LONGEST_BASE_URL and _BASE_URL.fullmatch(url) is not None


def render(text: str, http_path_prefix: Callable[[str], str]) -> str:
    """Return the text with each template action replaced.

    Args:
        text: value of a kind.
        http_path_prefix: returns the replacement for a port id.

    Raises:
        TemplateError: an action does not end, or is not a call of `httpPathPrefix`.
    """
    parts: list[str] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            raise TemplateError(f"{_short(text[start:])} has no closing }}}}")
        before, action, after = text[at:start], text[start + 2 : end], end + 2
        # As in Go, `{{- ` and ` -}}` also remove the white space next to them.
        if action[:1] == "-" and action[1:2].isspace():
            before, action = before.rstrip(), action[1:]
        if action[-1:] == "-" and action[-2:-1].isspace():
            action = action[:-1]
            while text[after : after + 1].isspace():
                after += 1
        call = _CALL.fullmatch(action.strip())
        if call is None:
            raise TemplateError(
                f"{_short(text[start : end + 2])} is not supported; "
                'use {{ httpPathPrefix "port id" }}'
            )
        parts += (before, http_path_prefix(call[1] if call[1] is not None else call[2]))
        at = after
    return "".join((*parts, text[at:]))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
