"""Resolves the image and the size that a workspace uses, and follows their redirects.

A kind can redirect an option to another one of the same dimension. The workspace keeps the option
that it names, and its status shows the redirects, until a user or a paused workspace with
`deferUpdates: false` takes the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.views import DIMENSIONS, WorkspaceKindView, WorkspaceView


class OptionError(Exception):
    """The kind does not offer an option of the workspace. The message says what to do."""


@dataclass(frozen=True)
class Option:
    """An option that a workspace uses.

    Attributes:
        current: the option in the kind, with `id` and `spec`.
        desired: id of the option at the end of the redirects; the id of `current` without any.
        redirects: steps from `current` to `desired`, each as source and target.
    """

    current: ObjectView
    desired: str
    redirects: tuple[tuple[str, str], ...]

    def status(self) -> dict[str, Any]:
        """Return the entry of `status.podTemplateOptions`."""
        if not self.redirects:
            return {}
        return {
            "desired": self.desired,
            "redirectChain": [
                {"source": source, "target": target} for source, target in self.redirects
            ],
        }


def resolve(kind: ObjectView, workspace: ObjectView) -> dict[str, Option]:
    """Return the options of a workspace by dimension.

    Raises:
        OptionError: the kind does not have an option, or its redirects lead nowhere.
    """
    return {dimension: _resolve(kind, workspace, dimension) for dimension in DIMENSIONS}


def _resolve(kind: ObjectView, workspace: ObjectView, dimension: str) -> Option:
    kind_view = WorkspaceKindView(kind)
    values = kind_view.option_values(dimension)
    start = WorkspaceView(workspace).options[dimension]
    noun = "image" if dimension == "imageConfig" else "size"
    if start not in values:
        raise OptionError(
            f"The kind {kind_view.name} no longer offers the {noun} “{start}”. "
            f"Choose another: {', '.join(values)}."
        )
    redirects: list[tuple[str, str]] = []
    current, seen = start, {start}
    while (target := (values[current].get("redirect") or {}).get("to")) is not None:
        if target not in values or target in seen:
            problem = (
                "forms a cycle" if target in seen else f"leads to “{target}”, which is missing"
            )
            raise OptionError(
                f"The redirect of the {noun} “{start}” {problem}. "
                f"Ask your administrator to fix the workspace kind {kind_view.name}."
            )
        redirects.append((current, target))
        seen.add(target)
        current = target
    return Option(values[start], current, tuple(redirects))
