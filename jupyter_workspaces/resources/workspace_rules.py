"""Admission rules for a Workspace that matches its OpenAPI schema.

On create: name, labels and annotations, mount paths, the kind and its options. On update only the
parts that changed are checked, so that a workspace from before a rule can still be paused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.labels import check_annotations, check_labels
from jupyter_workspaces.kube.types import ObjectView

from . import mount_paths
from .rule_lookup import Lookup
from .views import DIMENSIONS, WorkspaceKindView

NAME_LENGTH = 63
_SHOWN_NAMES = 10


def check(old: ObjectView | None, new: ObjectView, lookup: Lookup) -> list[Cause]:
    """Return the causes that refuse the new object; only changed parts are checked on update."""
    if new["metadata"].get("deletionTimestamp"):
        return []
    spec, old_spec = new.get("spec"), (old or {}).get("spec")
    if not isinstance(spec, Mapping) or not isinstance(spec.get("podTemplate"), Mapping):
        return [Cause("FieldValueRequired", "Required value", "spec")]
    template, old_template = spec["podTemplate"], (old_spec or {}).get("podTemplate") or {}
    causes: list[Cause] = []
    if old_spec is None:
        causes += _check_name(new["metadata"]["name"])
    if template.get("podMetadata") != old_template.get("podMetadata"):
        causes += check_pod_metadata(
            template.get("podMetadata") or {}, "spec.podTemplate.podMetadata"
        )
    volumes = template.get("volumes") or {}
    if volumes != (old_template.get("volumes") or {}):
        kind_template = ((lookup.kind(spec["kind"]) or {}).get("spec") or {}).get("podTemplate")
        causes += mount_paths.clashes(volumes, kind_template, "spec.podTemplate")
    options, old_options = template["options"], old_template.get("options") or {}
    if old_spec is None or options != old_options or spec["kind"] != old_spec.get("kind"):
        causes += _check_options(spec["kind"], options, old_options, lookup)
    return causes


def check_pod_metadata(metadata: ObjectView, path: str) -> list[Cause]:
    """Return causes for invalid labels and annotations that a pod would get.

    Args:
        metadata: `podMetadata` of a Workspace or a WorkspaceKind.
        path: its path in the object, for the fields of the causes.
    """
    return [
        *check_labels(metadata.get("labels"), f"{path}.labels"),
        *check_annotations(metadata.get("annotations"), f"{path}.annotations"),
    ]


def _check_options(
    kind_name: str, options: Mapping[str, str], old_options: Mapping[str, str], lookup: Lookup
) -> list[Cause]:
    kind = lookup.kind(kind_name)
    if kind is None:
        message = _unknown("workspace kind", kind_name, lookup.kind_names())
        return [invalid("spec.kind", kind_name, message)]
    causes = []
    for dimension in DIMENSIONS:
        chosen, known = options[dimension], WorkspaceKindView(kind).option_values(dimension)
        if chosen not in known and chosen != old_options.get(dimension):
            field = f"spec.podTemplate.options.{dimension}"
            message = _unknown(f"option of kind {kind_name}", chosen, known)
            causes.append(invalid(field, chosen, message))
    return causes


def _check_name(name: str) -> list[Cause]:
    # The controller uses the name as the value of a label and in the name of a Service, so a
    # workspace with a longer name or with dots could never start.
    if len(name) <= NAME_LENGTH and "." not in name:
        return []
    message = f"the name of a workspace has at most {NAME_LENGTH} characters and no dots"
    return [invalid("metadata.name", name, message)]


def _unknown(what: str, value: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = get_close_matches(value, names, 1)
    if close:
        hint = f"did you mean {close[0]}?"
    elif names:
        hint = f"available: {', '.join(names[:_SHOWN_NAMES])}"
    else:
        hint = "none exist yet"
    return f"no such {what}; {hint}"
