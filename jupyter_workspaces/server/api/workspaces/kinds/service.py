"""Reads and writes workspace kinds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from jupyter_workspaces.kube.causes import invalid
from jupyter_workspaces.kube.errors import (
    ClusterError,
    Conflict,
    Invalid,
    NotFound,
)
from jupyter_workspaces.kube.reflector import key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS
from jupyter_workspaces.resources.views import WorkspaceKindView
from jupyter_workspaces.server.api.workspaces import audit
from jupyter_workspaces.server.api.workspaces.bodies import converted
from jupyter_workspaces.server.api.workspaces.unreadable import readable, reading
from jupyter_workspaces.server.api.workspaces.workspaces.service import patched
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.http import problems
from jupyter_workspaces.server.http.problems import StaleRevision

from . import filtering, models, views
from .typed import part, written

WRITE_ATTEMPTS = 5


class Kinds:
    """Workspace kinds of the cluster."""

    def __init__(self, cache: Cache, prefix: str) -> None:
        self._cache, self._prefix = cache, prefix

    def list(self) -> list[models.KindListItem]:
        """Return all kinds by name. Malformed ones are hidden; their description has the reason."""
        return [self.item(kind) for kind in sorted(self._cache.kinds.items(), key=key_of)]

    def item(self, kind: Object) -> models.KindListItem:
        """Return the list item of a kind, for lists and events."""
        found = readable(kind, partial(self._checked, kind))
        return views.unreadable_item(kind) if found is None else found

    def _checked(self, kind: Object) -> models.KindListItem:
        found = views.list_item(kind, self._prefix)
        msgspec.json.decode(
            msgspec.json.encode(found), type=models.KindListItem
        )  # a wrong type would break clients
        return found

    async def get(self, name: str) -> models.KindUpdate:
        """Return the update model of a kind. Raises `Problem` 404."""
        kind = await self._find(name)
        with reading(kind):
            return views.update_model(kind)

    async def values(self, name: str, context: models.ValuesContext) -> models.KindOptions:
        """Return the options that remain after the kind's filter rules.

        Raises `Problem` 404, and 422 for options that the kind does not have.
        """
        kind = await self._find(name)
        chosen = filtering.Context(
            namespace=self._cache.namespaces.get(context.namespace.name)
            if context.namespace
            else None,
            image_config=context.image_config.id if context.image_config else None,
            pod_config=context.pod_config.id if context.pod_config else None,
        )
        with reading(kind):
            if causes := filtering.unknown_options(kind, chosen):
                raise problems.invalid(causes)
            return views.options(kind, filtering.effects(kind, chosen))

    async def create(self, user: str | None, manifest: Object) -> models.KindCreated:
        """Create a kind from a manifest of `read_manifest`. Raises `Problem` 409, 422."""
        metadata = manifest["metadata"]
        metadata["annotations"] = (metadata.get("annotations") or {}) | audit.created(user)
        query = {"fieldValidation": "Strict"}
        try:
            made = await self._cache.cluster.raw(
                "POST", WORKSPACE_KINDS.path(), body=manifest, query=query
            )
        except ClusterError as error:
            if error.status == 400 and "unknown field" in error.message:
                raise problems.invalid([invalid("<nil>", "…", error.message)]) from error
            raise problems.from_cluster(error, "workspace kind", metadata["name"]) from error
        self._cache.kinds.apply(made)
        return views.created_model(made)

    async def update(
        self, user: str | None, name: str, model: models.KindUpdate, expected: str | None = None
    ) -> models.KindUpdate:
        """Replace a kind; it must also have the revision `expected`, if given.

        Raises `Problem` 404, 409 for a stale revision, and 422.
        """

        def change(kind: Object) -> Object:
            """Return the changed kind."""
            if {model.revision, expected or model.revision} != {views.revision(kind)}:
                raise StaleRevision()
            return _with(kind, model)

        return views.update_model(await self._write(user, name, change))

    async def patch(
        self, user: str | None, name: str, patch: Any, expected: str | None = None
    ) -> models.KindUpdate:
        """Patch the update model: a mapping is a merge patch, a list a JSON patch.

        Raises `Problem` 400, 404, 409, 422.
        """

        def change(kind: Object) -> Object:
            """Return the changed kind."""
            with reading(kind):
                present = msgspec.to_builtins(views.update_model(kind))
            model = converted(patched(present, patch), models.KindWrite)
            if {model.revision, expected or model.revision} != {present["revision"]}:
                raise StaleRevision()
            return _with(kind, model)

        return views.update_model(await self._write(user, name, change))

    async def delete(self, name: str, expected: str | None = None) -> None:
        """Delete a kind.

        Raises `Problem` 404, and 409 if a workspace uses it or the revision is not `expected`.
        """
        version = None
        try:
            if expected is not None:
                held = await self._cache.cluster.get(WORKSPACE_KINDS, name)
                if views.revision(held) != expected:
                    raise StaleRevision()
                version = held["metadata"]["resourceVersion"]
            gone = await self._cache.cluster.delete(WORKSPACE_KINDS, name, resource_version=version)
        except ClusterError as error:
            raise problems.from_cluster(error, "workspace kind", name) from error
        self._cache.kinds.deleted(gone, name)

    async def picture(self, name: str, which: Literal["icon", "logo"]) -> bytes:
        """Return the bytes of an SVG.

        Raises `Problem` 404 if the kind does not exist or has a URL, and 500 if its ConfigMap is
        invalid.
        """
        kind = await self._find(name)
        with reading(kind):
            reference = WorkspaceKindView(kind).spawner[which].get("configMap")
            if reference is None:
                raise problems.not_found(f"The {which} of {name} is at a URL of its own.")
            key = reference["key"]
            found = self._cache.pictures.get(reference["name"], reference["namespace"]) or {}
        if (text := (found.get("data") or {}).get(key)) is not None:
            return str(text).encode()
        try:
            return base64.b64decode((found.get("binaryData") or {})[key], validate=True)
        except (KeyError, binascii.Error) as error:
            where = f"{reference['namespace']}/{reference['name']}"
            text = (
                f"The ConfigMap {where} of the {which} has no usable key {key}. "
                "Ask your administrator to fix the workspace kind."
            )
            raise problems.Problem(HTTPStatus.INTERNAL_SERVER_ERROR, text) from error

    async def _find(self, name: str) -> Object:
        found = self._cache.kinds.get(name)
        if found is not None:
            return found
        try:
            return await self._cache.cluster.get(WORKSPACE_KINDS, name)
        except NotFound:
            known = (
                ", ".join(sorted(kind["metadata"]["name"] for kind in self._cache.kinds.items()))
                or "none yet"
            )
            raise problems.not_found(
                f"There is no workspace kind {name}. There is: {known}."
            ) from None

    async def _write(
        self, user: str | None, name: str, change: Callable[[Object], Object]
    ) -> Object:
        for attempt in range(WRITE_ATTEMPTS):
            try:
                held = await self._cache.cluster.get(WORKSPACE_KINDS, name)
                wanted = change(held)
                if wanted["spec"] == held["spec"]:
                    return held
                metadata = dict(held["metadata"])
                metadata["annotations"] = (metadata.get("annotations") or {}) | audit.updated(user)
                stored = await self._cache.cluster.replace(
                    WORKSPACE_KINDS, wanted | {"metadata": metadata}
                )
            except Conflict as error:
                if attempt == WRITE_ATTEMPTS - 1:
                    raise problems.from_cluster(error) from error
                continue
            except (ClusterError, Invalid) as error:
                raise problems.from_cluster(error, "workspace kind", name) from error
            self._cache.kinds.apply(stored)
            return stored
        raise AssertionError("unreachable")


def _with(kind: Object, model: models.KindUpdate) -> Object:
    """Return the kind with the parts of an update. `filterRules` stay."""
    spec = {**kind["spec"], "spawner": model.spawner, "podTemplate": model.pod_template}
    spec.pop("activityRules", None)
    if model.activity_rules is not UNSET and model.activity_rules:
        spec["activityRules"] = model.activity_rules
    return kind | {"spec": written(part("spec"), spec)}
