"""Rules for a Workspace that fits its schema (contracts/kubeflow-workspaces.md §3.1, §4.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.labels import check_annotations, check_labels

from . import mount_paths
from .admission import Lookup

Object = Mapping[str, Any]

NAME_LENGTH = 63


def check(old: Object | None, new: Object, lookup: Lookup) -> list[Cause]:
    """Causes against the new object. On update only what changed is looked at, so that an old object can still be paused."""
    if new["metadata"].get("deletionTimestamp"):
        return []
    spec, before = new.get("spec"), (old or {}).get("spec")
    if not isinstance(spec, Mapping) or not isinstance(spec.get("podTemplate"), Mapping):
        return [Cause("FieldValueRequired", "Required value", "spec")]
    causes: list[Cause] = []
    template = spec["podTemplate"]
    template_before = (before or {}).get("podTemplate") or {}
    if before is None:
        causes += _check_name(new["metadata"]["name"])
    if template.get("podMetadata") != template_before.get("podMetadata"):
        causes += check_pod_metadata(
            template.get("podMetadata") or {}, "spec.podTemplate.podMetadata"
        )
    volumes = template.get("volumes") or {}
    if volumes != (template_before.get("volumes") or {}):
        kind_template = ((lookup.kind(spec["kind"]) or {}).get("spec") or {}).get("podTemplate")
        causes += mount_paths.clashes(volumes, kind_template, "spec.podTemplate")
    options, options_before = template["options"], template_before.get("options") or {}
    if before is not None and options == options_before and spec["kind"] == before.get("kind"):
        return causes
    kind = lookup.kind(spec["kind"])
    if kind is None:
        causes.append(
            invalid(
                "spec.kind",
                spec["kind"],
                _unknown("workspace kind", spec["kind"], lookup.kind_names()),
            )
        )
        return causes
    for dimension in ("imageConfig", "podConfig"):
        ids = [value["id"] for value in kind["spec"]["podTemplate"]["options"][dimension]["values"]]
        if options[dimension] not in ids and options[dimension] != options_before.get(dimension):
            field = f"spec.podTemplate.options.{dimension}"
            causes.append(
                invalid(
                    field,
                    options[dimension],
                    _unknown(f"option of kind {spec['kind']}", options[dimension], ids),
                )
            )
    return causes


def check_pod_metadata(metadata: Object, path: str) -> list[Cause]:
    """Syntax of labels and annotations that a pod will get."""
    return [
        *check_labels(metadata.get("labels"), f"{path}.labels"),
        *check_annotations(metadata.get("annotations"), f"{path}.annotations"),
    ]


def _check_name(name: str) -> list[Cause]:
    # The name becomes a label's value and a part of the Service's name; longer or dotted ones would be stuck for ever (contract §9, no. 16).
    if len(name) > NAME_LENGTH or "." in name:
        return [
            invalid(
                "metadata.name",
                name,
                f"a workspace's name has at most {NAME_LENGTH} characters and no dots",
            )
        ]
    return []


def _unknown(what: str, value: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = get_close_matches(value, names, 1)
    hint = (
        f"; did you mean {close[0]}?"
        if close
        else f"; there is {', '.join(names[:10])}"
        if names
        else "; there is none yet"
    )
    return f"no such {what}{hint}"
