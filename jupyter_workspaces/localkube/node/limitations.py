"""Fields of a pod's spec that have no effect on this computer, as messages for its events. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from jupyter_workspaces.kube.types import ObjectView

_POD_FIELDS = {
    "hostAliases": "Configure addresses instead of host names in the program",
    "dnsConfig": "Names are resolved as on this computer",
    "runtimeClassName": "Pods are processes of this computer",
    "shareProcessNamespace": "All programs see each other's processes",
    "ephemeralContainers": "Use `kubectl exec`, which can run all programs of this computer",
}
_USERS = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups")
_RIGHTS = ("capabilities", "privileged", "readOnlyRootFilesystem", "procMount", "sysctls")
_GUARDS = ("seLinuxOptions", "seccompProfile", "appArmorProfile", "windowsOptions")


@dataclass(frozen=True)
class Limitation:
    """A field of a container's or pod's spec that has no effect.

    Attributes:
        reason: Reason of the event.
        message: Message of the event.
        type: Type of the event; `Normal` where programs rarely depend on the field.
    """

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Warning"


def of_container(pod: ObjectView, container: ObjectView) -> list[Limitation]:
    """Return the fields of a container's and its pod's spec that have no effect."""
    return [*_security(pod, container), *_fields(pod, container), *_volumes(pod, container)]


def _security(pod: ObjectView, container: ObjectView) -> Iterator[Limitation]:
    given = {
        **(pod["spec"].get("securityContext") or {}),
        **(container.get("securityContext") or {}),
    }
    user = os.geteuid() if hasattr(os, "geteuid") else -1
    fields = [name for name in _USERS if given.get(name) not in (None, [], user)]
    if given.get("runAsNonRoot") and user == 0:
        fields.append("runAsNonRoot")
    ignored = [*fields, *(name for name in (*_RIGHTS, *_GUARDS) if given.get(name))]
    if not ignored:
        return
    # Missing privileges may break a program; restrictions that are not applied do not.
    privileged = given.get("privileged") or (given.get("capabilities") or {}).get("add")
    yield Limitation(
        "SecurityContextNotUsed",
        f"{', '.join(ignored)} of the security context of container '{container['name']}' has no "
        "effect: programs of the local cluster run as its user, with the rights of that user."
        + (" Run it on a real cluster if it needs more." if privileged else ""),
        "Warning" if privileged else "Normal",
    )


def _fields(pod: ObjectView, container: ObjectView) -> Iterator[Limitation]:
    for name, instead in _POD_FIELDS.items():
        if pod["spec"].get(name):
            yield Limitation(
                "NotSupportedHere",
                f"{name} of the pod has no effect on the local cluster. {instead}.",
            )
    if container.get("volumeDevices"):
        yield Limitation(
            "NotSupportedHere",
            f"volumeDevices of container '{container['name']}' has no effect: the local cluster "
            "has no block devices. Mount the volume as a file system (volumeMounts).",
        )
    if container.get("stdin") or container.get("tty"):
        yield Limitation(
            "NotSupportedHere",
            f"stdin and tty of container '{container['name']}' have no effect here. "
            "Use `kubectl exec -it` for a shell in the container.",
            "Normal",
        )


def _volumes(pod: ObjectView, container: ObjectView) -> Iterator[Limitation]:
    mounted = {mount["name"] for mount in container.get("volumeMounts") or ()}
    for volume in pod["spec"].get("volumes") or ():
        empty = volume.get("emptyDir")
        if empty and volume["name"] in mounted and (empty.get("medium") or empty.get("sizeLimit")):
            yield Limitation(
                "VolumeDiffersHere",
                f"The medium and sizeLimit of volume '{volume['name']}' have no effect: an "
                "emptyDir is a folder on this computer's disk.",
                "Normal",
            )
