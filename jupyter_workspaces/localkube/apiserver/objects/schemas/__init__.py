"""Schemas of the built-in kinds as Kubernetes publishes them in OpenAPI v3: types, defaults, merge keys, list types; no prose.

The data beside this file is written by `tools/kubernetes_schemas.py` from a running API server. A file holds one package of types.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from jupyter_workspaces.kube.catalog import Resource

Schema = dict[str, Any]

FOLDER = Path(__file__).resolve().parent
REFERENCE = "#/components/schemas/"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@cache
def package(name: str) -> dict[str, Schema]:
    """All schemas of a package (`io.k8s.api.core.v1`), by full name. Not to be changed."""
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=dict[str, Schema])


def named(name: str) -> Schema:
    """A schema by full name (`io.k8s.api.core.v1.Pod`) or by reference to it. Not to be changed. Raises `KeyError`."""
    name = name.removeprefix(REFERENCE)
    try:
        return package(name.rpartition(".")[0])[name]
    except OSError as error:
        raise KeyError(name) from error


@cache
def packages() -> tuple[str, ...]:
    """Names of all packages."""
    return tuple(sorted(file.name.removesuffix(".json") for file in FOLDER.glob("*.json")))


@cache
def _names() -> dict[tuple[str, str, str], str]:
    found = {}
    for each in packages():
        for name, schema in package(each).items():
            for kind in schema.get("x-kubernetes-group-version-kind") or ():
                found[(kind["group"], kind["version"], kind["kind"])] = name
    return found


def name_of(group: str, version: str, kind: str) -> str | None:
    """The full name of a kind's schema."""
    return _names().get((group, version, kind))


def of(resource: Resource) -> Schema | None:
    """The schema of a built-in kind; None for a kind that Kubernetes does not bring."""
    name = name_of(resource.group, resource.version, resource.kind)
    return None if name is None else named(name)
