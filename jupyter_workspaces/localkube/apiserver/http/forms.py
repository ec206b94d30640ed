"""The form of a response, from the Accept header: object, Table or metadata; JSON or YAML.

Source: Kubernetes docs, "API concepts": Receiving resources as Tables, Metadata-only fetches,
Alternate representations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from jupyter_workspaces.localkube.apiserver.tables.tables import META

from . import protobuf
from .status import Refusal

JSON, YAML = "application/json", "application/yaml"
TABLE, PARTIAL, PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"

_OFFERED = (JSON, YAML)
_VERSIONS = ("v1", "v1beta1")
_NAMED = f"{JSON}, {YAML}, {protobuf.MEDIA}"
_WATCHED = f"{JSON};stream=watch, {protobuf.MEDIA};stream=watch"


@dataclass(frozen=True)
class Form:
    """Requested form of a response.

    Attributes:
        kind: `Table`, `PartialObjectMetadata` or its list; empty for the object itself.
        version: version of `meta.k8s.io`.
    """

    media: str = JSON
    kind: str = ""
    version: str = "v1"


@dataclass(frozen=True)
class _Clause:
    media: str
    parameters: dict[str, str]
    quality: float


def requested_form(request: web.Request) -> Form:
    """Return the available form that the request prefers.

    Raises:
        Refusal: 406 if none is available, such as protobuf only.
    """
    return _select(
        request.headers.get("Accept", ""),
        request.query.get("watch", "").lower() in ("1", "t", "true"),
    )


@lru_cache(maxsize=256)
def _select(accept: str, watched: bool) -> Form:
    clauses = sorted(_clauses(accept), key=lambda clause: -clause.quality)
    if not clauses:
        return Form()
    some = False
    for clause in clauses:
        some = some or clause.media == protobuf.MEDIA
        for media in _OFFERED:
            if clause.media not in (media, "*/*", f"{media.partition('/')[0]}/*"):
                continue
            some = some or clause.media in (media, "*/*")
            form = _form(media, clause.parameters)
            if form is not None and not (watched and media == YAML):
                return form
    if some:
        raise Refusal(
            406,
            "NotAcceptable",
            f"only the following media types are accepted: {_WATCHED if watched else _NAMED}",
        )
    raise Refusal(
        406,
        "NotAcceptable",
        f"406: Not Acceptable\n\nAvailable representations: {_NAMED}",
        details={},
    )


def _form(media: str, parameters: dict[str, str]) -> Form | None:
    """Return the form of a clause of the Accept header; None if it is not available."""
    if (kind := parameters.get("as")) is None:
        return Form(media)
    known = (
        kind in (TABLE, PARTIAL, PARTIAL_LIST)
        and parameters.get("g") == META
        and parameters.get("v") in _VERSIONS
    )
    return Form(media, kind, parameters["v"]) if known else None


def _clauses(accept: str) -> Iterator[_Clause]:
    """Yield the clauses of an Accept header (RFC 9110, section 12.5.1); skip invalid ones."""
    for part in accept.split(","):
        media, *given = (piece.strip() for piece in part.split(";"))
        parameters = {
            key.strip().lower(): value.strip().strip('"')
            for key, _, value in (piece.partition("=") for piece in given)
        }
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if media and quality > 0:
            yield _Clause(media.lower(), parameters, quality)


def include_object(request: web.Request) -> str:
    """Return how much of the object a Table's row has: `None`, `Metadata` or `Object`.

    Raises:
        Refusal: 400 for another value.
    """
    found = request.query.get("includeObject", "") or "Metadata"
    if found not in ("None", "Metadata", "Object"):
        text = (
            "Unable to convert to Table as requested: includeObject: Invalid value: "
            f"\"{found}\": must be 'Metadata', 'Object', 'None', or empty"
        )
        raise Refusal(400, "BadRequest", text)
    return found


def not_a_list(form: Form, kind: str) -> Refusal:
    """Return the error for a form of lists that is requested for an object."""
    return Refusal(
        406,
        "NotAcceptable",
        f"you requested {form.kind}, but the requested object is not a list ({kind})",
    )


def a_list(form: Form, kind: str) -> Refusal:
    """Return the error for a form of objects that is requested for a list."""
    return Refusal(
        406,
        "NotAcceptable",
        f"you requested {form.kind}, but the requested object is a list ({kind})",
    )
