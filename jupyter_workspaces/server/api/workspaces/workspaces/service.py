"""Reads and writes workspaces."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from jupyter_workspaces.common.documents import json_patch
from jupyter_workspaces.common.documents.bounds import Bounds, TooDeep, TooLarge
from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.catalog import (
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SECRETS,
    Resource,
)
from jupyter_workspaces.kube.causes import Cause, forbidden, invalid
from jupyter_workspaces.kube.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Invalid,
    NotFound,
)
from jupyter_workspaces.kube.merge_patch import merge
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys, mount_paths, restarts
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.resources.templates import base_url, is_plain_base_url
from jupyter_workspaces.resources.views import WorkspaceView
from jupyter_workspaces.server.api.workspaces import audit
from jupyter_workspaces.server.api.workspaces.bodies import converted
from jupyter_workspaces.server.api.workspaces.unreadable import readable, reading
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.http import problems
from jupyter_workspaces.server.http.problems import StaleRevision

from . import models, views

log = logging.getLogger(__name__)


WRITE_ATTEMPTS = 5
_LIST_ITEM = msgspec.json.Decoder(models.WorkspaceListItem)
STOP_NOW_SECONDS = 1
"""Shortest grace period after which the kubelet still confirms that a pod has ended."""

GIVEN_UP_SECONDS = 60.0
"""After this time beyond the grace period, the node of a pod counts as dead."""
PATCHED = Bounds(size=2**20, depth=100, values=20_000)
"""What a JSON patch may leave of a model, and may copy in all."""


class Workspaces:
    """Workspaces of the cluster."""

    def __init__(self, cache: Cache, prefix: str, base_url: str = "/") -> None:
        self._cache, self._prefix = cache, prefix
        self._base_url = base_url if is_plain_base_url(base_url) else "/"
        self._items: dict[Key, tuple[Object, Object | None, bytes]] = {}

    # Reading

    def encoded(self, workspace: Object) -> bytes:
        """Return the list item as JSON, encoded once for each version of workspace and kind."""
        key, kind = key_of(workspace), self._cache.kind_of(workspace)
        known = self._items.get(key)
        if known is not None and known[0] is workspace and known[1] is kind:
            return known[2]
        encoded = readable(workspace, partial(self._encode, workspace, kind))
        if (
            encoded is None and kind is not None
        ):  # a kind that cannot be read is as one that is missing
            encoded = readable(workspace, partial(self._encode, workspace, None))
        if encoded is None:
            encoded = msgspec.json.encode(views.unreadable_item(workspace))
        self._items[key] = (workspace, kind, encoded)
        return encoded

    def _encode(self, workspace: Object, kind: Object | None) -> bytes:
        encoded = msgspec.json.encode(views.list_item(workspace, kind, self._prefix))
        _LIST_ITEM.decode(encoded)  # a wrong type would break clients
        return encoded

    def list(self, namespace: str | None = None, name: str | None = None) -> list[bytes]:
        """Return encoded list items by namespace and name. Malformed workspaces are Unknown."""
        if namespace is not None and name is not None and self._cache.workspaces.denied is None:
            one = self._cache.workspace(namespace, name)
            return [] if one is None else [self.encoded(one)]
        found = [
            one
            for one in self._cache.workspaces.items()
            if namespace is None or one["metadata"]["namespace"] == namespace
        ]
        if len(self._items) > len(self._cache.workspaces) + 1000:
            self._items = {
                key: item
                for key, item in self._items.items()
                if self._cache.workspaces.get(key[1], key[0]) is not None
            }
        return [self.encoded(one) for one in sorted(found, key=key_of)]

    async def get(self, namespace: str, name: str) -> models.WorkspaceUpdate:
        """Return the update model of a workspace. Raises `Problem` 404."""
        found = await self.find(namespace, name)
        with reading(found):
            return views.update_model(found)

    async def find(self, namespace: str, name: str) -> Object:
        """Return the stored workspace. Raises `Problem` 404."""
        found = self._cache.workspace(namespace, name)
        if found is None:
            try:
                found = await self._cache.cluster.get(WORKSPACES, name, namespace)
            except NotFound:
                raise problems.not_found(f"There is no workspace {name} in {namespace}.") from None
        return found

    # Writing

    async def create(
        self, user: str | None, namespace: str, model: models.WorkspaceCreate
    ) -> models.WorkspaceCreate:
        """Create a workspace.

        Raises `Problem` 409 if the name is in use, and 422 for invalid fields and mounts.
        """
        await self._check_mounts(namespace, model.kind, model.pod_template)
        body = {
            "apiVersion": WORKSPACES.api_version,
            "kind": WORKSPACES.kind,
            "metadata": {
                "name": model.name,
                "namespace": namespace,
                "annotations": audit.created(user) | self._below(),
            },
            "spec": views.spec_of(model, model.kind),
        }
        try:
            made = await self._cache.cluster.create(WORKSPACES, body, namespace)
        except NotFound as error:
            raise problems.not_found(f"There is no namespace {namespace}.") from error
        except AlreadyExists as error:
            if (self._cache.workspace(namespace, model.name) or {"metadata": {}})["metadata"].get(
                "deletionTimestamp"
            ):
                text = (
                    f"Workspace {model.name} is still being deleted: its programs have not ended. "
                    "Wait for that, or stop them now."
                )
                raise problems.Conflict(text) from error
            raise problems.from_cluster(error, "workspace", model.name) from error
        except ClusterError as error:
            raise problems.from_cluster(error, "workspace", model.name) from error
        self._cache.workspaces.apply(made)
        return views.create_model(made)

    async def update(
        self,
        user: str | None,
        namespace: str,
        name: str,
        model: models.WorkspaceUpdate,
        expected: str | None = None,
    ) -> models.WorkspaceUpdate:
        """Replace the owner's part; the workspace must also have the revision `expected`, if given.

        Raises `Problem` 404, 409 for a stale revision, and 422.
        """
        held = await self._cluster_get(namespace, name)
        if {model.revision, expected or model.revision} != {views.revision(held)}:
            raise StaleRevision()
        await self._check_mounts(namespace, str(held["spec"].get("kind")), model.pod_template, held)

        def change(workspace: Object) -> Object:
            """Return the changed workspace."""
            if model.revision != views.revision(workspace):
                raise StaleRevision()
            return workspace | {"spec": views.spec_of(model, WorkspaceView(workspace).spec["kind"])}

        return views.update_model(await self._write(user, held, change))

    async def patch(
        self, user: str | None, namespace: str, name: str, patch: Any, expected: str | None = None
    ) -> models.WorkspaceUpdate:
        """Patch the update model: a mapping is a merge patch, a list a JSON patch.

        A `revision` in the patch, and `expected`, must match. Raises `Problem` 400, 404, 409, 422.
        """

        def change(workspace: Object) -> Object:
            """Return the changed workspace."""
            with reading(workspace):
                present = msgspec.to_builtins(views.update_model(workspace))
            model = converted(patched(present, patch), models.WorkspaceUpdate)
            if {model.revision, expected or model.revision} != {present["revision"]}:
                raise StaleRevision()
            if causes := model.causes():
                raise problems.invalid(causes)
            return workspace | {"spec": views.spec_of(model, WorkspaceView(workspace).spec["kind"])}

        held = await self._cluster_get(namespace, name)
        changed = converted(
            msgspec.to_builtins(WorkspaceView(change(held)).pod_template), models.PodTemplate
        )
        await self._check_mounts(namespace, str(held["spec"].get("kind")), changed, held)
        return views.update_model(await self._write(user, held, change))

    async def delete(
        self, namespace: str, name: str, expected: str | None = None, *, at_once: bool = False
    ) -> None:
        """Delete a workspace; its volumes stay. It is listed as Terminating until its programs end.

        With `at_once` it leaves the API before that, as on the original server. Raises `Problem`
        404, and 409 if the revision is not `expected`.
        """
        version = None
        if expected is not None:
            held = await self._cluster_get(namespace, name)
            if views.revision(held) != expected:
                raise StaleRevision()
            version = held["metadata"]["resourceVersion"]
        try:
            propagation = None if at_once else "Foreground"
            gone = await self._cache.cluster.delete(
                WORKSPACES, name, namespace, resource_version=version, propagation=propagation
            )
        except ClusterError as error:
            raise problems.from_cluster(error, "workspace", f"{name}") from error
        self._cache.workspaces.deleted(gone, name, namespace)

    async def pause(self, namespace: str, name: str, paused: bool) -> models.Pause:
        """Pause or start a workspace.

        Raises `Problem` 404, and 409 if it is in that state already, or is not Paused at a start.
        """
        tests: list[Object] = [{"op": "test", "path": "/spec/paused", "value": not paused}]
        if not paused:
            held = await self.find(namespace, name)
            if WorkspaceView(held).state == "Paused":
                await self._start_below(held)
            tests.append({"op": "test", "path": "/status/state", "value": "Paused"})
        patch = [*tests, {"op": "replace", "path": "/spec/paused", "value": paused}]
        try:
            changed = await self._cache.cluster.patch(WORKSPACES, name, patch, namespace)
            if restarts.id_of(changed) is not None:  # a manual pause or start cancels a restart
                changed = await self._give_up_restart(namespace, name)
        except Invalid as error:
            held = await self._cluster_get(namespace, name)
            if not (paused and restarts.id_of(held) is not None and restarts.is_paused(held)):
                wanted = "is not running any more" if paused else "is not paused"
                state = WorkspaceView(held).state or "Unknown"
                raise problems.conflict(
                    f"{name} {wanted} (its state is {state}). Reload it and try again."
                ) from error
            changed = await self._give_up_restart(namespace, name)
        except ClusterError as error:
            raise problems.from_cluster(error, "workspace", name) from error
        self._cache.workspaces.apply(changed)
        return models.Pause(changed["spec"]["paused"])

    async def stop_now(self, namespace: str, name: str) -> None:
        """End the pod of a stopping workspace, without the rest of its grace period.

        The node still confirms the end of the pod, so that no volume is used twice (Kubernetes
        docs,
        "Force Delete StatefulSet Pods"). Only a pod of a dead node is force-deleted. Raises
        `Problem` 403, 404, and 409 if the workspace is not stopping.
        """
        held = await self._cluster_get(namespace, name)
        wanted = held["metadata"].get("deletionTimestamp") or (held.get("spec") or {}).get("paused")
        pods = [
            pod
            for pod in self._cache.pods_of(held)
            if wanted or pod["metadata"].get("deletionTimestamp")
        ]
        if not wanted and not pods:
            raise problems.conflict(f"{name} is not stopping. Pause, restart or delete it first.")
        for pod in pods:
            metadata = pod["metadata"]
            until = milliseconds(metadata.get("deletionTimestamp")) / 1000
            seconds = 0 if until and time.time() > until + GIVEN_UP_SECONDS else STOP_NOW_SECONDS
            try:
                await self._cache.cluster.delete(
                    PODS, metadata["name"], namespace, grace_seconds=seconds, uid=metadata["uid"]
                )
            except (NotFound, Conflict):
                log.debug("Pod %s/%s was gone already", namespace, metadata["name"])
            except ClusterError as error:
                raise problems.from_cluster(error, "pod", metadata["name"]) from error

    async def restart(self, namespace: str, name: str) -> None:
        """Request a restart of a workspace in any state. Idempotent during a restart.

        The request is recorded in the workspace (`resources/restarts.py`), so the restart finishes
        even if this server ends. Raises `Problem` 404.
        """
        for attempt in range(WRITE_ATTEMPTS):
            held = await self._cluster_get(namespace, name)
            if restarts.id_of(held) is not None and restarts.is_paused(held):
                return
            held = await self._start_below(held)
            patch = restarts.begun(held, restarts.new_id(datetime.now(timezone.utc)))
            try:
                changed = await self._cache.cluster.patch(WORKSPACES, name, patch, namespace)
            except Conflict as error:
                if attempt == WRITE_ATTEMPTS - 1:
                    raise problems.from_cluster(error, "workspace", name) from error
                continue
            except ClusterError as error:
                raise problems.from_cluster(error, "workspace", name) from error
            self._cache.workspaces.apply(changed)
            return

    def _below(self) -> dict[str, str]:
        """Return the annotations of a workspace that this server starts."""
        return {} if self._base_url == "/" else {metadata_keys.BASE_URL: self._base_url}

    async def _start_below(self, held: Object) -> Object:
        """Set the public path for the next start, so that bodies need no rewriting.

        Running programs keep their path: the controller reads it only at a start. Returns the
        updated workspace. Raises `Problem` if the update fails.
        """
        metadata = held["metadata"]
        if base_url(metadata) == self._base_url:
            return held
        annotations = {metadata_keys.BASE_URL: self._below().get(metadata_keys.BASE_URL)}
        try:
            changed = await self._cache.cluster.patch(
                WORKSPACES,
                metadata["name"],
                {"metadata": {"annotations": annotations}},
                metadata["namespace"],
            )
        except ClusterError as error:
            raise problems.from_cluster(error, "workspace", metadata["name"]) from error
        self._cache.workspaces.apply(changed)
        return changed

    async def _give_up_restart(self, namespace: str, name: str) -> Object:
        """Cancel a restart and return the updated workspace. Raises `Problem` 404, 409."""
        for _ in range(WRITE_ATTEMPTS):
            held = await self._cluster_get(namespace, name)
            if restarts.id_of(held) is None:
                return held
            try:
                return await self._cache.cluster.patch(
                    WORKSPACES, name, restarts.given_up(held), namespace
                )
            except Conflict:
                continue
        raise problems.conflict(f"Workspace {name} is being changed concurrently. Try again.")

    async def _cluster_get(self, namespace: str, name: str) -> Object:
        try:
            return await self._cache.cluster.get(WORKSPACES, name, namespace)
        except NotFound:
            raise problems.not_found(f"There is no workspace {name} in {namespace}.") from None

    async def _write(self, user: str | None, held: Object, change: Any) -> Object:
        """Store a change; a concurrent write of the controller's status is no conflict."""
        for attempt in range(WRITE_ATTEMPTS):
            wanted = change(held)
            if wanted["spec"] == held["spec"]:
                return held
            metadata = dict(held["metadata"])
            metadata["annotations"] = (metadata.get("annotations") or {}) | audit.updated(user)
            if restarts.is_paused(wanted) != restarts.is_paused(held):
                metadata["annotations"].pop(metadata_keys.RESTART, None)
            try:
                stored = await self._cache.cluster.replace(
                    WORKSPACES, wanted | {"metadata": metadata}
                )
            except Conflict as error:
                if attempt == WRITE_ATTEMPTS - 1:
                    raise problems.from_cluster(error) from error
                held = await self._cluster_get(metadata["namespace"], metadata["name"])
                continue
            except ClusterError as error:
                raise problems.from_cluster(error, "workspace", metadata["name"]) from error
            self._cache.workspaces.apply(stored)
            return stored
        raise AssertionError("unreachable")

    async def _check_mounts(
        self, namespace: str, kind: str, template: models.PodTemplate, held: Object | None = None
    ) -> None:
        """Check that claims and secrets exist, are labelled as mountable, and have distinct paths.

        Mounts of `held` are not checked again: a label that was removed later must not block an
        unrelated change. Raises `Problem` 422.
        """
        known, known_secrets = (set[str](), set[str]()) if held is None else _mounted(held)
        causes: list[Cause] = []
        claims = (
            [("podTemplate.volumes.home", template.volumes.home)] if template.volumes.home else []
        )
        claims += [
            (f"podTemplate.volumes.data[{index}].pvcName", data.pvc_name)
            for index, data in enumerate(template.volumes.data)
        ]
        for field, claim in claims:
            if claim not in known:
                causes += _mountable(
                    field,
                    str(claim),
                    "claim",
                    await self._find_mount(PERSISTENT_VOLUME_CLAIMS, namespace, str(claim)),
                )
        for index, secret in enumerate(
            template.volumes.secrets if template.volumes.secrets is not UNSET else ()
        ):
            field, name = f"podTemplate.volumes.secrets[{index}].secretName", secret.secret_name
            if name not in known_secrets:
                causes += _mountable(
                    field, name, "secret", await self._find_mount(SECRETS, namespace, name)
                )
        volumes = msgspec.to_builtins(template.volumes)
        before = None
        if held is not None:
            with reading(held):
                before = msgspec.to_builtins(views.update_model(held).pod_template.volumes)
        if (
            volumes != before and not causes
        ):  # errors of claims come first, as on the original server
            known_kind = self._cache.kinds.get(kind) or {}
            causes += mount_paths.clashes(
                volumes, (known_kind.get("spec") or {}).get("podTemplate"), "podTemplate"
            )
        if causes:
            raise problems.invalid(causes)

    async def _find_mount(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Read a claim or Secret from the cluster: one that is new may not be in the cache yet."""
        try:
            return await self._cache.cluster.get(resource, name, namespace)
        except NotFound:
            return None


def patched(present: Object, patch: Any) -> Object:
    """Return a model with a patch applied. Raises `Problem` 400, 422."""
    if isinstance(patch, dict):
        merged: Object = merge(present, patch)
        return merged
    if not isinstance(patch, list):
        raise problems.bad_request(
            "A patch is an object (merge patch, RFC 7386) or a list of operations (JSON patch, "
            "RFC 6902)."
        )
    try:
        result = json_patch.apply(present, patch, bounds=PATCHED)
    except TooLarge as error:
        raise problems.too_large(str(error)) from error
    except (json_patch.NotAPatch, TooDeep) as error:
        raise problems.bad_request(f"This is not a JSON patch: {error}") from error
    except json_patch.DoesNotFit as error:
        raise problems.invalid([invalid("patch", "…", f"it does not fit: {error}")]) from error
    if not isinstance(result, dict):
        raise problems.bad_request("The patch leaves no object.")
    return result


def _mounted(workspace: Object) -> tuple[set[str], set[str]]:
    """Return the claims and Secrets that a workspace mounts. Raises `Problem` 409 if malformed."""
    with reading(workspace):
        volumes = WorkspaceView(workspace).volumes
        claims = {volumes.get("home"), *(data["pvcName"] for data in volumes.get("data") or ())}
        return claims, {secret["secretName"] for secret in volumes.get("secrets") or ()}


def _mountable(field: str, name: str, what: str, found: Object | None) -> Iterable[Cause]:
    if found is None:
        yield invalid(field, name, f"there is no such {what} in this namespace")
    elif (found["metadata"].get("labels") or {}).get(metadata_keys.CAN_MOUNT) != "true":
        text = (
            f"the {what} {name} may not be mounted: it lacks the label "
            f"{metadata_keys.CAN_MOUNT}=true; its owner can set it"
        )
        yield forbidden(field, text)
