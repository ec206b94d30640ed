"""The rules of a pod's volumes, and of the sources that they share with PersistentVolumes."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    required,
)
from jupyter_workspaces.localkube.apiserver.access.tokens import MAX_SECONDS, MIN_SECONDS
from jupyter_workspaces.localkube.apiserver.objects import names

from .container_rules import FIELDS, check_field, check_resource_field
from .values import (
    Causes,
    below,
    given,
    mode,
    named,
    no_way_up,
    one_of,
)

Object = dict[str, Any]

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
"""Told as the volume's kind where it says several."""


def check_volumes(volumes: list[Object] | None, path: str, causes: list[Cause]) -> set[str]:
    """Adds to the causes; the names of the volumes that can be mounted."""
    usable: set[str] = set()
    for index, volume in enumerate(volumes or ()):
        at = f"{path}[{index}]"
        found = [*_check_volume(volume, at), *named(f"{at}.name", volume["name"], names.label)]
        if volume["name"] in usable:
            found.append(duplicate(f"{at}.name", volume["name"]))
        if not found:
            usable.add(volume["name"])
        causes += found
    return usable


def sources_of(volume: Object, others: tuple[str, ...]) -> list[str]:
    """What kinds of source it says; `others` are its fields that are none."""
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
            yield from given(f"{at}.claimName", source["claimName"])
        case "secret":
            yield from given(f"{at}.secretName", source.get("secretName"))
            yield from _check_files(source, at)
        case "configMap":
            yield from given(f"{at}.name", source.get("name"))
            yield from _check_files(source, at)
        case "downwardAPI":
            yield from mode(f"{at}.defaultMode", source["defaultMode"])
            yield from _check_downward(source, at)
        case "projected":
            yield from mode(f"{at}.defaultMode", source["defaultMode"])
            yield from _check_projected(source, at)
        case "csi":
            yield from named(f"{at}.driver", source["driver"], names.driver)


def check_host_path(source: Object, path: str) -> Causes:
    if not source["path"]:
        yield required(f"{path}.path")
    else:
        yield from no_way_up(f"{path}.path", source["path"])
    if source.get("type"):
        yield from one_of(f"{path}.type", source["type"], HOST_TYPES)


def check_nfs(source: Object, path: str) -> Causes:
    for field in ("server", "path"):
        yield from given(f"{path}.{field}", source[field])
    if source["path"] and not source["path"].startswith("/"):
        yield invalid(f"{path}.path", source["path"], "must be an absolute path")


def _check_files(source: Object, path: str) -> Causes:
    yield from mode(f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{index}]"
        yield from given(f"{at}.key", item["key"])
        yield from _check_file(item["path"], f"{at}.path")
        yield from mode(f"{at}.mode", item.get("mode"))


def _check_file(text: str, path: str) -> Causes:
    """Where a file of a volume lies; names with `..` are kept for the node."""
    if not text:
        yield required(path)
    yield from below(path, text)
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
                yield from given(f"{at}.{kind}.name", held.get("name"))
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
