"""Decodes request bodies like Go's `encoding/json`, on which clients of the original rely.

Field names match in any case, missing and null fields get zero values, repeated objects are
merged, and everything after the first value is ignored.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from jupyter_workspaces.common.documents import json_text
from jupyter_workspaces.common.documents.bounds import Bounds, TooLarge
from jupyter_workspaces.kube.causes import required
from jupyter_workspaces.server.http import problems
from jupyter_workspaces.server.http.problems import Problem

Model = TypeVar("Model", bound=msgspec.Struct)

BODY_LIMIT = 4 * 2**20
BOUNDS = Bounds(size=BODY_LIMIT + 1, depth=100, values=50_000)
"""Limits of a JSON body: a larger one would block the event loop while it is checked."""

_TOKEN = r"[\w!#$%&'*+.^`|~-]+"
_CONTENT_TYPE = re.compile(
    rf'{_TOKEN}(/{_TOKEN})?(\s*;\s*{_TOKEN}=({_TOKEN}|"[^"]*"))*\s*;?', re.ASCII
)
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_BLANKS = b" \t\r\n"
_ZEROS: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False}


def media_type(header: str, *wanted: str) -> str:
    """Return the media type of a `Content-Type` header.

    Raises `Problem` 400 if the header is invalid, 415 if the type is not `wanted`.
    """
    given = header.partition(";")[0].strip().lower()
    if header.strip() and not _CONTENT_TYPE.fullmatch(header.strip()):
        raise problems.bad_request("The Content-Type cannot be read.")
    if given not in wanted:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the body as {' or '.join(wanted)}.")
    return given


def within_limit(body: bytes) -> bytes:
    """Return the body. Raises `Problem` 413 if it is too long."""
    if len(body) > BODY_LIMIT:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {BODY_LIMIT} bytes."
        )
    return body


def first_value(body: bytes) -> Any:
    """Decode the first JSON value of a body, and ignore what follows.

    Raises `Problem` 400, and 413 if the value ends beyond the limit.
    """
    read = body[:BODY_LIMIT].lstrip(_BLANKS)
    text = read.decode(errors="replace")
    try:
        json_text.check(read, BOUNDS)
        value, _ = _DECODER.raw_decode(text)
    except TooLarge as error:
        raise problems.too_large(str(error)) from error
    except (ValueError, RecursionError) as error:
        within_limit(body)
        raise problems.bad_request(
            f"The body is not JSON: {error}" if text else "The body is empty; send JSON."
        ) from error
    return _whole(value) if _SURROGATE.search(text) else value


def enveloped(body: bytes, model: type[Model]) -> Model:
    """Decode `data` of a body's envelope.

    Raises `Problem` 400 (no JSON, wrong type, unknown field), 413, and 422 if `data` is missing.
    """
    document = first_value(body)
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise problems.bad_request('The body must be an object {"data": …}.')
    unknown = [key for key in document if key.lower() != "data"]
    if unknown:
        raise problems.bad_request(
            f'The body has an unknown field "{unknown[0]}"; it must be an object {{"data": …}}.'
        )
    data: Any = None
    for value in document.values():
        data = _both(data, value)
    if data is None:
        raise problems.invalid([required("data")])
    return converted(data, model)


def converted(data: Any, model: type[Model]) -> Model:
    """Return a model for decoded JSON. Raises `Problem` 400."""
    try:
        return msgspec.convert(fitted(data, model), model)
    except (msgspec.ValidationError, RecursionError) as error:
        raise problems.bad_request(f"The body cannot be understood: {error}") from error


def fitted(value: Any, wanted: Any) -> Any:
    """Return a value with the field names of its type and without nulls.

    What does not match the type stays as it is.
    """
    wanted = _bare(wanted)
    if value is None:
        return _ZEROS.get(wanted, {} if _is_struct(wanted) else None)
    if isinstance(value, dict) and _is_struct(wanted):
        return _fitted_struct(value, wanted)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if isinstance(value, dict) and origin is dict:
        return {key: fitted(child, arguments[1]) for key, child in value.items()}
    if isinstance(value, list) and origin is list:
        return [fitted(child, arguments[0]) for child in value]
    return value


def _fitted_struct(value: Mapping[str, Any], wanted: type[msgspec.Struct]) -> dict[str, Any]:
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(wanted)}
    by_case = {name.lower(): name for name in fields}
    found: dict[str, Any] = {}
    for key, child in value.items():
        name = key if key in fields else by_case.get(key.lower(), key)
        if child is None:
            if name not in fields:
                found[name] = None  # unknown even so
            continue
        fits = fitted(child, fields[name]) if name in fields else child
        found[name] = _both(found.get(name), fits)
    return found


def _bare(wanted: Any) -> Any:
    """Return a type without `UnsetType`, `None` and annotations."""
    if typing.get_origin(wanted) is typing.Annotated:
        return _bare(typing.get_args(wanted)[0])
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        left = [
            one for one in typing.get_args(wanted) if one not in (msgspec.UnsetType, type(None))
        ]
        return _bare(left[0]) if len(left) == 1 else wanted
    return wanted


def _is_struct(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)


def _both(first: Any, second: Any) -> Any:
    """Merge two values of one name: objects are merged, otherwise the second wins.

    May change the first, so that many values stay cheap.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        for key, value in second.items():
            first[key] = _both(first.get(key), value)
        return first
    return first if second is None else second


def _whole(value: Any) -> Any:
    """Replace lone surrogates, which no other text can contain."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(child) for key, child in value.items()}
    return [_whole(child) for child in value] if isinstance(value, list) else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        found = {}
        for key, value in pairs:
            found[key] = _both(found.get(key), value)
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
