"""Normalizes bodies: built-in kinds by their structures, custom ones by their schema.

Fields that the kind does not have are dropped and reported. Source: Kubernetes docs, "API
concepts", Field validation.
"""

from __future__ import annotations

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.status import Refusal, bad_request

from . import structures
from .decoding import WrongType, decode
from .rows import Row


def normalize(row: Row, obj: Object) -> list[str]:
    """Normalize an object in place. Return the paths of dropped fields.

    Raises:
        Refusal: 400 for a value of the wrong type.
    """
    found, unknown = _decoded(row, obj)
    obj.clear()
    obj.update(found)
    return sorted(unknown + row.strategy.unknown_fields(obj)) if row.custom else unknown


def check_types(row: Row, obj: Object) -> None:
    """Check the types of all fields.

    Raises:
        Refusal: 400 for a value of the wrong type.
    """
    _decoded(row, obj)


def _decoded(row: Row, obj: Object) -> tuple[Object, list[str]]:
    resource = row.resource
    structure = (
        None if row.custom else structures.of(resource.group, resource.version, resource.kind)
    )
    try:
        if structure is not None:
            return decode(structure, obj)
        metadata, unknown = decode(structures.OBJECT_META, obj["metadata"], "metadata")
        return obj | {"metadata": metadata}, unknown
    except WrongType as error:
        raise unreadable(row, str(error)) from error


def unreadable(row: Row, why: str) -> Refusal:
    """Return 400 for an object that is not of its kind."""
    kind = row.resource.kind
    return bad_request(
        f'{kind} in version "{row.resource.version}" cannot be handled as a {kind}: {why}'
    )
