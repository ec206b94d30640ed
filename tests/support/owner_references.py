"""A workspace, objects that it controls, and forged owner references."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACES

WORKSPACE: Object = {
    "apiVersion": WORKSPACES.api_version,
    "kind": WORKSPACES.kind,
    "metadata": {"namespace": "team", "name": "lab", "uid": "the-uid"},
    "status": {"podTemplatePod": {"name": "ws-lab-abcde-0"}},
}
STATEFUL_SET: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"namespace": "team", "name": "ws-lab-abcde", "uid": "of-the-set"},
}
REFERENCE = {
    "apiVersion": WORKSPACES.api_version,
    "kind": WORKSPACES.kind,
    "name": "lab",
    "uid": "the-uid",
    "controller": True,
}
LABELS = {metadata_keys.WORKSPACE_NAME: "lab"}


def owned(name: str, **rest: Any) -> Object:
    return {
        "metadata": {
            "namespace": "team",
            "name": name,
            "labels": dict(LABELS),
            "ownerReferences": [dict(REFERENCE)],
        },
        **rest,
    }


def pod() -> Object:
    found = owned("ws-lab-abcde-0")
    reference = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": "ws-lab-abcde",
        "uid": "of-the-set",
        "controller": True,
    }
    found["metadata"]["ownerReferences"] = [reference]
    return found


def changed(obj: Object, **reference: Any) -> Object:
    found = deepcopy(obj)
    found["metadata"]["ownerReferences"][0] |= reference
    return found


FORGED: dict[str, Callable[[Object], Object]] = {
    "another namespace": lambda obj: obj | {"metadata": obj["metadata"] | {"namespace": "mallory"}},
    "another uid": lambda obj: changed(obj, uid="another"),
    "another name": lambda obj: changed(obj, name="another"),
    "another kind": lambda obj: changed(obj, kind="Pod"),
    "another group": lambda obj: changed(obj, apiVersion="mallory.example.org/v1beta1"),
    "no controller": lambda obj: changed(obj, controller=False),
    "a controller that is no boolean": lambda obj: changed(obj, controller="true"),
    "no owner": lambda obj: obj | {"metadata": obj["metadata"] | {"ownerReferences": None}},
}
