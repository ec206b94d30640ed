"""Reads and writes claims, and reads storage classes."""

from __future__ import annotations

from functools import partial

from jupyter_workspaces.kube.catalog import PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES
from jupyter_workspaces.kube.causes import forbidden, invalid
from jupyter_workspaces.kube.errors import ClusterError, NotFound
from jupyter_workspaces.kube.reflector import key_of
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.unreadable import mapping, text
from jupyter_workspaces.server.api.workspaces import audit
from jupyter_workspaces.server.api.workspaces.unreadable import readable
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.http import problems

from . import models, views


class Volumes:
    """Claims and storage classes of the cluster."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def storage_classes(self) -> list[models.StorageClass]:
        """Return storage classes by name."""
        shown = (
            readable(one, partial(views.storage_class, one))
            for one in self._cache.storage_classes.items()
        )
        return sorted((found for found in shown if found is not None), key=lambda found: found.name)

    def claims(self, namespace: str) -> list[models.Claim]:
        """Return claims by name, each with the pods and workspaces that use it."""
        cache = self._cache
        claims = [
            claim for claim in cache.claims.items() if claim["metadata"]["namespace"] == namespace
        ]
        pods = [pod for pod in cache.pods.items() if pod["metadata"]["namespace"] == namespace]
        workspaces = [
            workspace
            for workspace in cache.workspaces.items()
            if workspace["metadata"]["namespace"] == namespace
        ]
        found = []
        for claim in sorted(claims, key=key_of):
            name = claim["metadata"]["name"]
            volume = cache.volumes.get(text(mapping(claim.get("spec")).get("volumeName")))
            of_class = (
                "" if volume is None else text(mapping(volume.get("spec")).get("storageClassName"))
            )
            volume_class = cache.storage_classes.get(of_class) if of_class else None
            using = [
                pod
                for pod in sorted(pods, key=key_of)
                if name in (readable(pod, partial(views.claims_of, pod)) or ())
            ]
            named = [
                workspace
                for workspace in sorted(workspaces, key=key_of)
                if name
                in (readable(workspace, partial(views.claims_of_workspace, workspace)) or ())
            ]
            shown = readable(claim, partial(views.claim, claim, volume, volume_class, using, named))
            found.append(views.unreadable_claim(claim, using, named) if shown is None else shown)
        return found

    async def create(
        self, user: str | None, namespace: str, model: models.ClaimCreate
    ) -> models.ClaimCreate:
        """Create a claim.

        Raises `Problem` 409 if the name is in use, and 422 for a storage class that may not be used
        or an invalid claim.
        """
        field, name = "storageClassName", model.storage_class_name
        chosen = self._cache.storage_classes.get(name)
        if chosen is None:
            try:
                chosen = await self._cache.cluster.get(STORAGE_CLASSES, name)
            except NotFound:
                known = (
                    ", ".join(found.name for found in self.storage_classes() if found.can_use)
                    or "none"
                )
                raise problems.invalid(
                    [invalid(field, name, f"there is no such storage class; there is: {known}")]
                ) from None
        if not views.storage_class(chosen).can_use:
            text = (
                f"the storage class {name} may not be used: it lacks the label "
                f"{metadata_keys.CAN_USE}=true; an administrator can set it"
            )
            raise problems.invalid([forbidden(field, text)])
        body = {
            "apiVersion": "v1",
            "kind": PERSISTENT_VOLUME_CLAIMS.kind,
            "metadata": {
                "name": model.name,
                "namespace": namespace,
                "labels": {metadata_keys.CAN_MOUNT: "true", metadata_keys.CAN_UPDATE: "true"},
                "annotations": audit.created(user),
            },
            "spec": {
                "accessModes": model.access_modes,
                "storageClassName": name,
                "resources": {"requests": {"storage": model.requests.storage}},
            },
        }
        try:
            made = await self._cache.cluster.create(PERSISTENT_VOLUME_CLAIMS, body, namespace)
        except NotFound as error:
            raise problems.not_found(f"There is no namespace {namespace}.") from error
        except ClusterError as error:
            raise problems.from_cluster(error, "claim", model.name) from error
        self._cache.claims.apply(made)
        return views.created(made)

    async def delete(self, namespace: str, name: str) -> None:
        """Delete a claim. One that is in use is deleted after its last pod.

        Raises `Problem` 404, and 403 without the label can-update.
        """
        try:
            held = await self._cache.cluster.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except NotFound:
            raise problems.not_found(f"There is no claim {name} in {namespace}.") from None
        if (held["metadata"].get("labels") or {}).get(metadata_keys.CAN_UPDATE) != "true":
            raise problems.forbidden(
                f"The claim {name} may not be deleted here: it lacks the label "
                f"{metadata_keys.CAN_UPDATE}=true."
            )
        try:
            gone = await self._cache.cluster.delete(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except ClusterError as error:
            raise problems.from_cluster(error, "claim", name) from error
        self._cache.claims.deleted(gone, name, namespace)
