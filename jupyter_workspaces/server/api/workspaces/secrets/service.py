"""Reads and writes Secrets. Nothing of a Secret is cached."""

from __future__ import annotations

from functools import partial

from msgspec import UNSET

from jupyter_workspaces.kube.catalog import SECRETS
from jupyter_workspaces.kube.errors import ClusterError, Conflict, NotFound
from jupyter_workspaces.kube.reflector import key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.server.api.workspaces import audit
from jupyter_workspaces.server.api.workspaces.unreadable import readable
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.http import problems
from jupyter_workspaces.server.http.problems import StaleRevision

from . import models, views

WRITE_ATTEMPTS = 5


class Secrets:
    """Secrets of the cluster."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def list(self, namespace: str) -> list[models.SecretListItem]:
        """Return Secrets by name, each with the workspaces that mount it."""
        found = await self._cache.cluster.list(SECRETS, namespace)
        workspaces = sorted(
            (
                one
                for one in self._cache.workspaces.items()
                if one["metadata"]["namespace"] == namespace
            ),
            key=key_of,
        )
        mounts = [
            (workspace, readable(workspace, partial(views.secrets_of, workspace)) or ())
            for workspace in workspaces
        ]
        shown = []
        for secret in sorted(found.items, key=key_of):
            by = [
                workspace for workspace, mounted in mounts if secret["metadata"]["name"] in mounted
            ]
            item = readable(secret, partial(views.list_item, secret, by))
            shown.append(views.unreadable_item(secret) if item is None else item)
        return shown

    async def get(self, namespace: str, name: str) -> tuple[models.SecretUpdate, str]:
        """Return the update model and its revision. Raises `Problem` 404."""
        held = await self._held(namespace, name)
        return views.update_model(held), views.revision(held)

    async def create(
        self, user: str | None, namespace: str, model: models.SecretCreate
    ) -> models.SecretCreate:
        """Create a Secret. Keys without a value are dropped. Raises `Problem` 409, 422."""
        body: Object = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {
                "name": model.name,
                "namespace": namespace,
                "labels": {metadata_keys.CAN_MOUNT: "true", metadata_keys.CAN_UPDATE: "true"},
                "annotations": audit.created(user),
            },
            "type": model.type,
            "immutable": model.immutable,
            "data": {
                key: value.base64
                for key, value in model.contents.items()
                if value.base64 is not UNSET
            },
        }
        if not model.type:
            del body["type"]
        try:
            return views.created(await self._cache.cluster.create(SECRETS, body, namespace))
        except NotFound as error:
            raise problems.not_found(f"There is no namespace {namespace}.") from error
        except ClusterError as error:
            raise problems.from_cluster(error, "secret", model.name) from error

    async def update(
        self,
        user: str | None,
        namespace: str,
        name: str,
        model: models.SecretUpdate,
        expected: str | None = None,
    ) -> tuple[models.SecretUpdate, str]:
        """Set the keys that have a value, keep those without, and delete all others.

        Returns the model with its new revision. A concurrent write is merged; with `expected` it is
        a conflict. Raises `Problem` 404, 403 without the label can-update, 409, 422.
        """
        for attempt in range(WRITE_ATTEMPTS):
            held = await self._changeable(namespace, name, expected)
            before = held.get("data") or {}
            data = {
                key: before.get(key, "") if value.base64 is UNSET else value.base64
                for key, value in model.contents.items()
            }
            data = {
                key: value
                for key, value in data.items()
                if key in before or model.contents[key].base64 is not UNSET
            }
            metadata = dict(held["metadata"])
            metadata["annotations"] = (metadata.get("annotations") or {}) | audit.updated(user)
            wanted = held | {
                "metadata": metadata,
                "data": data,
                "type": model.type or held.get("type", ""),
            }
            if model.immutable or held.get("immutable"):
                wanted["immutable"] = model.immutable
            try:
                stored = await self._cache.cluster.replace(SECRETS, wanted)
                return views.update_model(stored), views.revision(stored)
            except Conflict as error:
                if attempt == WRITE_ATTEMPTS - 1:
                    raise problems.from_cluster(error, "secret", name) from error
            except ClusterError as error:
                raise problems.from_cluster(error, "secret", name) from error
        raise AssertionError("unreachable")

    async def delete(self, namespace: str, name: str, expected: str | None = None) -> None:
        """Delete a Secret, even if it is mounted.

        Raises `Problem` 404, 403 without the label can-update, and 409 if the revision is not
        `expected`.
        """
        held = await self._changeable(namespace, name, expected)
        version = None if expected is None else held["metadata"]["resourceVersion"]
        try:
            await self._cache.cluster.delete(SECRETS, name, namespace, resource_version=version)
        except ClusterError as error:
            raise problems.from_cluster(error, "secret", name) from error

    async def _held(self, namespace: str, name: str) -> Object:
        try:
            return await self._cache.cluster.get(SECRETS, name, namespace)
        except NotFound:
            raise problems.not_found(f"There is no secret {name} in {namespace}.") from None

    async def _changeable(self, namespace: str, name: str, expected: str | None) -> Object:
        held = await self._held(namespace, name)
        if (held["metadata"].get("labels") or {}).get(metadata_keys.CAN_UPDATE) != "true":
            raise problems.forbidden(
                f"The secret {name} may not be changed here: it lacks the label "
                f"{metadata_keys.CAN_UPDATE}=true."
            )
        if expected not in (None, views.revision(held)):
            raise StaleRevision()
        return held
