"""Handlers for the server itself."""

from __future__ import annotations

from functools import partial

import msgspec
from jupyter_server.auth.decorator import allow_unauthenticated

from jupyter_workspaces.kube.catalog import NAMESPACES
from jupyter_workspaces.server.api.workspaces.base import DataHandler
from jupyter_workspaces.server.http.authentication import signed_in
from jupyter_workspaces.server.http.fallback import RedirectHandler

from . import views
from .description import description
from .page import page

HTML = "text/html; charset=utf-8"


class HealthHandler(DataHandler):
    """GET healthcheck: for probes, without authentication and without names of objects.

    Answers 200 even if the cluster is unreachable: a restart of this server would not help.
    """

    reads_cache = False

    @allow_unauthenticated
    async def get(self) -> None:
        """Send the health."""
        original, ours = (
            views.original_health,
            partial(views.health, self.connection.health, self.connection.stale_since),
        )
        self.send(msgspec.json.encode(original() if self.compatible else ours()))


class DescriptionHandler(DataHandler):
    """GET swagger/doc.json: the API as an OpenAPI document."""

    reads_cache = False

    @signed_in
    async def get(self) -> None:
        """Send the document."""
        self.send(msgspec.json.encode(description(self.prefix)), "application/json; charset=utf-8")


class DescriptionPageHandler(DataHandler):
    """GET swagger/index.html: the OpenAPI document as a page."""

    reads_cache = False

    @signed_in
    async def get(self) -> None:
        """Send the page."""
        self.set_header(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
        )
        self.send(page(description(self.prefix)).encode(), HTML)


class PageHandler(RedirectHandler, DataHandler):
    """GET swagger/: redirects to the page."""

    def initialize(self, location: str = "") -> None:
        """Set the location of the page."""
        super().initialize(location or f"{self.prefix}/swagger/index.html")


class NamespacesHandler(DataHandler):
    """GET namespaces."""

    @signed_in
    async def get(self) -> None:
        """List namespaces."""
        chosen = self.selection()
        await self.permit("list", NAMESPACES)
        self.answer_list((await self.services.ready()).about.namespaces(), chosen)


class ClusterHandler(DataHandler):
    """GET cluster."""

    @signed_in
    async def get(self) -> None:
        """Send which cluster the server uses."""
        await self.permit("list", NAMESPACES)
        services = await self.services.ready()
        self.answer(
            msgspec.structs.replace(
                await services.about.cluster(), workspaces_url=self.connection.workspaces_url
            )
        )
