"""Decodes lists and watch events of a Kubernetes API server, and refuses invalid ones.

A proxy may answer with another document, or cut a response. Neither may pass for an empty list.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from jupyter_workspaces.common.timeouts import timeout as deadline

from .catalog import Resource
from .errors import InvalidResponse
from .types import Object

if TYPE_CHECKING:
    import aiohttp

WATCH_LINE_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Listing:
    """A list at one revision, from which a watch can start. `pages` is the number of requests."""

    items: list[Object]
    resource_version: str
    pages: int = 1


@dataclass(frozen=True)
class WatchEvent:
    """An event of a watch. `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


async def lines(response: aiohttp.ClientResponse, end: float, where: str) -> AsyncIterator[bytes]:
    """Yield complete lines until loop time `end`. A pod can exceed aiohttp's limit of a line."""
    loop = asyncio.get_running_loop()
    rest = bytearray()
    while True:
        async with deadline(max(end - loop.time(), 0.001)):
            chunk = await response.content.readany()
        if not chunk:
            break
        *whole, tail = chunk.split(b"\n")
        for line in whole:
            rest += line
            if rest:
                yield bytes(rest)
            rest.clear()
        rest += tail
        if len(rest) > WATCH_LINE_BYTES:
            raise InvalidResponse(
                f"{where} sent a watch event that is longer than {WATCH_LINE_BYTES} bytes"
            )
    if rest:
        raise InvalidResponse(f"{where} ended a watch in the middle of an event")


def watch_event(line: bytes, where: str, resource: Resource) -> WatchEvent:
    """Decode a watch event. Raises `InvalidResponse` without the line, which may hold a Secret."""
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        event = {}
    kind, obj = event.get("type"), event.get("object")
    if (
        isinstance(kind, str)
        and isinstance(obj, dict)
        and (kind == "ERROR" or _is_object(obj, named=kind != "BOOKMARK"))
    ):
        return WatchEvent(kind, obj)
    raise InvalidResponse(
        f"{where} answered the watch of {resource.plural} with an invalid watch event"
    )


def checked_page(page: Object, where: str, resource: Resource) -> Object:
    """Return the metadata of a list page. Raises `InvalidResponse` if it is not a list."""
    metadata, items = page.get("metadata"), page.get("items", [])
    is_list = (
        isinstance(metadata, dict)
        and isinstance(metadata.get("resourceVersion"), str)
        and isinstance(items, (list, type(None)))
    )
    if not is_list or not all(isinstance(item, dict) and _is_object(item) for item in items or ()):
        raise InvalidResponse(
            f"{where} answered the list of {resource.plural} with JSON that is not a list"
        )
    return metadata  # type: ignore[return-value]


def _is_object(obj: Object, *, named: bool = True) -> bool:
    """Return whether an object has the metadata that a cache needs."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("resourceVersion"), str):
        return False
    return not named or isinstance(metadata.get("name"), str)
