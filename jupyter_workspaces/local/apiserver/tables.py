"""Lists as Tables, which is how kubectl asks for them (Kubernetes API concepts, “Receiving resources as Tables”)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from .rows import Column, Row

Object = dict[str, Any]

_NAME = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "Name must be unique within a namespace.",
    "priority": 0,
}
_AGE = {"name": "Age", "type": "string", "format": "", "description": "Time since the object was created.", "priority": 0}


def table(row: Row, objects: list[Object], metadata: Object, include: str, *, definitions: bool = True) -> Object:
    """A `meta.k8s.io/v1` Table. `include` is None, Metadata (the default) or Object."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": _definitions(row) if definitions else [],
        "rows": [_row(row, obj, include) for obj in objects],
    }


def _definitions(row: Row) -> list[Object]:
    columns = [
        {"name": column.name, "type": column.type, "format": "", "description": column.description, "priority": column.priority}
        for column in row.columns
    ]
    return [_NAME, *columns] if _has_age(row) else [_NAME, *columns, _AGE]


def _has_age(row: Row) -> bool:
    return any(column.name.lower() in ("age", "created at", "last seen") for column in row.columns)


def _row(row: Row, obj: Object, include: str) -> Object:
    cells: list[Any] = [obj["metadata"]["name"], *(_cell(column, obj) for column in row.columns)]
    if not _has_age(row):
        cells.append(_age(obj["metadata"].get("creationTimestamp")))
    answer: Object = {"cells": cells}
    if include == "Object":
        answer["object"] = obj
    elif include != "None":
        answer["object"] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
    return answer


def _cell(column: Column, obj: Object) -> Any:
    value = column.read(obj)
    return _age(value) if column.type == "date" and isinstance(value, str) else value


def _age(timestamp: str | None) -> str:
    """As kubectl words ages: 45s, 3m20s, 5h, 12d."""
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    seconds = max(0, int((datetime.now(timezone.utc) - then).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{hours // 24}d"
