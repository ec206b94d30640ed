"""HTTP for workspaces: decode, ask the service, encode."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from ... import problems
from ...checks import dns_subdomain
from ...http import DataHandler
from . import models

FLUSH_ITEMS = 250
MERGE_PATCH, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"


class _ListHandler(DataHandler):
    async def send_list(self, namespace: str | None) -> None:
        """Cached pieces, streamed 250 a flush, so that a long list stalls nobody; 304 while nothing changed."""
        feed = (await self.services.ready()).feed
        if self.unchanged(f"{feed.epoch}.{feed.revision}.{namespace or '*'}"):
            return
        items = self.services.workspaces.list(namespace)
        if len(items) <= FLUSH_ITEMS:
            return self.send(b'{"data":[' + b",".join(items) + b"]}")
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Content-Type", "application/json")
        for start in range(0, len(items), FLUSH_ITEMS):
            self.write((b'{"data":[' if start == 0 else b",") + b",".join(items[start : start + FLUSH_ITEMS]))
            await self.flush()
        self.finish(b"]}")


class AllWorkspacesHandler(_ListHandler):
    """GET workspaces."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        await self.send_list(None)


class WorkspacesHandler(_ListHandler):
    """GET, POST workspaces/{namespace}."""

    @web.authenticated
    @authorized
    async def get(self, namespace: str) -> None:
        await self.send_list(self.checked("namespace", namespace))

    @web.authenticated
    @authorized
    async def post(self, namespace: str) -> None:
        self.checked("namespace", namespace)
        model = self.data(models.WorkspaceCreate)
        if causes := model.causes():
            raise problems.invalid(causes)
        services = await self.services.ready()
        made = await services.workspaces.create(services.writer(self.user), namespace, model)
        self.answer(made, HTTPStatus.CREATED, location=f"{self.services.prefix}/workspaces/{namespace}/{made.name}")


class WorkspaceHandler(DataHandler):
    """GET, PUT, PATCH, DELETE workspaces/{namespace}/{name}."""

    @web.authenticated
    @authorized
    async def get(self, namespace: str, name: str) -> None:
        self._named(namespace, name)
        model = await (await self.services.ready()).workspaces.get(namespace, name)
        if not self.unchanged(model.revision):
            self.answer(model)

    @web.authenticated
    @authorized
    async def put(self, namespace: str, name: str) -> None:
        self._named(namespace, name)
        services = await self.services.ready()
        model = self.data(models.WorkspaceUpdate)
        if causes := model.causes():
            raise problems.invalid(causes)
        self.answer(await services.workspaces.update(services.writer(self.user), namespace, name, model))

    @web.authenticated
    @authorized
    async def patch(self, namespace: str, name: str) -> None:
        self._named(namespace, name)
        services = await self.services.ready()
        patch = patch_of(self)
        self.answer(await services.workspaces.patch(services.writer(self.user), namespace, name, patch))

    @web.authenticated
    @authorized
    async def delete(self, namespace: str, name: str) -> None:
        self._named(namespace, name)
        await (await self.services.ready()).workspaces.delete(namespace, name)
        self.none()

    def _named(self, namespace: str, name: str) -> None:
        self.checked("namespace", namespace)
        self.checked("name", name, dns_subdomain)


class PauseHandler(DataHandler):
    """POST workspaces/{namespace}/{name}/actions/pause."""

    @web.authenticated
    @authorized
    async def post(self, namespace: str, name: str) -> None:
        self.checked("namespace", namespace)
        self.checked("name", name, dns_subdomain)
        wanted = self.data(models.Pause)
        self.answer(await (await self.services.ready()).workspaces.pause(namespace, name, wanted.paused))


class RestartHandler(DataHandler):
    """POST workspaces/{namespace}/{name}/actions/restart."""

    @web.authenticated
    @authorized
    async def post(self, namespace: str, name: str) -> None:
        self.checked("namespace", namespace)
        self.checked("name", name, dns_subdomain)
        self.data(models.Restart)
        await (await self.services.ready()).workspaces.restart(namespace, name)
        self.answer({}, HTTPStatus.ACCEPTED)


def patch_of(handler: DataHandler) -> Any:
    """The patch in a body: `data` of an envelope for a merge patch that has one, else the body itself. Raises `Problem` 415, 400."""
    media = handler.media(MERGE_PATCH, JSON_PATCH)
    patch = handler.json()
    if media == JSON_PATCH:
        if not isinstance(patch, list):
            raise problems.bad_request("A JSON patch is a list of operations (RFC 6902).")
        return patch
    if not isinstance(patch, dict):
        raise problems.bad_request("A merge patch is an object (RFC 7386).")
    return patch["data"] if set(patch) == {"data"} and isinstance(patch["data"], dict) else patch
