"""Documents of `meta.k8s.io`: Tables, and objects with their metadata only.

Source: Kubernetes docs, "API concepts", Receiving resources as Tables.
"""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.rows import Row

from .ages import since
from .columns import Column

META = "meta.k8s.io"


def table(
    row: Row,
    objects: list[Object],
    metadata: Object,
    include: str,
    *,
    definitions: bool = True,
    version: str = "v1",
) -> Object:
    """Return a Table of `meta.k8s.io`.

    Args:
        row: kind of the objects.
        objects: the objects.
        metadata: metadata of the list.
        include: how much of each object a row has: `None`, `Metadata` or `Object`.
        definitions: whether to include the columns; later events of a watch do not.
        version: version of `meta.k8s.io`.
    """
    return {
        "kind": "Table",
        "apiVersion": f"{META}/{version}",
        "metadata": metadata,
        "columnDefinitions": [_definition(column) for column in row.columns]
        if definitions
        else None,
        "rows": [_row(row, obj, include, version) for obj in objects],
    }


def partial(obj: Object, version: str = "v1") -> Object:
    """Return the metadata of an object as PartialObjectMetadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"{META}/{version}",
        "metadata": obj["metadata"],
    }


def partial_list(objects: list[Object], metadata: Object, version: str = "v1") -> Object:
    """Return the metadata of objects as PartialObjectMetadataList."""
    items = [partial(obj, version) for obj in objects]
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"{META}/{version}",
        "metadata": metadata,
        "items": items,
    }


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(row: Row, obj: Object, include: str, version: str) -> Object:
    answer: Object = {"cells": [_cell(column, obj) for column in row.columns]}
    if include == "Object":
        answer["object"] = obj
    elif include != "None":
        answer["object"] = partial(obj, version)
    return answer


def _cell(column: Column, obj: Object) -> Any:
    value = column.read(obj)
    return since(value) if column.since else value
