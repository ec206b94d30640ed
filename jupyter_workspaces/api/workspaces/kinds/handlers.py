"""HTTP for workspace kinds: decode, ask the service, encode."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from jupyter_server.auth.decorator import authorized
from tornado import web

from ... import problems
from ...checks import dns_label, dns_subdomain
from ...http import BODY_LIMIT, DataHandler
from ..workspaces.handlers import patch_of
from . import models

YAML = "application/yaml"


class KindsHandler(DataHandler):
    """GET, POST workspacekinds."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.parameter("namespaceFilter", dns_label)
        self.answer((await self.services.ready()).kinds.list())

    @web.authenticated
    @authorized
    async def post(self) -> None:
        self.media(YAML)
        if len(self.request.body) > BODY_LIMIT:
            raise problems.Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {BODY_LIMIT} bytes.")
        services = await self.services.ready()
        made = await services.kinds.create(services.writer(self.user), self.request.body)
        self.answer(made, HTTPStatus.CREATED, location=f"{self.services.prefix}/workspacekinds/{made.name}")


class KindHandler(DataHandler):
    """GET, PUT, PATCH, DELETE workspacekinds/{name}."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        self.checked("name", name, dns_subdomain)
        model = await (await self.services.ready()).kinds.get(name)
        if not self.unchanged(model.revision):
            self.answer(model)

    @web.authenticated
    @authorized
    async def put(self, name: str) -> None:
        self.checked("name", name, dns_subdomain)
        services = await self.services.ready()
        model = self.data(models.KindUpdate)
        if causes := model.causes():
            raise problems.invalid(causes)
        self.answer(await services.kinds.update(services.writer(self.user), name, model))

    @web.authenticated
    @authorized
    async def patch(self, name: str) -> None:
        self.checked("name", name, dns_subdomain)
        services = await self.services.ready()
        self.answer(await services.kinds.patch(services.writer(self.user), name, patch_of(self)))

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        self.checked("name", name, dns_subdomain)
        await (await self.services.ready()).kinds.delete(name)
        self.none()


class _PictureHandler(DataHandler):
    async def send_picture(self, name: str, which: Literal["icon", "logo"]) -> None:
        self.checked("name", name, dns_subdomain)
        self.parameter("namespace", dns_label)
        picture = await (await self.services.ready()).kinds.picture(name, which)
        # An SVG can carry scripts: shown as a picture it cannot run them, opened as a page it must not.
        self.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
        self.set_header("Cache-Control", "private, max-age=86400" if self.get_query_argument("sha256", "") else "no-cache")
        self.finish(picture, set_content_type="image/svg+xml")


class IconHandler(_PictureHandler):
    """GET workspacekinds/{name}/assets/icon."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        await self.send_picture(name, "icon")


class LogoHandler(_PictureHandler):
    """GET workspacekinds/{name}/assets/logo."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        await self.send_picture(name, "logo")
