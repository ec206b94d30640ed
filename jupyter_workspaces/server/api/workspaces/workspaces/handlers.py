"""Handlers for workspaces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from jupyter_workspaces.common.documents.threads import read_in_thread
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.api.workspaces import bodies
from jupyter_workspaces.server.api.workspaces.base import DataHandler
from jupyter_workspaces.server.api.workspaces.streaming import StreamHandler
from jupyter_workspaces.server.http import problems
from jupyter_workspaces.server.http.authentication import signed_in
from jupyter_workspaces.server.http.base import JSON

from . import models

FLUSH_ITEMS = 250
MERGE_PATCH, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"


class _ListHandler(StreamHandler):
    async def send_list(self, namespace: str | None) -> None:
        """Send a list of cached pieces, 250 at a time; 304 if nothing changed."""
        chosen = self.selection()
        await self.permit("list", WORKSPACES, namespace or "")
        if self.watches:
            await self.permit("watch", WORKSPACES, namespace or "")
            return await self.stream(namespace, kinds=False)
        services = await self.services.ready()
        revision = f"{services.feed.epoch}.{services.feed.revision}.{namespace or '*'}"
        if services.feed.pending:
            self.tag(revision, weak=True)
        elif self.unchanged(revision, weak=True):
            return None
        items = services.workspaces.list(namespace, None if chosen is None else chosen.name)
        if chosen is not None:
            return self.answer_list([msgspec.json.decode(item) for item in items], chosen)
        if len(items) <= FLUSH_ITEMS:
            return self.send(b'{"data":[' + b",".join(items) + b"]}")
        await self.send_stream(_pieces(items), JSON)


async def _pieces(items: Sequence[bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(items), FLUSH_ITEMS):
        yield (b'{"data":[' if start == 0 else b",") + b",".join(items[start : start + FLUSH_ITEMS])
    yield b"]}"


class AllWorkspacesHandler(_ListHandler):
    """GET workspaces."""

    @signed_in
    async def get(self) -> None:
        """List workspaces of all namespaces, or stream their changes."""
        await self.send_list(None)


class WorkspacesHandler(_ListHandler):
    """GET, POST workspaces/{namespace}."""

    @signed_in
    async def get(self, namespace: str) -> None:
        """List workspaces of a namespace, or stream their changes."""
        self.named(namespace=namespace)
        await self.send_list(namespace)

    async def before_body(self, namespace: str) -> None:  # type: ignore[override]
        """Authorize a long body."""
        self.named(namespace=namespace)
        await self.permit_long_body("create", WORKSPACES, namespace)

    @signed_in
    async def post(self, namespace: str) -> None:
        """Create a workspace."""
        model = await self.data(models.WorkspaceCreate)
        await self.permit("create", WORKSPACES, namespace, model.name)
        services = await self.services.ready()
        made = await services.workspaces.create(services.writer(self.user), namespace, model)
        self.answer(
            made, HTTPStatus.CREATED, location=f"{self.prefix}/workspaces/{namespace}/{made.name}"
        )


class WorkspaceHandler(DataHandler):
    """GET, PUT, PATCH, DELETE workspaces/{namespace}/{name}."""

    @signed_in
    async def get(self, namespace: str, name: str) -> None:
        """Send the update model of a workspace."""
        self.named(namespace=namespace, name=name)
        await self.permit("get", WORKSPACES, namespace, name)
        model = await (await self.services.ready()).workspaces.get(namespace, name)
        if not self.unchanged(model.revision):
            self.answer(model)

    async def before_body(self, namespace: str, name: str) -> None:  # type: ignore[override]
        """Authorize an update."""
        self.named(namespace=namespace, name=name)
        await self.permit("update", WORKSPACES, namespace, name)

    @signed_in
    async def put(self, namespace: str, name: str) -> None:
        """Replace a workspace."""
        model = await self.data(models.WorkspaceUpdate)
        services = await self.services.ready()
        self._send(
            await services.workspaces.update(
                services.writer(self.user), namespace, name, model, self.expected
            )
        )

    @signed_in
    async def patch(self, namespace: str, name: str) -> None:
        """Patch a workspace."""
        patch = await patch_of(self)
        services = await self.services.ready()
        self._send(
            await services.workspaces.patch(
                services.writer(self.user), namespace, name, patch, self.expected
            )
        )

    @signed_in
    async def delete(self, namespace: str, name: str) -> None:
        """Delete a workspace."""
        self.named(namespace=namespace, name=name)
        await self.permit("delete", WORKSPACES, namespace, name)
        await (await self.services.ready()).workspaces.delete(
            namespace, name, self.expected, at_once=self.compatible
        )
        self.send_nothing()

    def _send(self, model: models.WorkspaceUpdate) -> None:
        self.tag(model.revision)
        self.answer(model)


class _ActionHandler(DataHandler):
    async def before_body(self, namespace: str, name: str) -> None:  # type: ignore[override]
        """Authorize a long body."""
        self.named(namespace=namespace, name=name)
        await self.permit_long_body("update", WORKSPACES, namespace, name)


class PauseHandler(_ActionHandler):
    """POST workspaces/{namespace}/{name}/actions/pause."""

    @signed_in
    async def post(self, namespace: str, name: str) -> None:
        """Pause or start a workspace."""
        wanted = await self.data(models.Pause)
        await self.permit("update", WORKSPACES, namespace, name)
        self.answer(
            await (await self.services.ready()).workspaces.pause(namespace, name, wanted.paused)
        )


class RestartHandler(_ActionHandler):
    """POST workspaces/{namespace}/{name}/actions/restart."""

    @signed_in
    async def post(self, namespace: str, name: str) -> None:
        """Restart a workspace."""
        await self.data(models.Restart)
        await self.permit("update", WORKSPACES, namespace, name)
        await (await self.services.ready()).workspaces.restart(namespace, name)
        self.answer({}, HTTPStatus.ACCEPTED)


class StopHandler(_ActionHandler):
    """POST workspaces/{namespace}/{name}/actions/stop."""

    @signed_in
    async def post(self, namespace: str, name: str) -> None:
        """Stop a workspace without the rest of its grace period."""
        await self.data(models.Stop)
        await self.permit("update", WORKSPACES, namespace, name)
        await (await self.services.ready()).workspaces.stop_now(namespace, name)
        self.answer({}, HTTPStatus.ACCEPTED)


async def patch_of(handler: DataHandler) -> Any:
    """Decode the patch in a body.

    A merge patch may be in an envelope with `data`. Raises `Problem` 400, 413, 415.
    """
    media = handler.media(MERGE_PATCH, JSON_PATCH)
    patch = await read_in_thread(handler.body, bodies.first_value)
    if media == JSON_PATCH:
        if not isinstance(patch, list):
            raise problems.bad_request("A JSON patch is a list of operations (RFC 6902).")
        return patch
    if not isinstance(patch, dict):
        raise problems.bad_request("A merge patch is an object (RFC 7386).")
    return patch["data"] if set(patch) == {"data"} and isinstance(patch["data"], dict) else patch
