"""Handlers for workspace kinds."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from jupyter_workspaces.common.documents.threads import read_in_thread
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.server.api.workspaces import bodies
from jupyter_workspaces.server.api.workspaces.base import DataHandler
from jupyter_workspaces.server.api.workspaces.streaming import StreamHandler
from jupyter_workspaces.server.api.workspaces.workspaces.handlers import patch_of
from jupyter_workspaces.server.http.authentication import signed_in
from jupyter_workspaces.server.http.checks import dns_label

from . import models
from .manifest import read_manifest

YAML = "application/yaml"


class KindsHandler(StreamHandler):
    """GET, POST workspacekinds.

    With `namespaceFilter`, users who may create workspaces in that namespace may list kinds.
    """

    @signed_in
    async def get(self) -> None:
        """List kinds, or stream their changes."""
        namespace, chosen = self.parameter("namespaceFilter", dns_label), self.selection()
        if namespace is None:
            await self.permit("list", WORKSPACE_KINDS)
        else:
            await self.permit("create", WORKSPACES, namespace)
        if self.watches:
            await self.permit("watch", WORKSPACE_KINDS)
            return await self.stream("", kinds=True)
        self.answer_list((await self.services.ready()).kinds.list(), chosen)

    async def before_body(self) -> None:  # type: ignore[override]
        """Authorize a long body."""
        await self.permit_long_body("create", WORKSPACE_KINDS)

    @signed_in
    async def post(self) -> None:
        """Create a kind from a manifest."""
        self.media(YAML)
        manifest = await read_in_thread(bodies.within_limit(self.body), read_manifest)
        name = manifest["metadata"]["name"]
        await self.permit("create", WORKSPACE_KINDS, name=name)
        services = await self.services.ready()
        made = await services.kinds.create(services.writer(self.user), manifest)
        self.answer(made, HTTPStatus.CREATED, location=f"{self.prefix}/workspacekinds/{made.name}")


class KindHandler(DataHandler):
    """GET, PUT, PATCH, DELETE workspacekinds/{name}."""

    @signed_in
    async def get(self, name: str) -> None:
        """Send the update model of a kind."""
        self.named(name=name)
        await self.permit("get", WORKSPACE_KINDS, name=name)
        model = await (await self.services.ready()).kinds.get(name)
        if not self.unchanged(model.revision):
            self.answer(model)

    async def before_body(self, name: str) -> None:  # type: ignore[override]
        """Authorize an update."""
        self.named(name=name)
        await self.permit("update", WORKSPACE_KINDS, name=name)

    @signed_in
    async def put(self, name: str) -> None:
        """Replace a kind."""
        model = await self.data(models.KindWrite)
        services = await self.services.ready()
        self._send(
            await services.kinds.update(services.writer(self.user), name, model, self.expected)
        )

    @signed_in
    async def patch(self, name: str) -> None:
        """Patch a kind."""
        patch = await patch_of(self)
        services = await self.services.ready()
        self._send(
            await services.kinds.patch(services.writer(self.user), name, patch, self.expected)
        )

    @signed_in
    async def delete(self, name: str) -> None:
        """Delete a kind."""
        self.named(name=name)
        await self.permit("delete", WORKSPACE_KINDS, name=name)
        await (await self.services.ready()).kinds.delete(name, self.expected)
        self.send_nothing()

    def _send(self, model: models.KindUpdate) -> None:
        self.tag(model.revision)
        self.answer(model)


class ValuesHandler(DataHandler):
    """POST workspacekinds/{name}/podtemplate/options/listvalues."""

    async def before_body(self, name: str) -> None:  # type: ignore[override]
        """Authorize a long body."""
        self.named(name=name)
        await self.permit_long_body(
            "get", WORKSPACE_KINDS, name=name
        )  # for whom is in the body, which is small

    @signed_in
    async def post(self, name: str) -> None:
        """List the options that remain after the filter rules."""
        model = await self.data(models.ListValues)
        if model.context.namespace:
            await self.permit("create", WORKSPACES, model.context.namespace.name)
        else:
            await self.permit("get", WORKSPACE_KINDS, name=name)
        self.answer(await (await self.services.ready()).kinds.values(name, model.context))


class _PictureHandler(DataHandler):
    async def send_picture(self, name: str, which: Literal["icon", "logo"]) -> None:
        self.named(name=name)
        namespace = self.parameter("namespace", dns_label)
        if namespace is None:
            await self.permit("get", WORKSPACE_KINDS, name=name)
        else:
            await self.permit("list", WORKSPACES, namespace)
        picture = await (await self.services.ready()).kinds.picture(name, which)
        if self.compatible:
            self.clear_header("Content-Security-Policy")
        else:
            # An SVG can have scripts, which must not run if it is opened as a page.
            self.set_header(
                "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"
            )
            self.set_header(
                "Cache-Control",
                "private, max-age=86400" if any(self.query.get("sha256", ())) else "no-cache",
            )
        self.send(picture, "image/svg+xml")


class IconHandler(_PictureHandler):
    """GET workspacekinds/{name}/assets/icon."""

    @signed_in
    async def get(self, name: str) -> None:
        """Send the icon."""
        await self.send_picture(name, "icon")


class LogoHandler(_PictureHandler):
    """GET workspacekinds/{name}/assets/logo."""

    @signed_in
    async def get(self, name: str) -> None:
        """Send the logo."""
        await self.send_picture(name, "logo")
