"""Rules of the security contexts of pods and containers."""

from __future__ import annotations

import re

from jupyter_workspaces.kube.causes import duplicate, invalid, required
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import (
    Causes,
    identity,
    one_of,
    relative_path,
)

_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*([a-z0-9]([-_a-z0-9]*[a-z0-9])?)")


def check_pod_security(spec: Object, path: str) -> Causes:
    """Check the security context of a pod."""
    context = spec["securityContext"]
    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        yield from identity(f"{path}.{field}", context.get(field))
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        yield from identity(f"{path}.supplementalGroups[{index}]", group)
    yield from one_of(
        f"{path}.fsGroupChangePolicy",
        context.get("fsGroupChangePolicy"),
        ["Always", "OnRootMismatch"],
    )
    yield from one_of(
        f"{path}.supplementalGroupsPolicy",
        context.get("supplementalGroupsPolicy"),
        ["Merge", "Strict"],
    )
    yield from _check_profiles(context, path)
    seen = set()
    for index, sysctl in enumerate(context.get("sysctls") or ()):
        at, name = f"{path}.sysctls[{index}].name", sysctl["name"]
        if not name:
            yield required(at)
        elif len(name) > 253 or not _SYSCTL.fullmatch(name):
            yield invalid(
                at,
                name,
                "must be lower-case letters, digits, '-' and '_', "
                "in parts with '.' or '/' between them",
            )
        elif name in seen:
            yield duplicate(at, name)
        seen.add(name)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        yield invalid(f"{path}.shareProcessNamespace", True, "cannot be set together with hostPID")


def check_container_security(context: Object | None, path: str) -> Causes:
    """Check the security context of a container."""
    if context is None:
        return
    for field in ("runAsUser", "runAsGroup"):
        yield from identity(f"{path}.{field}", context.get(field))
    yield from one_of(f"{path}.procMount", context.get("procMount"), ["Default", "Unmasked"])
    yield from _check_profiles(context, path)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            yield invalid(
                path, "", "allowPrivilegeEscalation cannot be false for a privileged container"
            )
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            yield invalid(
                path,
                "",
                "allowPrivilegeEscalation cannot be false beside the capability CAP_SYS_ADMIN",
            )


def _check_profiles(context: Object, path: str) -> Causes:
    for field in ("seccompProfile", "appArmorProfile"):
        if (profile := context.get(field)) is None:
            continue
        at, kind, local = f"{path}.{field}", profile["type"], profile.get("localhostProfile")
        yield from one_of(f"{at}.type", kind, ["Localhost", "RuntimeDefault", "Unconfined"])
        if kind == "Localhost":
            if not local:
                yield required(f"{at}.localhostProfile", "must be set for the type Localhost")
            elif field == "seccompProfile":
                yield from relative_path(f"{at}.localhostProfile", local)
        elif local is not None:
            yield invalid(f"{at}.localhostProfile", local, "can only be set for the type Localhost")
