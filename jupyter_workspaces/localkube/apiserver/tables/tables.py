"""Lists as Tables, which is how kubectl asks for them (Kubernetes API concepts, “Receiving resources as Tables”)."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.localkube.apiserver.objects.rows import Row

from .ages import since
from .columns import Column

Object = dict[str, Any]

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
    """A Table of `meta.k8s.io`. `include` is None, Metadata or Object; later pieces of a watch come without `definitions`."""
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
    """An object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"{META}/{version}",
        "metadata": obj["metadata"],
    }


def partial_list(objects: list[Object], metadata: Object, version: str = "v1") -> Object:
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
