"""What is special about each built-in kind: its defaults, what a client may not set, what makes it invalid.

Defaults are those of the Kubernetes API reference that clients, our controllers and the node rely on.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from ...resources.causes import Cause, forbidden, invalid, not_supported, required, too_long
from ...resources.quantities import QuantityError, parse

Object = dict[str, Any]

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]


def _mapping(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


class Strategy:
    """The rules that hold for any object; kinds differ by what they override.

    `default` and `prepare` change the object in place, on create and update alike: what a client may leave out is its writer's as if it
    had been said, what the server sets is nobody's. `check` gives causes. `old` is None on create.
    """

    has_generation = False
    returns_deleted = False
    unconditional_update = True
    status_at_creation = False

    def name_problem(self, name: str) -> str | None:
        if len(name) <= 253 and _SUBDOMAIN.fullmatch(name):
            return None
        return "must be a DNS-1123 subdomain: at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit"

    def default(self, obj: Object) -> None:
        """Fill in what a client may leave out."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set what only the server may."""

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        return []

    def unknown_fields(self, obj: Object) -> list[str]:
        """Paths of fields that a custom kind's schema has not."""
        return []

    def warnings(self, obj: Object, old: Object | None) -> list[str]:
        """What to tell who writes a valid object."""
        return []


class PathNamed(Strategy):
    """RBAC objects: any name that fits into a path."""

    def name_problem(self, name: str) -> str | None:
        return None if name not in (".", "..") and "/" not in name and "%" not in name else "may not be '.', '..' or contain '/' or '%'"

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        if old is not None and "roleRef" in old and obj.get("roleRef") != old["roleRef"]:
            return [invalid("roleRef", obj.get("roleRef"), "cannot change roleRef")]
        return []


class NamespaceStrategy(Strategy):
    def name_problem(self, name: str) -> str | None:
        ok = len(name) <= 63 and _LABEL.fullmatch(name)
        return (
            None
            if ok
            else "must be a DNS-1123 label: at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"
        )

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}
        else:
            obj["spec"] = old.get("spec", {})

    def default(self, obj: Object) -> None:
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = labels | {"kubernetes.io/metadata.name": obj["metadata"]["name"]}


class PodStrategy(Strategy):
    returns_deleted = True
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = _mapping(obj.get("spec"))
        default_pod_spec(spec)
        spec.setdefault("enableServiceLinks", True)
        for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
            if isinstance(container, dict) and isinstance(limits := container["resources"].get("limits"), dict):
                container["resources"]["requests"] = limits | _mapping(container["resources"].get("requests"))

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            obj["status"] = {"phase": "Pending", "qosClass": _quality(_mapping(obj.get("spec")))}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = _mapping(obj.get("spec"))
        if old is not None:
            before, after = _without_images(old["spec"]), _without_images(spec)
            allowed = ("nodeName", "tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds", "schedulingGates")
            changed = [key for key in after.keys() | before.keys() if after.get(key) != before.get(key)]
            if any(key not in allowed for key in changed) or ("nodeName" in changed and before.get("nodeName")):
                return [forbidden("spec", "pod updates may not change fields other than container images and tolerations")]
        return check_pod_spec(spec, "spec")


def _without_images(spec: Object) -> Object:
    def bare(containers: Any) -> list[Any]:
        return [{key: value for key, value in _mapping(one).items() if key != "image"} for one in containers or ()]

    return spec | {key: bare(spec[key]) for key in ("containers", "initContainers") if key in spec}


class NodeStrategy(Strategy):
    """A node tells of itself when it joins."""

    status_at_creation = True


class ServiceStrategy(Strategy):
    returns_deleted = True

    def name_problem(self, name: str) -> str | None:
        ok = len(name) <= 63 and _SERVICE.fullmatch(name)
        return None if ok else "must be a DNS-1035 label: at most 63 lower-case letters, digits and '-', beginning with a letter"

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        spec.setdefault("internalTrafficPolicy", "Cluster")
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            if "port" in port:
                port["targetPort"] = port.get("targetPort") or port["port"]

    def prepare(self, obj: Object, old: Object | None) -> None:
        spec = obj["spec"]
        # No proxy of services runs on one machine: a service tells which port leads where, and has no address of its own.
        spec.setdefault("clusterIP", "None")
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        obj.setdefault("status", {"loadBalancer": {}})

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = []
        for index, port in enumerate(_mapping(obj.get("spec")).get("ports") or ()):
            number = port.get("port")
            if not isinstance(number, int) or not 1 <= number <= 65535:
                causes.append(invalid(f"spec.ports[{index}].port", number, "must be between 1 and 65535, inclusive"))
        return causes


