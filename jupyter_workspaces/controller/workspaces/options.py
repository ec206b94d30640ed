"""Which image and size a workspace gets, and where its redirects lead (contracts/kubeflow-workspaces.md §4.5). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

DIMENSIONS = ("imageConfig", "podConfig")


class OptionError(Exception):
    """The kind does not offer what the workspace asks; the text says which and what to do."""


@dataclass(frozen=True)
class Option:
    """The option in use and the steps to the one that is desired in its place."""

    current: Object
    desired: str
    chain: tuple[tuple[str, str], ...]

    def status(self) -> dict[str, Any]:
        """As it stands in `status.podTemplateOptions`."""
        if not self.chain:
            return {}
        return {
            "desired": self.desired,
            "redirectChain": [
                {"source": source, "target": target} for source, target in self.chain
            ],
        }


def resolve(kind: Object, workspace: Object) -> dict[str, Option]:
    """The options by dimension. Raises `OptionError`."""
    return {dimension: _resolve(kind, workspace, dimension) for dimension in DIMENSIONS}


def _resolve(kind: Object, workspace: Object, dimension: str) -> Option:
    values = {
        value["id"]: value for value in kind["spec"]["podTemplate"]["options"][dimension]["values"]
    }
    start = workspace["spec"]["podTemplate"]["options"][dimension]
    what = "image" if dimension == "imageConfig" else "size"
    if start not in values:
        raise OptionError(
            f"The kind {kind['metadata']['name']} no longer offers the {what} “{start}”. Choose another: {', '.join(values)}."
        )
    chain: list[tuple[str, str]] = []
    current, seen = start, {start}
    while (target := (values[current].get("redirect") or {}).get("to")) is not None:
        if target not in values or target in seen:
            why = (
                "runs in a circle"
                if target in seen
                else f"leads to “{target}”, which does not exist"
            )
            raise OptionError(
                f"The redirect of the {what} “{start}” {why}. Ask who manages the kind {kind['metadata']['name']} to mend it."
            )
        chain.append((current, target))
        seen.add(target)
        current = target
    return Option(values[start], current, tuple(chain))
