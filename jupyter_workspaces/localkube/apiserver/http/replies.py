"""Builds responses: objects and lists in the requested form, warnings, entity tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
from aiohttp import web

from jupyter_workspaces.common.documents import yaml_text
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.openapi import discovery
from jupyter_workspaces.localkube.apiserver.store.store import Stored
from jupyter_workspaces.localkube.apiserver.tables import tables

from . import forms
from .forms import JSON, YAML, Form
from .options import WriteResult
from .status import Refusal

_MOST_WARNING_LETTERS = 4096
_LONGEST_WARNING = 256


def answer(
    document: Object, code: int = 200, warnings: Iterable[str] = (), media: str = JSON
) -> web.Response:
    """Return a response with a document, in JSON or YAML."""
    body = yaml_text.dump(document).encode() if media == YAML else msgspec.json.encode(document)
    response = web.Response(body=body, status=code, content_type=media)
    for warning in _limited(warnings):
        response.headers.add("Warning", f'299 - "{_printable(warning)}"')
    return response


def _limited(warnings: Iterable[str]) -> Iterator[str]:
    """Yield the warnings that Kubernetes would send.

    If they are longer than 4 KiB together, each is truncated, and the rest is dropped.
    """
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
    """Return the response for an error."""
    response = answer(refusal.document(), refusal.code)
    if refusal.retry is not None:
        response.headers["Retry-After"] = str(refusal.retry)
    return response


def one(request: web.Request, row: Row, stored: Stored) -> web.Response:
    """Return a response with a stored object in the requested form.

    Plain JSON is sent from the stored bytes, without decoding.

    Raises:
        Refusal: 406 if the form is not available.
    """
    form = forms.requested_form(request)
    if form == Form():
        return web.Response(body=row.body(stored), content_type=JSON)
    return answer(_shaped(request, row, row.decode(stored), form), media=form.media)


def written(
    request: web.Request, row: Row, outcome: WriteResult, warnings: list[str]
) -> web.Response:
    """Return the response to a create or change.

    Raises:
        Refusal: 406 if the requested form is not available.
    """
    form = forms.requested_form(request)
    document = _shaped(request, row, outcome.object, form)
    return answer(
        document, 201 if outcome.created else 200, warnings + outcome.warnings, form.media
    )


def _shaped(request: web.Request, row: Row, obj: Object, form: Form) -> Object:
    match form.kind:
        case forms.TABLE:
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return tables.table(
                row, [obj], metadata, forms.include_object(request), version=form.version
            )
        case forms.PARTIAL:
            return tables.partial(obj, form.version)
        case forms.PARTIAL_LIST:
            raise forms.not_a_list(form, row.resource.kind)
    return obj


def listed(
    request: web.Request, row: Row, objects: list[Object], metadata: Object, form: Form
) -> web.Response:
    """Return a list in another form than plain JSON.

    Raises:
        Refusal: 406 if the form is not available.
    """
    match form.kind:
        case forms.TABLE:
            document = tables.table(
                row, objects, metadata, forms.include_object(request), version=form.version
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
    """Return a document with an entity tag; 304 if the client has it."""
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
    """Return an OpenAPI document; 304 if the client has it."""
    tag = f'"{content_hash}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers | {"Content-Type": media})


def _printable(text: str) -> str:
    """Return text that can stand in a quoted string of a header (RFC 9110, section 5.6.4)."""
    return (
        "".join(letter if letter.isprintable() else " " for letter in text)
        .replace("\\", "\\\\")
        .replace('"', '\\"')
    )