class ClaimStrategy(Strategy):
    returns_deleted = True

    def default(self, obj: Object) -> None:
        _mapping(obj.get("spec")).setdefault("volumeMode", "Filesystem")

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            finalizers = obj["metadata"].get("finalizers") or []
            obj["status"] = {"phase": "Pending"}
            # Kubernetes' own guard: a claim in use stays until its last pod is gone.
            obj["metadata"]["finalizers"] = [*finalizers, *({"kubernetes.io/pvc-protection"} - set(finalizers))]

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = _mapping(obj.get("spec"))
        causes = []
        if old is not None:
            before, after = dict(old["spec"]), dict(spec)
            before.pop("resources", None), after.pop("resources", None)
            if not before.get("volumeName"):
                before.pop("volumeName", None), after.pop("volumeName", None)
            if "storageClassName" not in before:  # the default class is written in when the claim is bound (Kubernetes 1.28)
                after.pop("storageClassName", None)
            if before != after:
                causes.append(forbidden("spec", "spec is immutable after creation except resources.requests"))
        modes = spec.get("accessModes") or []
        if not modes:
            causes.append(required("spec.accessModes", "at least 1 access mode is required"))
        causes += [not_supported("spec.accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
        if "ReadWriteOncePod" in modes and len(modes) > 1:
            causes.append(forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes"))
        storage = _mapping(_mapping(spec.get("resources")).get("requests")).get("storage")
        if storage is None:
            causes.append(required("spec.resources[storage]"))
        else:
            try:
                if parse(str(storage)) <= 0:
                    causes.append(invalid("spec.resources[storage]", storage, "must be greater than zero"))
            except QuantityError as error:
                causes.append(invalid("spec.resources.requests.storage", storage, str(error)))
        return causes


class VolumeStrategy(Strategy):
    returns_deleted = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            obj["status"] = {"phase": "Available"}


class SecretStrategy(Strategy):
    def default(self, obj: Object) -> None:
        texts = obj.pop("stringData", None)
        if isinstance(texts, dict):
            data = obj.setdefault("data", {}) or {}
            obj["data"] = data | {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
        obj.setdefault("type", "Opaque")

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = []
        size = 0
        for key, value in (obj.get("data") or {}).items():
            if not _DATA_KEY.fullmatch(key) or len(key) > 253:
                causes.append(invalid(f"data[{key}]", key, "a valid key consists of letters, digits, '-', '_' or '.'"))
            try:
                size += len(base64.b64decode(value or "", validate=True))
            except (binascii.Error, ValueError, TypeError):
                causes.append(invalid(f"data[{key}]", "…", "must be base64"))
        if size > 2**20:
            causes.append(too_long("data", 2**20))
        if old is not None:
            causes += _check_immutable(obj, old)
            if obj.get("type") != old.get("type"):
                causes.append(invalid("type", obj.get("type"), "field is immutable"))
        return causes


class ConfigMapStrategy(Strategy):
    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = []
        for field in ("data", "binaryData"):
            for key in obj.get(field) or {}:
                if not _DATA_KEY.fullmatch(key) or len(key) > 253:
                    causes.append(invalid(f"{field}[{key}]", key, "a valid key consists of letters, digits, '-', '_' or '.'"))
        if sum(len(str(value)) for value in (obj.get("data") or {}).values()) > 2**20:
            causes.append(too_long("", 2**20))
        return causes + (_check_immutable(obj, old) if old is not None else [])


class StatefulSetStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        spec.setdefault("podManagementPolicy", "OrderedReady")
        spec.setdefault("revisionHistoryLimit", 10)
        if not _mapping(spec.get("updateStrategy")).get("type"):
            spec["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {}} | _mapping(spec.get("updateStrategy"))
        if isinstance(rolling := _mapping(spec["updateStrategy"]).get("rollingUpdate"), dict):
            rolling.setdefault("partition", 0)
        spec.setdefault("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})
        default_pod_spec(_mapping(_mapping(spec.get("template")).get("spec")))

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            obj["status"] = {"replicas": 0, "availableReplicas": 0}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = _mapping(obj.get("spec"))
        causes = check_pod_spec(_mapping(_mapping(spec.get("template")).get("spec")), "spec.template.spec")
        wanted = _mapping(_mapping(spec.get("selector")).get("matchLabels"))
        held = _mapping(_mapping(_mapping(spec.get("template")).get("metadata")).get("labels"))
        if not spec.get("selector"):
            causes.append(required("spec.selector"))
        elif any(held.get(key) != value for key, value in wanted.items()):
            causes.append(invalid("spec.template.metadata.labels", held, "`selector` does not match template `labels`"))
        if not isinstance(spec.get("replicas"), int) or spec["replicas"] < 0:
            causes.append(invalid("spec.replicas", spec.get("replicas"), "must be greater than or equal to 0"))
        if old is not None:
            for field in ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"):
                if spec.get(field) != old["spec"].get(field):
                    causes.append(forbidden("spec", f"updates to {field} of a statefulset are forbidden"))
        return causes


class StorageClassStrategy(Strategy):
    def default(self, obj: Object) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        return [] if obj.get("provisioner") else [required("provisioner")]


class EventStrategy(Strategy):
    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        return [] if isinstance(obj.get("involvedObject"), dict) else [required("involvedObject")]


def default_pod_spec(spec: Object) -> None:
    """Defaults of a PodSpec, in place."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        if not isinstance(container, dict):
            continue
        image = str(container.get("image", ""))
        latest = image.endswith(":latest") or ":" not in image.rpartition("/")[2]
        container.setdefault("imagePullPolicy", "Always" if latest and "@" not in image else "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("resources", {})
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")
        for name in ("livenessProbe", "readinessProbe", "startupProbe"):
            if isinstance(probe := container.get(name), dict):
                _default_probe(probe)
    for volume in spec.get("volumes") or ():
        for source in ("secret", "configMap"):
            if isinstance(volume, dict) and isinstance(volume.get(source), dict):
                volume[source].setdefault("defaultMode", 420)


def check_pod_spec(spec: Object, path: str) -> list[Cause]:
    """The few rules of a PodSpec without which a node could not run it."""
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers:
        return [required(f"{path}.containers")]
    causes, seen = [], set()
    volumes = {volume.get("name") for volume in spec.get("volumes") or () if isinstance(volume, dict)}
    for index, container in enumerate(containers):
        at = f"{path}.containers[{index}]"
        if not isinstance(container, dict) or not container.get("name"):
            causes.append(required(f"{at}.name"))
            continue
        if container["name"] in seen:
            causes.append(Cause("FieldValueDuplicate", f'Duplicate value: "{container["name"]}"', f"{at}.name"))
        seen.add(container["name"])
        if not _LABEL.fullmatch(str(container["name"])):
            causes.append(invalid(f"{at}.name", container["name"], "must be a DNS-1123 label"))
        if not container.get("image"):
            causes.append(required(f"{at}.image"))
        for position, mount in enumerate(container.get("volumeMounts") or ()):
            if mount.get("name") not in volumes:
                causes.append(Cause("FieldValueNotFound", f'Not found: "{mount.get("name")}"', f"{at}.volumeMounts[{position}].name"))
    return causes


def _default_probe(probe: Object) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe.setdefault(key, value)
    if isinstance(probe.get("httpGet"), dict):
        probe["httpGet"].setdefault("scheme", "HTTP")
        probe["httpGet"].setdefault("path", "/")


def _quality(spec: Object) -> str:
    resources = [_mapping(container.get("resources")) for container in spec.get("containers") or () if isinstance(container, dict)]
    if not any(found.get("requests") or found.get("limits") for found in resources):
        return "BestEffort"
    limits = [found.get("limits") or {} for found in resources]
    same = all(found.get("requests", limit) == limit for found, limit in zip(resources, limits, strict=True))
    return "Guaranteed" if same and all({"cpu", "memory"} <= limit.keys() for limit in limits) else "Burstable"


def _check_immutable(obj: Object, old: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [] if obj.get("immutable") else [forbidden("immutable", "field is immutable when `immutable` is set")]
    return causes + [
        forbidden(field, "field is immutable when `immutable` is set")
        for field in ("data", "binaryData")
        if (obj.get(field) or {}) != (old.get(field) or {})
    ]
