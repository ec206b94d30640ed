"""What a pod asks for that a process of this computer cannot have, in words for the pod's events. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Object = Mapping[str, Any]

_POD_FIELDS = {
    "hostAliases": "give the program addresses instead of names",
    "dnsConfig": "names are resolved as on this computer",
    "runtimeClassName": "pods are processes of this computer",
    "shareProcessNamespace": "all programs of this computer see each other's processes",
    "ephemeralContainers": "use `kubectl exec`, which has all programs of this computer",
}
_USERS = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups")
_RIGHTS = ("capabilities", "privileged", "readOnlyRootFilesystem", "procMount", "sysctls")
_GUARDS = ("seLinuxOptions", "seccompProfile", "appArmorProfile", "windowsOptions")


@dataclass(frozen=True)
class Limitation:
    """Something that a container asked for and does not get. `Normal` where programs rarely notice."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Warning"


def of_container(pod: Object, container: Object) -> list[Limitation]:
    """Return what of a container's spec, and of its pod's, has no effect on this computer."""
    return [*_security(pod, container), *_fields(pod, container), *_volumes(pod, container)]


def _security(pod: Object, container: Object) -> Iterator[Limitation]:
    given = {
        **(pod["spec"].get("securityContext") or {}),
        **(container.get("securityContext") or {}),
    }
    user = os.geteuid() if hasattr(os, "geteuid") else -1
    unlike = [name for name in _USERS if given.get(name) not in (None, [], user)]
    if given.get("runAsNonRoot") and user == 0:
        unlike.append("runAsNonRoot")
    ignored = [*unlike, *(name for name in (*_RIGHTS, *_GUARDS) if given.get(name))]
    if not ignored:
        return
    text = f"{', '.join(ignored)} of the security context of container {container['name']} has no effect here"
    # What a program is given and does not get may break it; what it is denied and could do does not.
    missed = given.get("privileged") or (given.get("capabilities") or {}).get("add")
    yield Limitation(
        "SecurityContextNotUsed",
        f"{text}: its program runs as the user of the local cluster, with that user's rights."
        + (" Run it on a real cluster if it needs more." if missed else ""),
        "Warning" if missed else "Normal",
    )


def _fields(pod: Object, container: Object) -> Iterator[Limitation]:
    for name, instead in _POD_FIELDS.items():
        if pod["spec"].get(name):
            yield Limitation(
                "NotSupportedHere", f"{name} of the pod has no effect here: {instead}."
            )
    if container.get("volumeDevices"):
        raw = "there are no block devices. Mount the volume as a file system (volumeMounts)"
        yield Limitation(
            "NotSupportedHere",
            f"volumeDevices of container {container['name']} has no effect here: {raw}.",
        )
    if container.get("stdin") or container.get("tty"):
        text = f"Container {container['name']} gets no input and no terminal here. Use `kubectl exec -it` for a shell beside its program."
        yield Limitation("NotSupportedHere", text, "Normal")


def _volumes(pod: Object, container: Object) -> Iterator[Limitation]:
    mounted = {mount["name"] for mount in container.get("volumeMounts") or ()}
    for volume in pod["spec"].get("volumes") or ():
        empty = volume.get("emptyDir")
        if empty and volume["name"] in mounted and (empty.get("medium") or empty.get("sizeLimit")):
            text = f"The empty directory {volume['name']} is a folder on this computer's disk"
            yield Limitation(
                "VolumeDiffersHere",
                f"{text}: its medium and its size limit have no effect.",
                "Normal",
            )
