"""Answers as they go over the wire: JSON, Tables where a client asks for them, warnings, entity tags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from . import discovery, tables
from .engine import Written
from .rows import Row
from .status import Refusal
from .store import Stored

Object = dict[str, Any]

JSON = "application/json"
_TABLE = re.compile(r"application/json;[^,]*\bas=Table\b")


def wants_table(request: web.Request) -> bool:
    return _TABLE.search(request.headers.get("Accept", "")) is not None


def include(request: web.Request) -> str:
    """How much of each object a Table's rows carry: None, Metadata or Object."""
    return request.query.get("includeObject", "Metadata")


def answer(document: Object, code: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    response = web.Response(body=msgspec.json.encode(document), status=code, content_type=JSON)
    for warning in warnings:
        response.headers.add("Warning", f'299 - "{_printable(warning)}"')
    return response


def refused(refusal: Refusal) -> web.Response:
    response = answer(refusal.document(), refusal.code)
    if refusal.retry is not None:
        response.headers["Retry-After"] = str(refusal.retry)
    return response


def one(request: web.Request, row: Row, stored: Stored) -> web.Response:
    """A stored object, its bytes as they are."""
    if wants_table(request):
        return answer(tables.table(row, [row.decode(stored)], {"resourceVersion": str(stored.revision)}, include(request)))
    return web.Response(body=row.body(stored), content_type=JSON)


def written(request: web.Request, row: Row, outcome: Written, warnings: list[str]) -> web.Response:
    """What a create or change made of an object."""
    document = outcome.object
    if wants_table(request):
        metadata = {"resourceVersion": document["metadata"].get("resourceVersion", "")}
        document = tables.table(row, [document], metadata, include(request))
    return answer(document, 201 if outcome.created else 200, warnings + outcome.warnings)


def tagged(request: web.Request, document: Object, media: str) -> web.Response:
    """A document with the tag of its content, 304 to those who have it."""
    tag = discovery.etag(document)
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    return web.Response(
        body=msgspec.json.encode(document), headers={"ETag": tag, "Content-Type": media, "Vary": "Accept", "Cache-Control": "public"}
    )


def document(request: web.Request, body: bytes, content_hash: str) -> web.Response:
    """A document of OpenAPI, 304 to those who have it."""
    tag = f'"{content_hash}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers | {"Content-Type": JSON})


def _printable(text: str) -> str:
    """Text that can stand between quotation marks in a header (RFC 7234 §5.5)."""
    return "".join(letter if letter.isprintable() else " " for letter in text).replace("\\", "\\\\").replace('"', '\\"')
