"""What types the fields of built-in kinds have: as much of the Kubernetes API reference as clients, our controllers and the node read.

A shape is `str`, `int`, `bool` or `TEXT_OR_NUMBER`, `[shape]` for a list, `{name: shape}` for an object (names it does not know are let
through), `Map(shape)` for free keys. An absent field and a null are the same, as in Kubernetes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Shape = Any


@dataclass(frozen=True)
class Map:
    """An object whose keys are free."""

    value: Shape


TEXT_OR_NUMBER = (str, int)
QUANTITY = (str, int, float)
_TEXTS = Map(str)
_QUANTITIES = Map(QUANTITY)
_LABEL_SELECTOR = {"matchLabels": _TEXTS, "matchExpressions": [{"key": str, "operator": str, "values": [str]}]}
_TYPED_REFERENCE = {"apiVersion": str, "kind": str, "namespace": str, "name": str, "uid": str, "resourceVersion": str, "fieldPath": str}
_CONDITIONS = [{"type": str, "status": str, "reason": str, "message": str, "lastTransitionTime": str, "observedGeneration": int}]
_PROBE = {
    "httpGet": {"path": str, "port": TEXT_OR_NUMBER, "host": str, "scheme": str, "httpHeaders": [{"name": str, "value": str}]},
    "tcpSocket": {"port": TEXT_OR_NUMBER, "host": str},
    "exec": {"command": [str]},
    "initialDelaySeconds": int,
    "periodSeconds": int,
    "timeoutSeconds": int,
    "successThreshold": int,
    "failureThreshold": int,
}
_KEY_REFERENCE = {"name": str, "key": str, "optional": bool}
_CONTAINER = {
    "name": str,
    "image": str,
    "command": [str],
    "args": [str],
    "workingDir": str,
    "imagePullPolicy": str,
    "ports": [{"name": str, "containerPort": int, "hostPort": int, "protocol": str, "hostIP": str}],
    "env": [
        {
            "name": str,
            "value": str,
            "valueFrom": {
                "secretKeyRef": _KEY_REFERENCE,
                "configMapKeyRef": _KEY_REFERENCE,
                "fieldRef": {"apiVersion": str, "fieldPath": str},
                "resourceFieldRef": {"containerName": str, "resource": str, "divisor": QUANTITY},
            },
        }
    ],
    "envFrom": [{"prefix": str, "secretRef": {"name": str, "optional": bool}, "configMapRef": {"name": str, "optional": bool}}],
    "resources": {"requests": _QUANTITIES, "limits": _QUANTITIES},
    "volumeMounts": [{"name": str, "mountPath": str, "subPath": str, "readOnly": bool}],
    "readinessProbe": _PROBE,
    "livenessProbe": _PROBE,
    "startupProbe": _PROBE,
    "lifecycle": {},
    "securityContext": {},
    "terminationMessagePath": str,
    "terminationMessagePolicy": str,
    "stdin": bool,
    "tty": bool,
}
_ITEMS = [{"key": str, "path": str, "mode": int}]
_VOLUME = {
    "name": str,
    "persistentVolumeClaim": {"claimName": str, "readOnly": bool},
    "secret": {"secretName": str, "defaultMode": int, "optional": bool, "items": _ITEMS},
    "configMap": {"name": str, "defaultMode": int, "optional": bool, "items": _ITEMS},
    "emptyDir": {"medium": str, "sizeLimit": QUANTITY},
    "hostPath": {"path": str, "type": str},
    "projected": {"sources": [{}], "defaultMode": int},
}
POD_SPEC = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [_VOLUME],
    "nodeName": str,
    "nodeSelector": _TEXTS,
    "affinity": {},
    "tolerations": [{"key": str, "operator": str, "value": str, "effect": str, "tolerationSeconds": int}],
    "restartPolicy": str,
    "terminationGracePeriodSeconds": int,
    "activeDeadlineSeconds": int,
    "serviceAccountName": str,
    "serviceAccount": str,
    "automountServiceAccountToken": bool,
    "hostname": str,
    "subdomain": str,
    "securityContext": {},
    "imagePullSecrets": [{"name": str}],
    "schedulerName": str,
    "schedulingGates": [{"name": str}],
    "priorityClassName": str,
    "dnsPolicy": str,
}
_TEMPLATE_METADATA = {"labels": _TEXTS, "annotations": _TEXTS, "name": str}
_STATE = {
    "waiting": {"reason": str, "message": str},
    "running": {"startedAt": str},
    "terminated": {"exitCode": int, "signal": int, "reason": str, "message": str, "startedAt": str, "finishedAt": str},
}
_CONTAINER_STATUSES = [
    {"name": str, "image": str, "imageID": str, "ready": bool, "started": bool, "restartCount": int, "state": _STATE, "lastState": _STATE}
]
POD = {
    "spec": POD_SPEC,
    "status": {
        "phase": str,
        "reason": str,
        "message": str,
        "podIP": str,
        "hostIP": str,
        "podIPs": [{"ip": str}],
        "startTime": str,
        "qosClass": str,
        "conditions": _CONDITIONS,
        "containerStatuses": _CONTAINER_STATUSES,
        "initContainerStatuses": _CONTAINER_STATUSES,
    },
}
NAMESPACE = {"spec": {"finalizers": [str]}, "status": {"phase": str, "conditions": _CONDITIONS}}
SERVICE = {
    "spec": {
        "type": str,
        "selector": _TEXTS,
        "clusterIP": str,
        "clusterIPs": [str],
        "externalName": str,
        "ports": [{"name": str, "port": int, "targetPort": TEXT_OR_NUMBER, "nodePort": int, "protocol": str, "appProtocol": str}],
        "sessionAffinity": str,
        "publishNotReadyAddresses": bool,
    },
    "status": {"loadBalancer": {}},
}
CLAIM_SPEC = {
    "accessModes": [str],
    "resources": {"requests": _QUANTITIES, "limits": _QUANTITIES},
    "storageClassName": str,
    "volumeName": str,
    "volumeMode": str,
    "selector": _LABEL_SELECTOR,
}
CLAIM = {"spec": CLAIM_SPEC, "status": {"phase": str, "accessModes": [str], "capacity": _QUANTITIES, "conditions": _CONDITIONS}}
VOLUME = {
    "spec": {
        "capacity": _QUANTITIES,
        "accessModes": [str],
        "claimRef": _TYPED_REFERENCE,
        "persistentVolumeReclaimPolicy": str,
        "storageClassName": str,
        "volumeMode": str,
        "hostPath": {"path": str, "type": str},
    },
    "status": {"phase": str, "message": str, "reason": str},
}
SECRET = {"data": _TEXTS, "stringData": _TEXTS, "type": str, "immutable": bool}
CONFIG_MAP = {"data": _TEXTS, "binaryData": _TEXTS, "immutable": bool}
SERVICE_ACCOUNT = {"secrets": [_TYPED_REFERENCE], "imagePullSecrets": [{"name": str}], "automountServiceAccountToken": bool}
EVENT = {
    "involvedObject": _TYPED_REFERENCE,
    "related": _TYPED_REFERENCE,
    "reason": str,
    "message": str,
    "type": str,
    "count": int,
    "source": {"component": str, "host": str},
    "series": {"count": int, "lastObservedTime": str},
    "firstTimestamp": str,
    "lastTimestamp": str,
    "eventTime": str,
    "action": str,
    "reportingComponent": str,
    "reportingInstance": str,
}
NODE = {
    "spec": {"unschedulable": bool, "taints": [{"key": str, "value": str, "effect": str}], "podCIDR": str, "providerID": str},
    "status": {
        "capacity": _QUANTITIES,
        "allocatable": _QUANTITIES,
        "conditions": [{"type": str, "status": str, "reason": str, "message": str, "lastHeartbeatTime": str, "lastTransitionTime": str}],
        "addresses": [{"type": str, "address": str}],
        "nodeInfo": _TEXTS,
    },
}
STATEFUL_SET = {
    "spec": {
        "replicas": int,
        "selector": _LABEL_SELECTOR,
        "serviceName": str,
        "template": {"metadata": _TEMPLATE_METADATA, "spec": POD_SPEC},
        "volumeClaimTemplates": [{"metadata": _TEMPLATE_METADATA, "spec": CLAIM_SPEC}],
        "podManagementPolicy": str,
        "revisionHistoryLimit": int,
        "minReadySeconds": int,
        "updateStrategy": {"type": str, "rollingUpdate": {"partition": int}},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": str, "whenScaled": str},
    },
    "status": {
        "replicas": int,
        "readyReplicas": int,
        "currentReplicas": int,
        "updatedReplicas": int,
        "availableReplicas": int,
        "observedGeneration": int,
        "collisionCount": int,
        "currentRevision": str,
        "updateRevision": str,
        "conditions": _CONDITIONS,
    },
}
STORAGE_CLASS = {
    "provisioner": str,
    "parameters": _TEXTS,
    "reclaimPolicy": str,
    "volumeBindingMode": str,
    "allowVolumeExpansion": bool,
    "mountOptions": [str],
}
ROLE = {"rules": [{"apiGroups": [str], "resources": [str], "resourceNames": [str], "verbs": [str], "nonResourceURLs": [str]}]}
ROLE_BINDING = {
    "roleRef": {"apiGroup": str, "kind": str, "name": str},
    "subjects": [{"apiGroup": str, "kind": str, "name": str, "namespace": str}],
}
LEASE = {
    "spec": {"holderIdentity": str, "leaseDurationSeconds": int, "leaseTransitions": int, "acquireTime": str, "renewTime": str},
}


def without_nulls(value: Any) -> Any:
    """The value with null fields left out, which is what they mean."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def problem(shape: Shape, value: Any, path: str = "") -> str | None:
    """The first field that has another type than its shape, in words; None when all fit."""
    if isinstance(shape, (dict, Map)):
        if not isinstance(value, dict):
            return _words(path, value, "an object")
        pairs = ((key, shape.value) for key in value) if isinstance(shape, Map) else ((key, shape[key]) for key in shape if key in value)
        return next((found for key, child in pairs if (found := problem(child, value[key], f"{path}.{key}" if path else key))), None)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _words(path, value, "a list")
        found_in = (problem(shape[0], child, f"{path}[{index}]") for index, child in enumerate(value))
        return next((found for found in found_in if found), None)
    if not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool) or (isinstance(value, int) and abs(value) >= 2**63):
        return _words(path, value, {str: "text", int: "a whole number", bool: "true or false"}.get(shape, "text or a number"))
    return None


def _words(path: str, value: Any, wanted: str) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return f"{path or 'the object'} is {kinds.get(type(value), 'a number')}, but must be {wanted}"
