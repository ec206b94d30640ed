"""HTTP for claims and storage classes: decode, ask the service, encode."""

from __future__ import annotations

from http import HTTPStatus

from jupyter_server.auth.decorator import authorized
from tornado import web

from ... import problems
from ...checks import dns_label, dns_subdomain
from ...http import DataHandler
from . import models


class StorageClassesHandler(DataHandler):
    """GET storageclasses."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.parameter("namespace", dns_label)
        self.answer((await self.services.ready()).volumes.storage_classes())


class ClaimsHandler(DataHandler):
    """GET, POST persistentvolumeclaims/{namespace}."""

    @web.authenticated
    @authorized
    async def get(self, namespace: str) -> None:
        self.checked("namespace", namespace)
        self.answer((await self.services.ready()).volumes.claims(namespace))

    @web.authenticated
    @authorized
    async def post(self, namespace: str) -> None:
        self.checked("namespace", namespace)
        model = self.data(models.ClaimCreate)
        if causes := model.causes():
            raise problems.invalid(causes)
        services = await self.services.ready()
        self.answer(await services.volumes.create(services.writer(self.user), namespace, model), HTTPStatus.CREATED, location="")


class ClaimHandler(DataHandler):
    """DELETE persistentvolumeclaims/{namespace}/{name}."""

    @web.authenticated
    @authorized
    async def delete(self, namespace: str, name: str) -> None:
        self.checked("namespace", namespace)
        self.checked("name", name, dns_subdomain)
        await (await self.services.ready()).volumes.delete(namespace, name)
        self.none()
