"""Handlers for claims and storage classes."""

from __future__ import annotations

from http import HTTPStatus

from jupyter_workspaces.kube.catalog import PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES
from jupyter_workspaces.server.api.workspaces.base import DataHandler
from jupyter_workspaces.server.http.authentication import signed_in
from jupyter_workspaces.server.http.checks import dns_label

from . import models


class StorageClassesHandler(DataHandler):
    """GET storageclasses.

    With `namespace`, users who may create claims in that namespace may list classes.
    """

    @signed_in
    async def get(self) -> None:
        """List storage classes."""
        namespace, chosen = self.parameter("namespace", dns_label), self.selection()
        if namespace is None:
            await self.permit("list", STORAGE_CLASSES)
        else:
            await self.permit("create", PERSISTENT_VOLUME_CLAIMS, namespace)
        self.answer_list((await self.services.ready()).volumes.storage_classes(), chosen)


class ClaimsHandler(DataHandler):
    """GET, POST persistentvolumeclaims/{namespace}."""

    @signed_in
    async def get(self, namespace: str) -> None:
        """List claims."""
        self.named(namespace=namespace)
        chosen = self.selection()
        await self.permit("list", PERSISTENT_VOLUME_CLAIMS, namespace)
        self.answer_list((await self.services.ready()).volumes.claims(namespace), chosen)

    async def before_body(self, namespace: str) -> None:  # type: ignore[override]
        """Authorize a long body."""
        self.named(namespace=namespace)
        await self.permit_long_body("create", PERSISTENT_VOLUME_CLAIMS, namespace)

    @signed_in
    async def post(self, namespace: str) -> None:
        """Create a claim."""
        model = await self.data(models.ClaimCreate)
        await self.permit("create", PERSISTENT_VOLUME_CLAIMS, namespace, model.name)
        services = await self.services.ready()
        self.answer(
            await services.volumes.create(services.writer(self.user), namespace, model),
            HTTPStatus.CREATED,
            location="" if self.compatible else None,
        )


class ClaimHandler(DataHandler):
    """DELETE persistentvolumeclaims/{namespace}/{name}."""

    @signed_in
    async def delete(self, namespace: str, name: str) -> None:
        """Delete a claim."""
        self.named(namespace=namespace, name=name)
        await self.permit("delete", PERSISTENT_VOLUME_CLAIMS, namespace, name)
        await (await self.services.ready()).volumes.delete(namespace, name)
        self.send_nothing()
