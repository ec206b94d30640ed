"""Workspaces and kinds for tests, validated as the API server does: schema, then rules."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.schemas import structural
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import bundled
from jupyter_workspaces.resources.admission import Review, review
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

SCHEMAS = {
    found["spec"]["names"]["kind"]: found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for found in bundled.crds()
}
ABSENT = object()


def bench() -> Object:
    """A small kind with everything that is required, as it is stored."""
    return stored(
        {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "WorkspaceKind",
            "metadata": {"name": "bench"},
            "spec": {
                "spawner": {
                    "displayName": "Workbench",
                    "description": "A bench to work on",
                    "icon": {"url": "https://pictures.example/i.svg"},
                    "logo": {"url": "https://pictures.example/l.svg"},
                },
                "podTemplate": {
                    "volumeMounts": {"home": "/home/me"},
                    "ports": [{"id": "web", "protocol": "HTTP", "defaultDisplayName": "Web page"}],
                    "options": {
                        "imageConfig": {
                            "spawner": {"default": "a"},
                            "values": [image("a"), image("b")],
                        },
                        "podConfig": {
                            "spawner": {"default": "small"},
                            "values": [size("small"), size("large")],
                        },
                    },
                },
            },
        }
    )


def image(name: str) -> Object:
    spec = {"image": "registry.example/std:1", "ports": [{"id": "web", "port": 8888}]}
    return {"id": name, "spawner": {"displayName": f"Image {name}"}, "spec": spec}


def size(name: str) -> Object:
    return {
        "id": name,
        "spawner": {"displayName": f"Size {name}"},
        "spec": {"resources": {"requests": {"cpu": "100m"}}},
    }


def workspace(name: str = "dora") -> Object:
    options = {"imageConfig": "a", "podConfig": "small"}
    volumes = {
        "home": "home-of-dora",
        "data": [{"pvcName": "pile", "mountPath": "/data/pile"}],
        "secrets": [],
    }
    return stored(
        {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Workspace",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"kind": "bench", "podTemplate": {"volumes": volumes, "options": options}},
        }
    )


def stored(obj: Object) -> Object:
    """Pruned and defaulted."""
    found: Object = structural.default(
        SCHEMAS[obj["kind"]], structural.prune(SCHEMAS[obj["kind"]], obj)
    )
    return found


def changed(obj: Object, path: str, value: Any) -> Object:
    """A copy with the value at `spec.x.0.y` in place of what is there; `ABSENT` takes it away."""
    copied = copy.deepcopy(obj)
    found: Any = copied
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        found = found[step] if isinstance(step, int) else found.setdefault(step, {})
    if value is ABSENT:
        del found[last]
    elif isinstance(last, int) and last == len(found):
        found.append(value)
    else:
        found[last] = value
    return copied


class Lookup:
    def __init__(self, kinds: Iterable[Object] = (), workspaces: Iterable[Object] = ()) -> None:
        self.kinds = {kind["metadata"]["name"]: kind for kind in kinds}
        self.workspaces = list(workspaces)

    def kind(self, name: str) -> Object | None:
        return self.kinds.get(name)

    def kind_names(self) -> list[str]:
        return list(self.kinds)

    def workspaces_of_kind(self, kind: str) -> list[Object]:
        return [found for found in self.workspaces if found["spec"]["kind"] == kind]


def judge(new: Object, old: Object | None = None, lookup: Lookup | None = None) -> Review:
    """Schema, and where that holds the rules."""
    new = stored(new)
    causes = structural.validate(SCHEMAS[new["kind"]], new, old=old)
    if causes:
        return Review(causes)
    resource: Resource = WORKSPACES if new["kind"] == "Workspace" else WORKSPACE_KINDS
    return review(
        resource, "CREATE" if old is None else "UPDATE", old, new, lookup or Lookup([bench()])
    )


def pairs(review: Review) -> set[tuple[str, str]]:
    """What a client sees: type and field, the reason's common beginning left out."""
    return {(cause.reason.removeprefix("FieldValue"), cause.field) for cause in review.causes}
