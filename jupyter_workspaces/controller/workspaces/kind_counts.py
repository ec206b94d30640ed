"""Counts the workspaces of each kind, lets go of kinds that nobody uses, and hashes their pictures (contracts/kubeflow-workspaces.md §4.9)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections import Counter
from typing import Any

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.reflector import Key
from jupyter_workspaces.resources import metadata_keys, unreadable
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS

from .cluster_views import View
from .options import DIMENSIONS

log = logging.getLogger(__name__)

Object = dict[str, Any]


class KindReconciler:
    """One call of `reconcile` for one kind at a time."""

    def __init__(self, cluster: Cluster, view: View) -> None:
        self._cluster, self._view = cluster, view

    async def reconcile(self, key: Key) -> float | None:
        """Raises `ClusterError`."""
        kind = self._view.kinds.get(key[1])
        if kind is None or not kind.get("spec"):
            return None
        try:
            await self._reconcile(kind)
        except NotFound as error:  # deleted while we looked
            log.debug("Kind %s: %s", key[1], error)
        except unreadable.ERRORS as error:
            log.warning(
                "The kind %s is not counted: %s", key[1], unreadable.reason(kind), exc_info=error
            )
        return None

    async def _reconcile(self, kind: Object) -> None:
        name = kind["metadata"]["name"]
        workspaces = list(self._view.of_kind(name))  # one that cannot be read is of this kind, too
        used = {
            dimension: Counter(_option(one, dimension) for one in workspaces)
            for dimension in DIMENSIONS
        }
        spawner, options = kind["spec"]["spawner"], kind["spec"]["podTemplate"]["options"]
        status = {
            "workspaces": len(workspaces),
            "podTemplateOptions": {
                dimension: [
                    {"id": value["id"], "workspaces": used[dimension][value["id"]]}
                    for value in options[dimension]["values"]
                ]
                for dimension in DIMENSIONS
            },
            "spawnerIcon": self._picture(spawner["icon"]),
            "spawnerLogo": self._picture(spawner["logo"]),
        }
        if status != kind.get("status"):
            kind = await self._cluster.replace(
                WORKSPACE_KINDS, kind | {"status": status}, subresource="status"
            )
            self._view.kinds.apply(kind)
        finalizers = kind["metadata"].get("finalizers") or []
        if not workspaces and metadata_keys.KIND_PROTECTION in finalizers:
            left = [held for held in finalizers if held != metadata_keys.KIND_PROTECTION]
            patch = {
                "metadata": {
                    "finalizers": left,
                    "resourceVersion": kind["metadata"]["resourceVersion"],
                }
            }
            self._view.kinds.apply(await self._cluster.patch(WORKSPACE_KINDS, name, patch))

    def _picture(self, asset: Object) -> Object:
        """The hash of an SVG in a ConfigMap, or why there is none; nothing for a URL."""
        reference = asset.get("configMap")
        if reference is None:
            return {}
        where = f"{reference['namespace']}/{reference['name']}"
        config_map = self._view.pictures.get(reference["name"], reference["namespace"])
        if config_map is None:
            text = (
                f"There is no ConfigMap {where} with the label {metadata_keys.IMAGE_SOURCE}=true."
            )
            return {"configMap": {"errorType": "NotFound", "errorMessage": text}}
        if (content := (config_map.get("data") or {}).get(reference["key"])) is not None:
            return {"sha256": hashlib.sha256(content.encode()).hexdigest()}
        if (encoded := (config_map.get("binaryData") or {}).get(reference["key"])) is not None:
            try:
                return {
                    "sha256": hashlib.sha256(base64.b64decode(encoded, validate=True)).hexdigest()
                }
            except binascii.Error:
                return {
                    "configMap": {
                        "errorType": "Other",
                        "errorMessage": f"The key {reference['key']} of {where} is not base64.",
                    }
                }
        return {
            "configMap": {
                "errorType": "KeyNotFound",
                "errorMessage": f"The ConfigMap {where} has no key {reference['key']}.",
            }
        }


def _option(workspace: Object, dimension: str) -> str:
    """The option that a workspace names; empty where it names none."""
    template = unreadable.mapping(unreadable.mapping(workspace.get("spec")).get("podTemplate"))
    return unreadable.text(unreadable.mapping(template.get("options")).get(dimension))
