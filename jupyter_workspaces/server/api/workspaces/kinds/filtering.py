"""Filter rules of a kind: which options a namespace may see and use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.selectors import is_valid, matches
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.views import WorkspaceKindView

_SCOPES = {"imageConfig": "IMAGE_CONFIG", "podConfig": "POD_CONFIG"}
_CONDITIONS = {"imageConfig": "matchImageConfig", "podConfig": "matchPodConfig"}


@dataclass(frozen=True)
class Context:
    """What the choice depends on: the Namespace object, and the options that are already chosen."""

    namespace: ObjectView | None = None
    image_config: str | None = None
    pod_config: str | None = None

    def chosen(self, dimension: str) -> str | None:
        """Return the id of the chosen option of a dimension."""
        return self.image_config if dimension == "imageConfig" else self.pod_config


@dataclass(frozen=True)
class Effect:
    """How a rule shows an option."""

    hide: bool = False
    deny: bool = False
    deny_message: str = ""


def unknown_options(kind: ObjectView, context: Context) -> list[Cause]:
    """Return a cause for each option of the context that the kind does not have."""
    causes = []
    for dimension in _SCOPES:
        known = [value["id"] for value in _values(kind, dimension)]
        wanted = context.chosen(dimension)
        if wanted is not None and wanted not in known:
            causes.append(
                invalid(
                    f"context.{dimension}.id",
                    wanted,
                    f"no such option; there is {', '.join(known)}",
                )
            )
    return causes


def effects(kind: ObjectView, context: Context) -> dict[tuple[str, str], Effect]:
    """Return the remaining options by dimension and id.

    A chosen option is the only one of its dimension.
    """
    found: dict[tuple[str, str], Effect] = {}
    for dimension, scope in _SCOPES.items():
        rules = list(_rules(kind, scope))
        for value in _values(kind, dimension):
            if context.chosen(dimension) not in (None, value["id"]):
                continue
            labels = _labels(kind, context) | {_CONDITIONS[dimension]: _spawner_labels(value)}
            effect = next((effect for match, effect in rules if _holds(match, labels)), {})
            api = effect.get("api") or {}
            if not api.get("hide"):
                text = (api.get("denyMessage") or {}).get("text", "") if api.get("deny") else ""
                found[dimension, value["id"]] = Effect(
                    bool((effect.get("ui") or {}).get("hide")), bool(api.get("deny")), text
                )
    return found


def _rules(
    kind: ObjectView, scope: str
) -> Iterator[tuple[list[tuple[str, ObjectView]], ObjectView]]:
    """Yield conditions and effect of each rule of a scope.

    Ignores invalid selectors, and rules without a valid one.
    """
    for rule in kind["spec"].get("filterRules") or ():
        if rule["scope"] != scope:
            continue
        conditions = [
            (name, found["selector"]) for match in rule["match"] for name, found in match.items()
        ]
        usable = [(name, selector) for name, selector in conditions if is_valid(selector)]
        if usable:
            yield usable, rule["effect"]


def _holds(
    conditions: list[tuple[str, ObjectView]], labels: Mapping[str, Mapping[str, str] | None]
) -> bool:
    return all(
        (held := labels.get(name)) is not None and matches(selector, held)
        for name, selector in conditions
    )


def _labels(kind: ObjectView, context: Context) -> dict[str, Mapping[str, str] | None]:
    """Return labels by condition; None if the context has none, which never matches."""
    namespace = (
        None
        if context.namespace is None
        else dict(context.namespace["metadata"].get("labels") or {})
    )
    found: dict[str, Mapping[str, str] | None] = {"matchNamespace": namespace}
    for dimension, condition in _CONDITIONS.items():
        chosen = [
            value for value in _values(kind, dimension) if value["id"] == context.chosen(dimension)
        ]
        found[condition] = _spawner_labels(chosen[0]) if chosen else None
    return found


def _spawner_labels(value: ObjectView) -> dict[str, str]:
    return {label["key"]: label["value"] for label in value["spawner"].get("labels") or ()}


def _values(kind: ObjectView, dimension: str) -> list[ObjectView]:
    values: list[ObjectView] = WorkspaceKindView(kind).pod_template["options"][dimension]["values"]
    return values
