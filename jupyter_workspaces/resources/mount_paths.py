"""Whether the volumes of a workspace can be mounted together: no two at one path, however it is written. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.kube.causes import Cause, invalid

Object = Mapping[str, Any]


_WRITTEN = re.compile("/[^/]")
"""As the schema wants a mount path to begin."""


@dataclass(frozen=True)
class _Mount:
    """Something at a normalized path. `owner` is the list of the workspace that it is from, empty for what the kind mounts."""

    path: str
    what: str
    owner: str = ""
    index: int = 0
    written: str = ""

    @property
    def field(self) -> str:
        return f"volumes.{self.owner}[{self.index}].mountPath"


def normal(path: str) -> str:
    """A mount path as a file system reads it: `/data/`, `//data` and `/data/../data` are `/data`."""
    return posixpath.normpath("/" + path.lstrip("/"))


def clashes(volumes: Object, kind_template: Object | None, at: str) -> Iterator[Cause]:
    """Yield a cause for each mount path that the workspace cannot have.

    A path is refused where another volume of the workspace, its home or a volume of its kind is mounted, and
    where either lies inside a Secret, which is read-only. Other nested mounts are allowed, as in Kubernetes.

    Args:
        volumes: `spec.podTemplate.volumes` of a Workspace.
        kind_template: `spec.podTemplate` of its WorkspaceKind; None where that is not known.
        at: path of the pod template, for the fields of the causes.
    """
    taken = list(_of_kind(volumes, kind_template or {}))
    for mount in _of_workspace(volumes):
        if not _WRITTEN.match(mount.written):
            continue  # the schema says so
        if mount.path == "/":
            yield invalid(
                f"{at}.{mount.field}",
                mount.written,
                "nothing can be mounted at the root of the file system; name a folder such as /data",
            )
        elif (
            why := next((text for other in taken if (text := _clash(mount, other))), None)
        ) is not None:
            yield invalid(f"{at}.{mount.field}", mount.written, why)
        taken.append(mount)


def _clash(mount: _Mount, other: _Mount) -> str | None:
    if mount.path == other.path:
        if mount.owner == other.owner and mount.written == other.written:
            return None  # the schema says so: `mountPath` is the key of each of both lists
        return f"{other.what} is mounted at {other.path} already; choose another path"
    if mount.owner == "secrets" and other.path.startswith(mount.path + "/"):
        return f"{other.what} is mounted at {other.path}, which lies inside this Secret's read-only folder; choose another path"
    if other.owner == "secrets" and mount.path.startswith(other.path + "/"):
        return f"it lies inside {other.path}, the read-only folder of {other.what}; choose another path"
    return None


def _of_kind(volumes: Object, template: Object) -> Iterator[_Mount]:
    home = (template.get("volumeMounts") or {}).get("home")
    if volumes.get("home") and home:
        yield _Mount(normal(home), f"the home volume {volumes['home']}")
    known = {volume.get("name") for volume in template.get("extraVolumes") or ()}
    for mount in template.get("extraVolumeMounts") or ():
        if mount.get("name") in known:
            yield _Mount(
                normal(mount["mountPath"]), f"the volume {mount['name']} of the workspace kind"
            )


def _of_workspace(volumes: Object) -> Iterator[_Mount]:
    for index, data in enumerate(volumes.get("data") or ()):
        yield _Mount(
            normal(data["mountPath"]),
            f"the volume {data['pvcName']}",
            "data",
            index,
            data["mountPath"],
        )
    for index, secret in enumerate(volumes.get("secrets") or ()):
        yield _Mount(
            normal(secret["mountPath"]),
            f"the Secret {secret['secretName']}",
            "secrets",
            index,
            secret["mountPath"],
        )


def of_kind(template: Object, at: str) -> Iterator[Cause]:
    """Yield a cause for each of a kind's own mounts at the path of another of them, or of the home."""
    home = (template.get("volumeMounts") or {}).get("home")
    taken: dict[str, str] = {normal(home): "the home volume"} if home else {}
    for index, mount in enumerate(template.get("extraVolumeMounts") or ()):
        path = normal(mount["mountPath"])
        if path in taken:
            yield invalid(
                f"{at}.extraVolumeMounts[{index}].mountPath",
                mount["mountPath"],
                f"{taken[path]} is mounted at {path} already",
            )
        taken.setdefault(path, f"the volume {mount['name']}")
