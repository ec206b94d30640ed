"""Rules of a pod's volumes, and of the sources that PersistentVolumes share with them."""

from __future__ import annotations

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    required,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.access.tokens import MAX_SECONDS, MIN_SECONDS
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import (
    Causes,
    mode,
    no_parent_reference,
    one_of,
    relative_path,
    required_name,
    required_value,
)

from .container_rules import FIELDS, check_field, check_resource_field

HOST_TYPES = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
]
_IN_FILES = {name for name in FIELDS if name.startswith("metadata.")} | {
    "metadata.annotations",
    "metadata.labels",
}
_FIRST = ("emptyDir", "hostPath")
"""Reported as the type of a volume that has several."""


def check_volumes(volumes: list[Object] | None, path: str, causes: list[Cause]) -> set[str]:
    """Check the volumes of a pod. Return the names of those that can be mounted.

    Args:
        volumes: the volumes.
        path: path of the field.
        causes: what is invalid is added here.
    """
    usable: set[str] = set()
    for index, volume in enumerate(volumes or ()):
        at = f"{path}[{index}]"
        found = [
            *_check_volume(volume, at),
            *required_name(f"{at}.name", volume["name"], name_rules.label),
        ]
        if volume["name"] in usable:
            found.append(duplicate(f"{at}.name", volume["name"]))
        if not found:
            usable.add(volume["name"])
        causes += found
    return usable


def sources_of(volume: Object, others: tuple[str, ...]) -> list[str]:
    """Return the types of source that a volume has.

    Args:
        volume: the volume.
        others: fields that are not sources.
    """
    held = sorted(volume.keys() - {*others}, key=lambda kind: (kind not in _FIRST, kind))
    return [kind for kind in held if isinstance(volume[kind], dict)]


def _check_volume(volume: Object, path: str) -> Causes:
    kind, *more = sources_of(volume, ("name",)) or [""]
    for other in more:
        yield forbidden(f"{path}.{other}", "may not specify more than 1 volume type")
    source, at = volume[kind], f"{path}.{kind}"
    match kind:
        case "emptyDir":
            if parse(source.get("sizeLimit", "0")) < 0:
                yield forbidden(f"{at}.sizeLimit", "must be greater than or equal to 0")
        case "hostPath":
            yield from check_host_path(source, at)
        case "nfs":
            yield from check_nfs(source, at)
        case "persistentVolumeClaim":
            yield from required_value(f"{at}.claimName", source["claimName"])
        case "secret":
            yield from required_value(f"{at}.secretName", source.get("secretName"))
            yield from _check_files(source, at)
        case "configMap":
            yield from required_value(f"{at}.name", source.get("name"))
            yield from _check_files(source, at)
        case "downwardAPI":
            yield from mode(f"{at}.defaultMode", source["defaultMode"])
            yield from _check_downward(source, at)
        case "projected":
            yield from mode(f"{at}.defaultMode", source["defaultMode"])
            yield from _check_projected(source, at)
        case "csi":
            yield from required_name(f"{at}.driver", source["driver"], name_rules.driver)


def check_host_path(source: Object, path: str) -> Causes:
    """Check a hostPath source."""
    if not source["path"]:
        yield required(f"{path}.path")
    else:
        yield from no_parent_reference(f"{path}.path", source["path"])
    if source.get("type"):
        yield from one_of(f"{path}.type", source["type"], HOST_TYPES)


def check_nfs(source: Object, path: str) -> Causes:
    """Check an NFS source."""
    for field in ("server", "path"):
        yield from required_value(f"{path}.{field}", source[field])
    if source["path"] and not source["path"].startswith("/"):
        yield invalid(f"{path}.path", source["path"], "must be an absolute path")


def _check_files(source: Object, path: str) -> Causes:
    yield from mode(f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{index}]"
        yield from required_value(f"{at}.key", item["key"])
        yield from _check_file(item["path"], f"{at}.path")
        yield from mode(f"{at}.mode", item.get("mode"))


def _check_file(text: str, path: str) -> Causes:
    """Check the path of a file in a volume; the node reserves names that start with `..`."""
    if not text:
        yield required(path)
    yield from relative_path(path, text)
    if text.startswith("..") and not text.startswith("../") and text != "..":
        yield invalid(path, text, "must not begin with '..'")


def _check_downward(source: Object, path: str) -> Causes:
    for item in source.get("items") or ():
        yield from _check_file(item["path"], f"{path}.path")
        if (field := item.get("fieldRef")) is not None:
            yield from check_field(field, _IN_FILES, f"{path}.fieldRef")
            if "resourceFieldRef" in item:
                yield invalid(
                    path, "resource", "fieldRef and resourceFieldRef cannot be given together"
                )
        elif (resource := item.get("resourceFieldRef")) is not None:
            yield from check_resource_field(resource, f"{path}.resourceFieldRef", volume=True)
        else:
            yield required(path, "one of fieldRef and resourceFieldRef is required")
        yield from mode(f"{path}.mode", item.get("mode"))


def _check_projected(volume: Object, path: str) -> Causes:
    seen: set[str] = set()
    for index, source in enumerate(volume.get("sources") or ()):
        at = f"{path}.sources[{index}]"
        if len(source) > 1:
            yield forbidden(at, "may not specify more than 1 volume type per source")
        for kind in ("secret", "configMap"):
            if (held := source.get(kind)) is not None:
                yield from required_value(f"{at}.{kind}.name", held.get("name"))
                yield from _check_files(held, f"{at}.{kind}")
        if (downward := source.get("downwardAPI")) is not None:
            yield from _check_downward(downward, f"{at}.downwardAPI")
        if (token := source.get("serviceAccountToken")) is not None:
            seconds = token["expirationSeconds"]
            if not MIN_SECONDS <= seconds <= MAX_SECONDS:
                yield invalid(
                    f"{at}.serviceAccountToken.expirationSeconds",
                    seconds,
                    "must be between 10 minutes and 2^32 seconds",
                )
            yield from _check_file(token["path"], f"{path}.path")
        for held in source.values():
            for item in held.get("items") or ():
                if item["path"] and item["path"] in seen:
                    yield invalid(path, item["path"], "two files have this path")
                seen.add(item["path"])
