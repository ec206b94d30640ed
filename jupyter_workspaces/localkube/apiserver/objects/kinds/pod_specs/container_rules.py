"""Rules of containers: names, ports, environment variables, mounts.

Probes and resources are in `probe_rules` and `resource_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from jupyter_workspaces.kube.causes import (
    duplicate,
    forbidden,
    invalid,
    not_found,
    required,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import (
    PROTOCOLS,
    Causes,
    one_of,
    port,
    relative_path,
    required_name,
    required_value,
    unique,
    valid_name,
)

from .pod_defaults import PROBES
from .probe_rules import check_lifecycle, check_probe
from .resource_rules import check_resources
from .security_rules import check_container_security

_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
FIELDS = {
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
}
"""Fields of the pod that an environment variable may refer to."""

_RESOURCES = [
    f"{section}.{name}"
    for section in ("limits", "requests")
    for name in ("cpu", "ephemeral-storage", "memory")
]
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")


def check_containers(
    containers: list[Object] | None, volumes: Collection[str], path: str
) -> Causes:
    """Check the containers of a pod.

    Args:
        containers: the containers.
        volumes: names of the pod's volumes.
        path: path of the field.
    """
    yield from required_value(path, containers)
    yield from unique(path, "name", containers or ())
    for index, container in enumerate(containers or ()):
        at = f"{path}[{index}]"
        yield from _check_container(container, volumes, at)
        yield from check_lifecycle(container.get("lifecycle"), f"{at}.lifecycle")
        for name in PROBES:
            yield from check_probe(
                container.get(name), f"{at}.{name}", once=name != "readinessProbe"
            )
    yield from _check_host_ports(containers or [], path)


def check_init_containers(
    containers: list[Object] | None, others: Collection[str], volumes: Collection[str], path: str
) -> Causes:
    """Check the init containers of a pod.

    Args:
        containers: the init containers.
        others: names of the containers that follow.
        volumes: names of the pod's volumes.
        path: path of the field.
    """
    seen = set(others)
    for index, container in enumerate(containers or ()):
        at = f"{path}[{index}]"
        yield from _check_container(container, volumes, at)
        if container["name"] in seen:
            yield duplicate(f"{at}.name", container["name"])
        seen |= {container["name"]} - {""}
        stays = container.get("restartPolicy") == "Always"
        for name in ("lifecycle", *PROBES):
            if name in container and not stays:
                yield forbidden(
                    f"{at}.{name}",
                    "may not be set for init containers without restartPolicy=Always",
                )
        if stays:
            yield from check_lifecycle(container.get("lifecycle"), f"{at}.lifecycle")
            for name in PROBES:
                yield from check_probe(
                    container.get(name), f"{at}.{name}", once=name != "readinessProbe"
                )
        yield from _check_host_ports([container], path)


def _check_container(container: Object, volumes: Collection[str], path: str) -> Causes:
    yield from required_name(f"{path}.name", container["name"], name_rules.label)
    yield from required_value(f"{path}.image", container.get("image"))
    if (image := container.get("image", "")) != image.strip():
        yield invalid(f"{path}.image", image, "must not begin or end with white space")
    yield from one_of(
        f"{path}.imagePullPolicy", container["imagePullPolicy"], ["Always", "IfNotPresent", "Never"]
    )
    yield from one_of(
        f"{path}.terminationMessagePolicy",
        container["terminationMessagePolicy"],
        ["FallbackToLogsOnError", "File"],
    )
    yield from one_of(
        f"{path}.restartPolicy", container.get("restartPolicy"), ["Always", "Never", "OnFailure"]
    )
    yield from _check_ports(container.get("ports") or [], f"{path}.ports")
    yield from _check_variables(container, path)
    yield from _check_mounts(container, volumes, f"{path}.volumeMounts")
    yield from check_resources(container["resources"], f"{path}.resources")
    yield from check_container_security(container.get("securityContext"), f"{path}.securityContext")


def _check_ports(ports: list[Object], path: str) -> Causes:
    for index, held in enumerate(ports):
        at = f"{path}[{index}]"
        yield from valid_name(f"{at}.name", held.get("name"), name_rules.port)
        if not held["containerPort"]:
            yield required(f"{at}.containerPort")
        else:
            yield from port(f"{at}.containerPort", held["containerPort"])
        if "hostPort" in held:
            yield from port(f"{at}.hostPort", held["hostPort"])
        yield from one_of(f"{at}.protocol", held["protocol"], PROTOCOLS)
    yield from unique(path, "name", ports)


def _check_host_ports(containers: list[Object], path: str) -> Causes:
    seen = set()
    for index, container in enumerate(containers):
        for number, held in enumerate(container.get("ports") or ()):
            taken = (held["protocol"], held.get("hostIP", ""), held.get("hostPort"))
            if held.get("hostPort") and taken in seen:
                yield duplicate(f"{path}[{index}].ports[{number}].hostPort", held["hostPort"])
            seen.add(taken)


def _check_variables(container: Object, path: str) -> Causes:
    for index, variable in enumerate(container.get("env") or ()):
        at = f"{path}.env[{index}]"
        yield from required_name(f"{at}.name", variable["name"], name_rules.variable)
        if (source := variable.get("valueFrom")) is not None:
            yield from _check_source(source, bool(variable.get("value")), f"{at}.valueFrom")
    for index, source in enumerate(container.get("envFrom") or ()):
        at = f"{path}.envFrom[{index}]"
        yield from valid_name(f"{at}.prefix", source.get("prefix"), name_rules.variable)
        held = [
            (field, source[field]) for field in ("configMapRef", "secretRef") if field in source
        ]
        if len(held) != 1:
            yield invalid(f"{path}.envFrom", "", "must have either configMapRef or secretRef")
        for field, reference in held:
            yield from required_name(
                f"{at}.{field}.name", reference.get("name", ""), name_rules.subdomain
            )


def _check_source(source: Object, has_value: bool, path: str) -> Causes:
    if not source:
        yield invalid(
            path,
            "",
            "must have one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef "
            "and fileKeyRef",
        )
    elif has_value:
        yield invalid(path, "", "may not be set together with a value")
    elif len(source) > 1:
        yield invalid(path, "", "may not have more than one source")
    if (field := source.get("fieldRef")) is not None:
        yield from check_field(field, FIELDS, f"{path}.fieldRef")
    if (resource := source.get("resourceFieldRef")) is not None:
        yield from check_resource_field(resource, f"{path}.resourceFieldRef")
    for name in ("configMapKeyRef", "secretKeyRef"):
        if (key := source.get(name)) is not None:
            yield from required_name(f"{path}.{name}.key", key["key"], name_rules.data_key)
            if problem := name_rules.subdomain(key.get("name", "")):
                yield invalid(f"{path}.{name}.name", key.get("name", ""), problem)


def check_field(field: Object, known: Collection[str], path: str) -> Causes:
    """Check a `fieldRef`, which refers to a field of the pod."""
    text = field["fieldPath"]
    if field["apiVersion"] != "v1":
        yield invalid(
            f"{path}.fieldPath", text, f"is not a field of a pod in version {field['apiVersion']}"
        )
    elif not text:
        yield required(f"{path}.fieldPath")
    elif (match := _KEYED.fullmatch(text)) is not None:
        yield from valid_name(
            path, match[2].lower() if match[1] == "annotations" else match[2], name_rules.qualified
        )
    elif text not in known:
        yield invalid(f"{path}.fieldPath", text, "is not a field of a pod that can be referred to")


def check_resource_field(reference: Object, path: str, *, volume: bool = False) -> Causes:
    """Check a `resourceFieldRef`; in a volume, it must name a container."""
    if volume and not reference.get("containerName"):
        yield required(f"{path}.containerName")
    if not reference["resource"]:
        yield required(f"{path}.resource")
    elif not reference["resource"].startswith(_HUGE_PAGES):
        yield from one_of(f"{path}.resource", reference["resource"], _RESOURCES)


def _check_mounts(container: Object, volumes: Collection[str], path: str) -> Causes:
    seen = set()
    privileged = (container.get("securityContext") or {}).get("privileged")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        at = f"{path}[{index}]"
        yield from required_value(f"{at}.name", mount["name"])
        if mount["name"] not in volumes:
            yield not_found(f"{at}.name", mount["name"])
        yield from required_value(f"{at}.mountPath", mount["mountPath"])
        if mount["mountPath"] in seen:
            yield invalid(f"{at}.mountPath", mount["mountPath"], "must be unique")
        seen.add(mount["mountPath"])
        for field in ("subPath", "subPathExpr"):
            if field in mount:
                yield from relative_path(f"{path}.{field}", mount[field])
        if "subPath" in mount and "subPathExpr" in mount:
            yield invalid(
                f"{at}.subPathExpr", mount["subPathExpr"], "cannot be set together with subPath"
            )
        if "mountPropagation" in mount:
            allowed = ["Bidirectional", "HostToContainer", "None"]
            yield from one_of(f"{path}.mountPropagation", mount["mountPropagation"], allowed)
            if mount["mountPropagation"] == "Bidirectional" and not privileged:
                yield forbidden(
                    f"{path}.mountPropagation", "Bidirectional is for privileged containers only"
                )
