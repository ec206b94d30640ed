"""Reconciles a WorkspaceKind: its status, and the finalizer that protects it while it is in use.

The status counts the workspaces of the kind and of each option, and has the hashes of the kind's
icon and logo, so that clients know when a picture has changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.reflector import Key
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys, unreadable
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS
from jupyter_workspaces.resources.views import DIMENSIONS, WorkspaceKindView

from .caches import Caches

log = logging.getLogger(__name__)


class KindReconciler:
    """Reconciler of WorkspaceKinds; `reconcile` runs once at a time for each kind."""

    def __init__(self, cluster: Cluster, caches: Caches) -> None:
        """Use `cluster` for writes and `caches` for reads."""
        self._cluster, self._caches = cluster, caches

    async def reconcile(self, key: Key) -> None:
        """Bring status and finalizer of a kind up to date. A malformed kind is only logged.

        Raises:
            ClusterError: the API server refused a write or did not answer.
        """
        kind = self._caches.kinds.get(key[1])
        if kind is None or not kind.get("spec"):
            return
        try:
            await self._reconcile(kind)
        except NotFound as error:  # deleted in the meantime
            log.debug("Kind %s: %s", key[1], error)
        except unreadable.ERRORS as error:
            reason = unreadable.reason(kind)
            log.warning("The kind %s is not counted: %s", key[1], reason, exc_info=error)

    async def _reconcile(self, kind: Object) -> None:
        name = kind["metadata"]["name"]
        workspaces = list(self._caches.of_kind(name))  # with the malformed ones
        status = self._status(WorkspaceKindView(kind), workspaces)
        if status != kind.get("status"):
            kind = await self._cluster.replace(
                WORKSPACE_KINDS, kind | {"status": status}, subresource="status"
            )
            self._caches.kinds.apply(kind)
        if not workspaces:
            await self._remove_protection(WorkspaceKindView(kind))

    async def _remove_protection(self, kind: WorkspaceKindView) -> None:
        if metadata_keys.KIND_PROTECTION not in kind.finalizers:
            return
        left = [one for one in kind.finalizers if one != metadata_keys.KIND_PROTECTION]
        metadata = {"finalizers": left, "resourceVersion": kind.resource_version}
        patch = {"metadata": metadata}
        self._caches.kinds.apply(await self._cluster.patch(WORKSPACE_KINDS, kind.name, patch))

    def _status(self, kind: WorkspaceKindView, workspaces: list[Object]) -> Object:
        return {
            "workspaces": len(workspaces),
            "podTemplateOptions": {
                dimension: _counts(kind, workspaces, dimension) for dimension in DIMENSIONS
            },
            "spawnerIcon": self._picture(kind.spawner["icon"]),
            "spawnerLogo": self._picture(kind.spawner["logo"]),
        }

    def _picture(self, asset: Object) -> Object:
        """Return the hash of a picture in a ConfigMap, or an error; empty for a URL."""
        reference = asset.get("configMap")
        if reference is None:
            return {}
        key, place = reference["key"], f"{reference['namespace']}/{reference['name']}"
        config_map = self._caches.pictures.get(reference["name"], reference["namespace"])
        if config_map is None:
            label = f"{metadata_keys.IMAGE_SOURCE}=true"
            return _error("NotFound", f"There is no ConfigMap {place} with the label {label}.")
        if (content := (config_map.get("data") or {}).get(key)) is not None:
            return {"sha256": hashlib.sha256(content.encode()).hexdigest()}
        if (encoded := (config_map.get("binaryData") or {}).get(key)) is not None:
            try:
                decoded = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                return _error("Other", f"The key {key} of {place} is not base64.")
            return {"sha256": hashlib.sha256(decoded).hexdigest()}
        return _error("KeyNotFound", f"The ConfigMap {place} has no key {key}.")


def chosen_option(workspace: Object, dimension: str) -> str:
    """Return the id of the option that a workspace names; empty for a malformed workspace."""
    spec = unreadable.mapping(workspace.get("spec"))
    template = unreadable.mapping(spec.get("podTemplate"))
    return unreadable.text(unreadable.mapping(template.get("options")).get(dimension))


def _counts(
    kind: WorkspaceKindView, workspaces: Iterable[Object], dimension: str
) -> list[dict[str, Any]]:
    used = Counter(chosen_option(workspace, dimension) for workspace in workspaces)
    return [{"id": option, "workspaces": used[option]} for option in kind.option_values(dimension)]


def _error(error_type: str, message: str) -> Object:
    return {"configMap": {"errorType": error_type, "errorMessage": message}}
