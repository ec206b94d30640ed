"""Handlers for Secrets."""

from __future__ import annotations

from http import HTTPStatus

from jupyter_workspaces.kube.catalog import SECRETS
from jupyter_workspaces.server.api.workspaces.base import DataHandler
from jupyter_workspaces.server.http.authentication import signed_in

from . import models


class SecretsHandler(DataHandler):
    """GET, POST secrets/{namespace}."""

    reads_cache = False

    @signed_in
    async def get(self, namespace: str) -> None:
        """List Secrets."""
        self.named(namespace=namespace)
        chosen = self.selection()
        await self.permit("list", SECRETS, namespace)
        self.answer_list(await (await self.services.ready()).secrets.list(namespace), chosen)

    async def before_body(self, namespace: str) -> None:  # type: ignore[override]
        """Authorize a long body."""
        self.named(namespace=namespace)
        await self.permit_long_body("create", SECRETS, namespace)

    @signed_in
    async def post(self, namespace: str) -> None:
        """Create a Secret."""
        model = await self.data(models.SecretCreate)
        await self.permit("create", SECRETS, namespace, model.name)
        services = await self.services.ready()
        made = await services.secrets.create(services.writer(self.user), namespace, model)
        self.answer(
            made, HTTPStatus.CREATED, location=f"{self.prefix}/secrets/{namespace}/{made.name}"
        )


class SecretHandler(DataHandler):
    """GET, PUT, DELETE secrets/{namespace}/{name}."""

    reads_cache = False

    @signed_in
    async def get(self, namespace: str, name: str) -> None:
        """Send the update model of a Secret."""
        self.named(namespace=namespace, name=name)
        await self.permit("get", SECRETS, namespace, name)
        model, revision = await (await self.services.ready()).secrets.get(namespace, name)
        if not self.unchanged(revision):
            self.answer(model)

    async def before_body(self, namespace: str, name: str) -> None:  # type: ignore[override]
        """Authorize an update."""
        self.named(namespace=namespace, name=name)
        await self.permit("update", SECRETS, namespace, name)

    @signed_in
    async def put(self, namespace: str, name: str) -> None:
        """Replace a Secret."""
        model = await self.data(models.SecretUpdate)
        services = await self.services.ready()
        changed, revision = await services.secrets.update(
            services.writer(self.user), namespace, name, model, self.expected
        )
        self.tag(revision)
        self.answer(changed)

    @signed_in
    async def delete(self, namespace: str, name: str) -> None:
        """Delete a Secret."""
        self.named(namespace=namespace, name=name)
        await self.permit("delete", SECRETS, namespace, name)
        await (await self.services.ready()).secrets.delete(namespace, name, self.expected)
        self.send_nothing()
