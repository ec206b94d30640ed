"""Answers as they go over the wire: objects and lists in the form that is asked for, warnings, entity tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web

from jupyter_workspaces.common.documents import yaml_text
from jupyter_workspaces.localkube.apiserver.objects.engine import Written
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.openapi import discovery
from jupyter_workspaces.localkube.apiserver.store.store import Stored
from jupyter_workspaces.localkube.apiserver.tables import tables

from . import forms
from .forms import JSON, YAML, Form
from .status import Refusal

Object = dict[str, Any]

_MOST_WARNING_LETTERS = 4096
_LONGEST_WARNING = 256


def answer(
    document: Object, code: int = 200, warnings: Iterable[str] = (), media: str = JSON
) -> web.Response:
    body = yaml_text.dump(document).encode() if media == YAML else msgspec.json.encode(document)
    response = web.Response(body=body, status=code, content_type=media)
    for warning in _few(warnings):
        response.headers.add("Warning", f'299 - "{_printable(warning)}"')
    return response


def _few(warnings: Iterable[str]) -> Iterator[str]:
    """As many as Kubernetes tells: once they are longer than 4 KiB together, no more of them, and each cut off."""
    given = list(islice(warnings, _MOST_WARNING_LETTERS))
    if sum(map(len, given)) <= _MOST_WARNING_LETTERS:
        yield from given
        return
    letters = 0
    for warning in given:
        letters += len(warning[:_LONGEST_WARNING])
        if letters > _MOST_WARNING_LETTERS:
            return
        yield warning[:_LONGEST_WARNING]


def refused(refusal: Refusal) -> web.Response:
    response = answer(refusal.document(), refusal.code)
    if refusal.retry is not None:
        response.headers["Retry-After"] = str(refusal.retry)
    return response


def one(request: web.Request, row: Row, stored: Stored) -> web.Response:
    """A stored object, its bytes as they are where it is asked for as it is. Raises `Refusal` 406."""
    form = forms.asked(request)
    if form == Form():
        return web.Response(body=row.body(stored), content_type=JSON)
    return answer(_shaped(request, row, row.decode(stored), form), media=form.media)


def written(request: web.Request, row: Row, outcome: Written, warnings: list[str]) -> web.Response:
    """What a create or change made of an object. Raises `Refusal` 406."""
    form = forms.asked(request)
    document = _shaped(request, row, outcome.object, form)
    return answer(
        document, 201 if outcome.created else 200, warnings + outcome.warnings, form.media
    )


def _shaped(request: web.Request, row: Row, obj: Object, form: Form) -> Object:
    match form.kind:
        case forms.TABLE:
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return tables.table(row, [obj], metadata, forms.include(request), version=form.version)
        case forms.PARTIAL:
            return tables.partial(obj, form.version)
        case forms.PARTIAL_LIST:
            raise forms.not_a_list(form, row.resource.kind)
    return obj


def listed(
    request: web.Request, row: Row, objects: list[Object], metadata: Object, form: Form
) -> web.Response:
    """A list in another form than plain JSON. Raises `Refusal` 406."""
    match form.kind:
        case forms.TABLE:
            document = tables.table(
                row, objects, metadata, forms.include(request), version=form.version
            )
        case forms.PARTIAL_LIST:
            document = tables.partial_list(objects, metadata, form.version)
        case forms.PARTIAL:
            raise forms.a_list(form, f"{row.resource.kind}List")
        case _:
            kind = {"kind": f"{row.resource.kind}List", "apiVersion": row.resource.api_version}
            document = {**kind, "metadata": metadata, "items": objects}
    return answer(document, media=form.media)


def tagged(request: web.Request, document: Object, media: str) -> web.Response:
    """A document with the tag of its content, 304 to those who have it."""
    tag = discovery.etag(document)
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    return web.Response(
        body=msgspec.json.encode(document),
        headers={"ETag": tag, "Content-Type": media, "Vary": "Accept", "Cache-Control": "public"},
    )


def document(
    request: web.Request, body: bytes, content_hash: str, media: str = JSON
) -> web.Response:
    """A document of OpenAPI, 304 to those who have it."""
    tag = f'"{content_hash}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers | {"Content-Type": media})


def _printable(text: str) -> str:
    """Text that can stand between quotation marks in a header (RFC 7234 §5.5)."""
    return (
        "".join(letter if letter.isprintable() else " " for letter in text)
        .replace("\\", "\\\\")
        .replace('"', '\\"')
    )
