"""The templates in a kind's values: `{{ httpPathPrefix "jupyterlab" }}` and nothing else (contracts/kubeflow-workspaces.md §4.4)."""

from __future__ import annotations

import re
from collections.abc import Callable

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_CALL = re.compile(r'httpPathPrefix\s+(?:"([^"\\]*)"|`([^`]*)`)')


class TemplateError(ValueError):
    """The text is no template that we know."""


def connect_path(namespace: str, workspace: str, port_id: str) -> str:
    """The public path of a workspace's port; it ends with a slash."""
    return f"/workspace/connect/{namespace}/{workspace}/{port_id}/"


def render(text: str, http_path_prefix: Callable[[str], str]) -> str:
    """The text with each action replaced by what `http_path_prefix` gives for its port id. Raises `TemplateError`."""

    def replace(action: re.Match[str]) -> str:
        call = _CALL.fullmatch(action[1])
        if call is None:
            raise TemplateError(f'{action[0]!r} is not known: only {{{{ httpPathPrefix "port id" }}}} is')
        return http_path_prefix(call[1] if call[1] is not None else call[2])

    rendered = _ACTION.sub(replace, text)
    if "{{" in rendered or "}}" in rendered:
        raise TemplateError(f"{text!r} has an action that does not end")
    return rendered
