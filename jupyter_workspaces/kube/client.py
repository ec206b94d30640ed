"""Asynchronous client of the Kubernetes API: objects are plain dicts, errors are exceptions.

The official client (`kubernetes`) is not used: it is synchronous, it makes a Python object of every
part of an object, and its watch neither handles bookmarks nor detects a dead connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from . import transport
from .catalog import Resource
from .errors import ClusterError, from_status
from .responses import Listing, WatchEvent, checked_page, lines, watch_event
from .transport import REQUEST_SECONDS, Transport
from .types import Object

if TYPE_CHECKING:
    import aiohttp

PAGE = 500
"""Objects in one page of a list."""
WATCH_SECONDS = 290
WATCH_MARGIN_SECONDS = 5
"""Time after `timeoutSeconds` at which the client closes a watch that the server has not ended."""


class Cluster(Transport):
    """Client of one Kubernetes API. Close it when done, or use it as a context manager.

    All requests raise a `ClusterError` for an error response, and its subclass `Unreachable`
    without a valid response.
    """

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """Return an object.

        Raises:
            NotFound: it does not exist.
        """
        return await self.json("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Listing:
        """List all objects, in pages of 500 so that no event loop stalls.

        Without `namespace` objects of all namespaces are listed.

        Raises:
            InvalidResponse: the JSON is not a list. It must not be taken for an empty list.
        """
        items: list[Object] = []
        query = _selectors(label_selector, field_selector) | {"limit": str(PAGE)}
        pages = 0
        while True:
            pages += 1
            try:
                page = await self.json("GET", resource.path(namespace), query=query)
                metadata = checked_page(
                    page, f"{self.endpoint.name} at {self.endpoint.url}", resource
                )
            except ClusterError as error:
                error.requests = pages
                raise
            items += page.get("items") or ()
            if not metadata.get("continue"):
                break
            query["continue"] = metadata["continue"]
        for item in items:  # the items of a typed list lack these fields
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return Listing(items, metadata["resourceVersion"], pages)

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Object:
        """Create an object and return it as stored.

        Raises:
            AlreadyExists: there is an object with this name.
            Invalid: the object is invalid.
        """
        return await self.json("POST", resource.path(namespace), body=body, query=_dry_run(dry_run))

    async def replace(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Replace the object that `body.metadata` names, and return it as stored.

        Raises:
            Conflict: `metadata.resourceVersion` is given and no longer current.
        """
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self.json("PUT", path, body=body, query=_dry_run(dry_run))

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Patch an object and return it as stored.

        A mapping is sent as a merge patch (RFC 7386), a sequence as a JSON patch (RFC 6902).
        """
        media = (
            "application/merge-patch+json"
            if isinstance(patch, Mapping)
            else "application/json-patch+json"
        )
        path = resource.path(namespace, name, subresource)
        return await self.json(
            "PATCH", path, body=patch, content_type=media, query=_dry_run(dry_run)
        )

    async def apply(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        manager: str,
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Apply an object (server-side apply): `manager` owns the fields of `body` afterwards.

        Raises:
            Conflict: another manager owns a field with another value, and `force` is false.
        """
        metadata = body["metadata"]
        query = {
            "fieldManager": manager,
            "force": "true" if force else "false",
            "fieldValidation": "Strict",
        } | _dry_run(dry_run)
        path = resource.path(metadata.get("namespace"), metadata["name"])
        return await self.json(
            "PATCH", path, body=body, content_type="application/apply-patch+yaml", query=query
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str | None = None,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Object:
        """Delete an object; return the object, or the `Status` of the deletion.

        Args:
            resource: resource type of the object.
            name: name of the object.
            namespace: namespace of the object; None if it is cluster-scoped.
            propagation: `propagationPolicy`: Background, Foreground or Orphan.
            grace_seconds: `gracePeriodSeconds`.
            uid: precondition: UID of the object.
            resource_version: precondition: current version of the object.

        Raises:
            NotFound: the object does not exist.
            Conflict: a precondition does not hold.
        """
        preconditions = {
            key: value
            for key, value in (("uid", uid), ("resourceVersion", resource_version))
            if value is not None
        }
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if preconditions:
            options["preconditions"] = preconditions
        return await self.json("DELETE", resource.path(namespace, name), body=options)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        seconds: int = WATCH_SECONDS,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Watch changes after `resource_version` for `seconds`, the watch's `timeoutSeconds`.

        Calls `opened` when the server accepts the watch.

        Raises:
            Expired: the version is too old.
            InvalidResponse: the server sent an invalid event.
            Unreachable: the connection broke, or the server did not end the watch in time.
        """
        query = _selectors(label_selector, field_selector)
        query |= {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        where = f"{self.endpoint.name} at {self.endpoint.url}"
        async with self.request(
            "GET", resource.path(namespace), query=query, head=transport.FIRST_BYTE_SECONDS
        ) as response:
            opened()
            end = asyncio.get_running_loop().time() + seconds + WATCH_MARGIN_SECONDS
            async for line in lines(response, end, where):
                event = watch_event(line, where, resource)
                if event.type == "ERROR":
                    raise from_status(event.object.get("code", 500), event.object)
                yield event

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        read_seconds: float | None = REQUEST_SECONDS,
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open a GET request and yield its body as a stream, for the log of a pod.

        `read_seconds` is the timeout between two chunks; None is no timeout.
        """
        async with self.request("GET", path, query=query, silence=read_seconds) as response:
            yield response.content

    async def raw(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Object:
        """Send any other request with JSON, by its path below the server's root (`/version`)."""
        return await self.json(method, path, body=body, query=query)


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    pairs = (("labelSelector", label_selector), ("fieldSelector", field_selector))
    return {key: value for key, value in pairs if value}


def _dry_run(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
