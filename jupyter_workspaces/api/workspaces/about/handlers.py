"""HTTP for the server itself."""

from __future__ import annotations

import msgspec
from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from tornado import web

from ...http import DataHandler
from . import views
from .description import description


class HealthHandler(DataHandler):
    """GET healthcheck: for probes, so without signing in."""

    @allow_unauthenticated
    async def get(self) -> None:
        self.finish(msgspec.json.encode(views.health()))


class DescriptionHandler(DataHandler):
    """GET swagger/doc.json: the API as an OpenAPI document."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.send(msgspec.json.encode(description(self.services.prefix)))


class NamespacesHandler(DataHandler):
    """GET namespaces."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.answer((await self.services.ready()).about.namespaces())


class ClusterHandler(DataHandler):
    """GET cluster."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.answer(await (await self.services.ready()).about.cluster())
