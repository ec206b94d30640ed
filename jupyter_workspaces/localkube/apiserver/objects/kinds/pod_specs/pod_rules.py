"""Rules of a PodSpec, in a pod or a template."""

from __future__ import annotations

from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    required,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import (
    Causes,
    address,
    one_of,
    valid_name,
)

from .container_rules import check_containers, check_init_containers
from .scheduling_rules import check_scheduling
from .security_rules import check_pod_security
from .volume_rules import check_volumes

RESTARTS = ["Always", "Never", "OnFailure"]
_DNS = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]
_MOST_SECONDS = 2**31 - 1


def check_pod_spec(spec: Object, path: str, *, is_pod: bool = False) -> list[Cause]:
    """Check a PodSpec. Return what is invalid.

    Args:
        spec: the PodSpec.
        path: path of the spec.
        is_pod: whether it is in a pod; with hostNetwork, templates may leave out host ports.
    """
    causes: list[Cause] = []
    usable = check_volumes(spec.get("volumes"), f"{path}.volumes", causes)
    containers = spec.get("containers")
    causes += check_containers(containers, usable, f"{path}.containers")
    others = {container["name"] for container in containers or ()}
    causes += check_init_containers(
        spec.get("initContainers"), others, usable, f"{path}.initContainers"
    )
    causes += _check_host_network(spec, path, is_pod)
    causes += one_of(f"{path}.restartPolicy", spec["restartPolicy"], RESTARTS)
    causes += _check_dns(spec, path)
    causes += check_pod_security(spec, f"{path}.securityContext")
    causes += check_scheduling(spec, path)
    causes += _check_identity(spec, path)
    return causes


def check_ephemeral(spec: Object, path: str) -> Causes:
    """Reject ephemeral containers in a new pod."""
    if spec.get("ephemeralContainers"):
        yield forbidden(f"{path}.ephemeralContainers", "cannot be set on create")


def _check_host_network(spec: Object, path: str, is_pod: bool) -> Causes:
    for index, container in enumerate(
        (spec.get("containers") or ()) if spec.get("hostNetwork") else ()
    ):
        for number, port in enumerate(container.get("ports") or ()):
            outside = port.get("hostPort", 0)
            if (is_pod or outside) and outside != port["containerPort"]:
                yield invalid(
                    f"{path}.containers[{index}].ports[{number}].hostPort",
                    outside,
                    "must be the containerPort with hostNetwork",
                )


def _check_dns(spec: Object, path: str) -> Causes:
    policy, config = spec["dnsPolicy"], spec.get("dnsConfig")
    yield from one_of(f"{path}.dnsPolicy", policy, _DNS)
    if policy == "None" and config is None:
        yield required(f"{path}.dnsConfig", "must be given for the policy None")
    elif policy == "None" and config is not None and not config.get("nameservers"):
        yield required(f"{path}.dnsConfig.nameservers", "must be given for the policy None")
    for index, server in enumerate((config or {}).get("nameservers") or ()):
        yield from address(f"{path}.dnsConfig.nameservers[{index}]", server)


def _check_identity(spec: Object, path: str) -> Causes:
    """Check names, service account, priority, deadline and operating system."""
    for field in ("hostname", "subdomain"):
        yield from valid_name(f"{path}.{field}", spec.get(field), name_rules.label)
    for field in ("serviceAccountName", "priorityClassName", "runtimeClassName"):
        yield from valid_name(f"{path}.{field}", spec.get(field), name_rules.subdomain)
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        yield from address(f"{path}.hostAliases[{index}].ip", alias["ip"])
        for number, host in enumerate(alias.get("hostnames") or ()):
            yield from valid_name(
                f"{path}.hostAliases[{index}].hostnames[{number}]", host, name_rules.subdomain
            )
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and not 1 <= seconds <= _MOST_SECONDS:
        yield invalid(
            f"{path}.activeDeadlineSeconds",
            seconds,
            f"must be between 1 and {_MOST_SECONDS}, inclusive",
        )
    yield from one_of(
        f"{path}.preemptionPolicy", spec.get("preemptionPolicy"), ["Never", "PreemptLowerPriority"]
    )
    if (system := spec.get("os")) is not None:
        yield from one_of(f"{path}.os", system["name"] or None, ["linux", "windows"])
        if not system["name"]:
            yield required(f"{path}.os.name")
