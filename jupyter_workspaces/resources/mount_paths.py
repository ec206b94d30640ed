"""Checks that the volumes of a workspace can be mounted together.

Two volumes cannot have the same path, however it is written, and nothing can be mounted inside a
Secret. The admission rules, the controller and the server's API use the same checks.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.types import ObjectView

_VALID_START = re.compile("/[^/]")
"""Start of a mount path that the schema of a Workspace accepts."""


@dataclass(frozen=True)
class _Mount:
    """A mounted volume.

    Attributes:
        path: normalized mount path.
        description: the volume, for messages.
        list_name: `data` or `secrets`; empty for a mount of the kind.
        index: position in that list.
        written_path: mount path as the workspace has it.
    """

    path: str
    description: str
    list_name: str = ""
    index: int = 0
    written_path: str = ""

    @property
    def field(self) -> str:
        return f"volumes.{self.list_name}[{self.index}].mountPath"


def normal(path: str) -> str:
    """Return a mount path in its shortest form: `/data` for `/data/`, `//data` or `/x/../data`."""
    return posixpath.normpath("/" + path.lstrip("/"))


def clashes(volumes: ObjectView, kind_template: ObjectView | None, at: str) -> Iterator[Cause]:
    """Yield a cause for each mount path that the workspace cannot have.

    A path is refused where another volume of the workspace, its home or a volume of its kind is
    mounted, and where either is inside a Secret, which is read-only. Other nested mounts are
    allowed, as in Kubernetes.

    Args:
        volumes: `spec.podTemplate.volumes` of a Workspace.
        kind_template: `spec.podTemplate` of its WorkspaceKind; None if it is unknown.
        at: path of the pod template, for the fields of the causes.
    """
    taken = list(_of_kind(volumes, kind_template or {}))
    for mount in _of_workspace(volumes):
        if not _VALID_START.match(mount.written_path):
            continue  # the schema refuses it
        if mount.path == "/":
            yield invalid(
                f"{at}.{mount.field}",
                mount.written_path,
                "nothing can be mounted at the root of the file system; use a folder such as /data",
            )
        elif (
            why := next((text for other in taken if (text := _clash(mount, other))), None)
        ) is not None:
            yield invalid(f"{at}.{mount.field}", mount.written_path, why)
        taken.append(mount)


def _clash(mount: _Mount, other: _Mount) -> str | None:
    if mount.path == other.path:
        if mount.list_name == other.list_name and mount.written_path == other.written_path:
            return None  # the schema refuses it: `mountPath` is the key of both lists
        return f"{other.description} is mounted at {other.path} already; choose another path"
    if mount.list_name == "secrets" and other.path.startswith(mount.path + "/"):
        return (
            f"{other.description} is mounted at {other.path}, inside the read-only folder of this "
            "Secret; choose another path"
        )
    if other.list_name == "secrets" and mount.path.startswith(other.path + "/"):
        return (
            f"it is inside {other.path}, the read-only folder of {other.description}; "
            "choose another path"
        )
    return None


def _of_kind(volumes: ObjectView, template: ObjectView) -> Iterator[_Mount]:
    home = (template.get("volumeMounts") or {}).get("home")
    if volumes.get("home") and home:
        yield _Mount(normal(home), f"the home volume {volumes['home']}")
    known = {volume.get("name") for volume in template.get("extraVolumes") or ()}
    for mount in template.get("extraVolumeMounts") or ():
        if mount.get("name") in known:
            yield _Mount(
                normal(mount["mountPath"]), f"the volume {mount['name']} of the workspace kind"
            )


def _of_workspace(volumes: ObjectView) -> Iterator[_Mount]:
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


def of_kind(template: ObjectView, at: str) -> Iterator[Cause]:
    """Yield a cause for each mount of a kind at the path of another one, or of the home.

    Args:
        template: `spec.podTemplate` of a WorkspaceKind.
        at: path of the pod template, for the fields of the causes.
    """
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
