"""Sources of a pod's volumes: directories of claims, and files in the pod's private directory.

Secrets, ConfigMaps, downward API, projected volumes and tokens are written as files there.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.types import ObjectView

from .processes.mounts import Mount
from .records import PodFiles
from .references import expand, field_value
from .waiting import (
    CONFIG,
    VOLUME,
    VOLUME_PENDING,
    Waiting,
)

TOKEN_SECONDS = 3600
DEFAULT_MODE = 0o644
CREATED_WITH_NAMESPACE = ("default", "kube-root-ca.crt")
"""Objects that controllers create in each new namespace, after a short delay."""


class Volumes:
    """The volumes of one pod.

    Files are written at every start of a container, so that a restart applies changed Secrets.
    """

    def __init__(self, cluster: Cluster, pod: ObjectView, files: PodFiles, directory: Path) -> None:
        """Create the volumes of a pod in the directory of a cluster."""
        self._cluster = cluster
        self._pod = pod
        self._namespace: str = pod["metadata"]["namespace"]
        self._files = files
        self._claims = directory / "volumes"
        self._known: dict[str, tuple[Path, bool, bool]] = {}

    async def mounts(self, container: ObjectView, variables: Mapping[str, str]) -> list[Mount]:
        """Return the volume mounts of a container.

        Args:
            container: The container's spec.
            variables: Environment variables that `subPathExpr` may refer to.

        Raises:
            Waiting: A volume does not exist yet, or is not possible on this node.
        """
        volumes = {volume["name"]: volume for volume in self._pod["spec"].get("volumes") or ()}
        found = []
        for mount in container.get("volumeMounts") or ():
            name = mount["name"]
            if name not in self._known:
                self._known[name] = await self._source(volumes[name])
            source, read_only, private = self._known[name]
            if inner := mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables):
                source = _within(source, inner, writable=not read_only)
            found.append(
                Mount(mount["mountPath"], source, read_only or bool(mount.get("readOnly")), private)
            )
        return found

    async def _source(self, volume: ObjectView) -> tuple[Path, bool, bool]:
        """Return the directory of a volume, whether it is read-only, and whether it is a copy."""
        name = volume["name"]
        if claim := volume.get("persistentVolumeClaim"):
            return await self._claim(claim["claimName"]), bool(claim.get("readOnly")), False
        if "emptyDir" in volume:
            return self._files.below("volumes", name), False, True
        if host := volume.get("hostPath"):
            path = Path(host["path"])
            if not await asyncio.to_thread(path.exists):
                raise Waiting(
                    VOLUME,
                    f"Folder {path} of volume '{name}' does not exist on this computer. Create it, "
                    "or remove the volume.",
                )
            return path, False, False
        for kind in ("secret", "configMap", "downwardAPI", "projected"):
            if kind in volume:
                written = self._files.below("volumes", name)
                content: dict[str, tuple[bytes, int]] = {}
                mode = volume[kind].get("defaultMode", DEFAULT_MODE)
                for source in (
                    volume[kind].get("sources") or ()
                    if kind == "projected"
                    else ({kind: volume[kind]},)
                ):
                    content |= await self._content(source, mode)
                _write_files(written, content)
                return written, True, True
        kind = next((found for found in volume if found != "name"), "nothing")
        raise Waiting(
            VOLUME,
            f"Volume '{name}' has the type {kind}, which the local cluster does not support. Use "
            "another type.",
            60.0,
        )

    async def _claim(self, name: str) -> Path:
        try:
            claim = await self._cluster.get(PERSISTENT_VOLUME_CLAIMS, name, self._namespace)
        except NotFound:
            raise Waiting(
                VOLUME,
                f"Volume claim '{name}' does not exist. Create it, or use another one.",
                1.0,
            ) from None
        bound = (claim.get("status") or {}).get("phase") == "Bound" and claim["spec"].get(
            "volumeName"
        )
        if not bound:
            raise Waiting(VOLUME_PENDING, f"Waiting for the volume of volume claim '{name}'.", 0.2)
        try:
            volume = await self._cluster.get(PERSISTENT_VOLUMES, bound)
        except NotFound:
            raise Waiting(
                VOLUME,
                f"Volume '{bound}' of volume claim '{name}' was deleted, and its files with it.",
                10.0,
            ) from None
        host = volume["spec"].get("hostPath") or volume["spec"].get("local")
        if not host:
            raise Waiting(
                VOLUME,
                f"Volume '{bound}' of volume claim '{name}' is not a folder of this computer.",
                60.0,
            )
        path = Path(host["path"])
        if not await asyncio.to_thread(self._is_folder, path):
            raise Waiting(
                VOLUME, f"Folder {path} of volume claim '{name}' does not exist. Create it."
            )
        return path

    def _is_folder(self, path: Path) -> bool:
        """Return whether a folder exists; a missing one of ours is created."""
        if self._claims in path.parents:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path.is_dir()

    async def _content(self, source: ObjectView, mode: int) -> dict[str, tuple[bytes, int]]:
        if (secret := source.get("secret")) is not None:
            return await self._of_object(
                SECRETS, secret, secret.get("secretName") or secret.get("name", ""), mode
            )
        if (config := source.get("configMap")) is not None:
            return await self._of_object(CONFIG_MAPS, config, config.get("name", ""), mode)
        if (downward := source.get("downwardAPI")) is not None:
            return {
                item["path"]: (
                    field_value(self._pod, item, "127.0.0.1").encode(),
                    item.get("mode", mode),
                )
                for item in downward.get("items") or ()
            }
        if (token := source.get("serviceAccountToken")) is not None:
            return await self._token(token, mode)
        raise Waiting(
            VOLUME,
            f"A projected volume has the source {', '.join(source)}, which the local cluster does "
            "not support. Remove it.",
            60.0,
        )

    async def _of_object(
        self, resource: Any, wanted: ObjectView, name: str, mode: int
    ) -> dict[str, tuple[bytes, int]]:
        try:
            held = await self._cluster.get(resource, name, self._namespace)
        except NotFound:
            if wanted.get("optional"):
                return {}
            raise self._missing(resource, name) from None
        content = content_of(held)
        if not wanted.get("items"):
            return {key: (value, mode) for key, value in content.items()}
        found = {}
        for item in wanted["items"]:
            if item["key"] in content:
                found[item["path"]] = (content[item["key"]], item.get("mode", mode))
            elif not wanted.get("optional"):
                raise Waiting(
                    CONFIG, f"{resource.kind} '{name}' has no key '{item['key']}'. Add it.", 1.0
                )
        return found

    async def _token(self, wanted: ObjectView, mode: int) -> dict[str, tuple[bytes, int]]:
        account, metadata = (
            self._pod["spec"].get("serviceAccountName") or "default",
            self._pod["metadata"],
        )
        holder = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        spec: dict[str, Any] = {
            "expirationSeconds": wanted.get("expirationSeconds", TOKEN_SECONDS),
            "boundObjectRef": holder,
        }
        if wanted.get("audience"):
            spec["audiences"] = [wanted["audience"]]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            answer = await self._cluster.raw(
                "POST", SERVICE_ACCOUNTS.path(self._namespace, account, "token"), body=body
            )
        except NotFound:
            raise self._missing(SERVICE_ACCOUNTS, account) from None
        return {wanted["path"]: (answer["status"]["token"].encode(), mode)}

    def _missing(self, resource: Resource, name: str) -> Waiting:
        return Waiting(
            CONFIG,
            f"{resource.kind} '{name}' does not exist in namespace '{self._namespace}'. Create it.",
            0.2 if name in CREATED_WITH_NAMESPACE else 1.0,
        )


def content_of(held: ObjectView) -> dict[str, bytes]:
    """Return keys and values of a Secret or ConfigMap."""
    if held["kind"] == SECRETS.kind:
        return {
            key: base64.b64decode(value or "") for key, value in (held.get("data") or {}).items()
        }
    found = {key: value.encode() for key, value in (held.get("data") or {}).items()}
    return found | {
        key: base64.b64decode(value) for key, value in (held.get("binaryData") or {}).items()
    }


def _write_files(directory: Path, content: Mapping[str, tuple[bytes, int]]) -> None:
    """Replace the content of a directory of ours."""
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for name, (data, mode) in content.items():
        path = directory.joinpath(*_relative(name).parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        # Only the owner's permissions matter, because the directory is closed to other users.
        path.chmod((mode & 0o700) | 0o400)


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise Waiting(CONFIG, f"'{name}' is not a path inside a volume.", 60.0)
    return path


def _within(source: Path, inner: str, *, writable: bool) -> Path:
    """Return the directory of a `subPath`, which is created; refuse links out of the volume."""
    found = source.joinpath(*_relative(inner).parts)
    real, base = Path(os.path.realpath(found)), Path(os.path.realpath(source))
    if base != real and base not in real.parents:
        raise Waiting(VOLUME, f"subPath '{inner}' leads out of its volume.", 60.0)
    if not real.exists():
        if not writable:
            raise Waiting(VOLUME, f"subPath '{inner}' does not exist in its read-only volume.")
        real.mkdir(parents=True)
    return real
