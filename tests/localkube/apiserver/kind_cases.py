"""Requests about built-in kinds, and the recorded answers of the real API server.

`python kind_cases.py KUBECONFIG` records `kind_recorded.json` again on a real cluster (Kubernetes
1.36, with its controllers). A case changes a valid object at some paths. The status code is
recorded and, for errors, reason and causes.
"""

from __future__ import annotations

import copy
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_workspaces.kube.types import Object

RECORDED = Path(__file__).with_name("kind_recorded.json")
NAMESPACE = "kind-cases"
GONE = object()
"""A field that is taken away."""

Answer = tuple[int, Any]
Ask = Callable[[str, str, Any], Answer]
"""Method, path and body to code and body."""

LABELS = {"app": "case"}
CONTAINER = {"name": "main", "image": "registry.example/lab:1"}
CLAIM_SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def _of(api_version: str, kind: str, **fields: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "case"}, **fields}


BASES: dict[str, tuple[str, Object]] = {
    "Pod": (
        "/api/v1/namespaces/{}/pods",
        _of("v1", "Pod", spec={"schedulerName": "nobody", "containers": [CONTAINER]}),
    ),
    "Service": (
        "/api/v1/namespaces/{}/services",
        _of(
            "v1", "Service", spec={"ports": [{"port": 80}], "selector": LABELS, "clusterIP": "None"}
        ),
    ),
    "PersistentVolumeClaim": (
        "/api/v1/namespaces/{}/persistentvolumeclaims",
        _of("v1", "PersistentVolumeClaim", spec=CLAIM_SPEC),
    ),
    "PersistentVolume": (
        "/api/v1/persistentvolumes",
        _of(
            "v1",
            "PersistentVolume",
            spec={
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "hostPath": {"path": "/x"},
            },
        ),
    ),
    "StatefulSet": (
        "/apis/apps/v1/namespaces/{}/statefulsets",
        _of(
            "apps/v1",
            "StatefulSet",
            spec={
                "replicas": 0,
                "serviceName": "case",
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}},
                "volumeClaimTemplates": [{"metadata": {"name": "home"}, "spec": CLAIM_SPEC}],
            },
        ),
    ),
    "ConfigMap": ("/api/v1/namespaces/{}/configmaps", _of("v1", "ConfigMap", data={"a": "b"})),
    "Secret": ("/api/v1/namespaces/{}/secrets", _of("v1", "Secret", data={"a": "Yg=="})),
    "ServiceAccount": ("/api/v1/namespaces/{}/serviceaccounts", _of("v1", "ServiceAccount")),
    "Event": (
        "/api/v1/namespaces/{}/events",
        _of(
            "v1",
            "Event",
            involvedObject={"kind": "Pod", "name": "x", "namespace": NAMESPACE},
            reason="Cased",
            type="Normal",
        ),
    ),
    "Namespace": ("/api/v1/namespaces", _of("v1", "Namespace")),
    "Node": ("/api/v1/nodes", _of("v1", "Node")),
    "StorageClass": (
        "/apis/storage.k8s.io/v1/storageclasses",
        _of("storage.k8s.io/v1", "StorageClass", provisioner="example.org/none"),
    ),
    "Role": (
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
        _of(
            "rbac.authorization.k8s.io/v1",
            "Role",
            rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        ),
    ),
    "RoleBinding": (
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
        _of(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            subjects=[{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "dora"}],
        ),
    ),
    "Lease": (
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
        _of("coordination.k8s.io/v1", "Lease", spec={"holderIdentity": "me"}),
    ),
}

_C = "spec.containers[0]"
_T = "spec.template.spec.containers[0]"
_V = {"name": "v", "emptyDir": {}}
_LONG = "a" * 64


def _volume(**source: Any) -> Object:
    return {"spec.volumes": [{"name": "v", **source}]}


def _probe(**fields: Any) -> Object:
    return {f"{_C}.readinessProbe": fields}


def _selector(operator: str, *values: str) -> Object:
    return {
        "spec.selector.matchExpressions": [
            {"key": "app", "operator": operator, "values": list(values)}
        ]
    }


TYPES: dict[str, list[Object]] = {
    "Pod": [
        {"spec": "x"},
        {"spec.containers": {}},
        {_C: "x"},
        {f"{_C}.ports": [{"containerPort": "80"}]},
        {f"{_C}.ports": [{"containerPort": 80.5}]},
        {f"{_C}.ports": [{"containerPort": 2**31}]},
        {f"{_C}.command": "sh"},
        {f"{_C}.env": [{"name": "A", "value": 1}]},
        {f"{_C}.resources.limits": {"cpu": "much"}},
        {f"{_C}.resources.limits": {"cpu": True}},
        {f"{_C}.tty": "yes"},
        {"spec.terminationGracePeriodSeconds": "30"},
        {"metadata.labels": {"a": 1}},
        {"metadata.labels": "a=b"},
        {"metadata.annotations": {"a": True}},
        {"metadata.name": 7},
        {"metadata.ownerReferences": {}},
        {"metadata.finalizers": "x"},
        {"spec.volumes": [{"name": "v", "secret": {"defaultMode": "0644"}}]},
        {"spec.tolerations": [{"tolerationSeconds": "1"}]},
        _probe(httpGet={"port": True}),
        _probe(httpGet={"port": 1.5}),
        {"spec.hostNetwork": 1},
        {"metadata.creationTimestamp": "yesterday"},
    ],
    "Service": [
        {"spec.ports": [{"port": "80"}]},
        {"spec.selector": "app=case"},
        {"spec.ports": {"port": 80}},
    ],
    "StatefulSet": [
        {"spec.replicas": "1"},
        {"spec.template": []},
        {"spec.selector": {"matchLabels": {"a": 1}}},
    ],
    "PersistentVolumeClaim": [
        {"spec.resources.requests.storage": "big"},
        {"spec.resources.requests.storage": []},
    ],
    "ConfigMap": [
        {"data.a": 1},
        {"data.a": {}},
        {"binaryData": {"x": "no base64!"}},
        {"immutable": "no"},
        {"data": []},
    ],
    "Secret": [{"data.a": "no base64!"}, {"data.a": 1}, {"stringData": {"a": 1}}, {"type": 3}],
    "Event": [{"count": "1"}, {"firstTimestamp": "noon"}, {"eventTime": "2026-01-01"}],
    "Lease": [{"spec.leaseDurationSeconds": "15"}, {"spec.renewTime": "now"}],
    "Role": [{"rules": "x"}, {"rules": [{"verbs": "get"}]}],
    "StorageClass": [{"parameters": {"a": 1}}, {"allowVolumeExpansion": "true"}],
}

VALUES: dict[str, list[Object]] = {
    "Pod": [
        {"metadata.name": GONE},
        {"metadata.name": "Not_A_Name"},
        {"metadata.name": "a" * 254},
        {"metadata.name": "a..b"},
        {"metadata.labels": {"a/b/c": "d", "ok": "not ok", "": "x"}},
        {"metadata.labels": {"ok": _LONG}},
        {"metadata.labels": {"Example.org/a": "b"}},
        {"metadata.annotations": {"-": "x", "Upper/ok": "y"}},
        {"metadata.annotations": {"big": "x" * 262145}},
        {"metadata.finalizers": ["nope"]},
        {"metadata.finalizers": ["not a finalizer"]},
        {
            "metadata.ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": ""}
            ]
        },
        {"metadata.ownerReferences": [{"apiVersion": "", "kind": "", "name": "x", "uid": "y"}]},
        {
            "metadata.ownerReferences": [
                {"apiVersion": "v1", "kind": "Event", "name": "x", "uid": "y"}
            ]
        },
        {
            "metadata.ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True}
                for n in "ab"
            ]
        },
        {"spec": GONE},
        {"spec.containers": []},
        {f"{_C}.name": GONE},
        {f"{_C}.name": "Not_A_Name"},
        {f"{_C}.name": _LONG},
        {"spec.containers": [CONTAINER, CONTAINER]},
        {f"{_C}.image": GONE},
        {f"{_C}.image": " lab "},
        {f"{_C}.imagePullPolicy": "Sometimes"},
        {f"{_C}.ports": [{"containerPort": 0}]},
        {f"{_C}.ports": [{"containerPort": 65536}]},
        {f"{_C}.ports": [{"containerPort": 80, "protocol": "tcp"}]},
        {f"{_C}.ports": [{"containerPort": 80, "name": "Not_A_Name"}]},
        {f"{_C}.ports": [{"containerPort": 80, "name": "much-too-long-for-a-port"}]},
        {
            f"{_C}.ports": [
                {"containerPort": 80, "name": "web"},
                {"containerPort": 81, "name": "web"},
            ]
        },
        {f"{_C}.ports": [{"containerPort": 80, "hostPort": 70000}]},
        {
            f"{_C}.ports": [
                {"containerPort": 80, "hostPort": 8080},
                {"containerPort": 81, "hostPort": 8080},
            ]
        },
        {f"{_C}.env": [{"value": "x"}]},
        {f"{_C}.env": [{"name": "A=B", "value": "x"}]},
        {f"{_C}.env": [{"name": "1 2", "value": "x"}]},
        {
            f"{_C}.env": [
                {
                    "name": "A",
                    "value": "x",
                    "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                }
            ]
        },
        {f"{_C}.env": [{"name": "A", "valueFrom": {}}]},
        {f"{_C}.env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.unknown"}}}]},
        {f"{_C}.env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": ""}}}]},
        {
            f"{_C}.env": [
                {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}
            ]
        },
        {f"{_C}.env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
        {f"{_C}.env": [{"name": "A", "valueFrom": {"secretKeyRef": {"key": "k"}}}]},
        {
            f"{_C}.env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "not a key"}}}
            ]
        },
        {
            f"{_C}.env": [
                {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}
            ]
        },
        {f"{_C}.env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": ""}}}]},
        {f"{_C}.envFrom": [{}]},
        {f"{_C}.envFrom": [{"secretRef": {}}]},
        {f"{_C}.envFrom": [{"prefix": "a=", "configMapRef": {"name": "c"}}]},
        {f"{_C}.resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
        {f"{_C}.resources": {"requests": {"cpu": "-1"}}},
        {f"{_C}.resources": {"limits": {"gpu": "1"}}},
        {f"{_C}.resources": {"limits": {"example.org/gpu": "500m"}}},
        {f"{_C}.resources": {"requests": {"example.org/gpu": "1"}}},
        {f"{_C}.resources": {"requests": {"storage": "1Gi"}}},
        {f"{_C}.resources": {"requests": {"not ok": "1"}}},
        {f"{_C}.resources": {"requests": {"hugepages-2Mi": "2Mi"}}},
        {f"{_C}.resources": {"limits": {"memory": "1.5"}}},
        {f"{_C}.volumeMounts": [{"name": "v", "mountPath": "/x"}]},
        {f"{_C}.volumeMounts": [{"name": "", "mountPath": ""}]},
        {
            "spec.volumes": [_V],
            f"{_C}.volumeMounts": [
                {"name": "v", "mountPath": "/x"},
                {"name": "v", "mountPath": "/x"},
            ],
        },
        {
            "spec.volumes": [_V],
            f"{_C}.volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "/abs"}],
        },
        {
            "spec.volumes": [_V],
            f"{_C}.volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "../up"}],
        },
        {
            "spec.volumes": [_V],
            f"{_C}.volumeMounts": [
                {"name": "v", "mountPath": "/x", "subPath": "a", "subPathExpr": "b"}
            ],
        },
        {
            "spec.volumes": [_V],
            f"{_C}.volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Both"}],
        },
        {"spec.volumes": [_V], f"{_C}.volumeMounts": [{"name": "v", "mountPath": "/a:b"}]},
        {"spec.volumes": [_V, _V]},
        {"spec.volumes": [{"name": "Not_A_Name", "emptyDir": {}}]},
        {"spec.volumes": [{"emptyDir": {}}]},
        {"spec.volumes": [{"name": "v"}]},
        _volume(emptyDir={}, secret={"secretName": "s"}),
        _volume(secret={}),
        _volume(secret={"secretName": "s", "defaultMode": 512}),
        _volume(secret={"secretName": "s", "items": [{"key": "", "path": ""}]}),
        _volume(secret={"secretName": "s", "items": [{"key": "a", "path": "/abs"}]}),
        _volume(configMap={}),
        _volume(configMap={"name": "c", "items": [{"key": "a", "path": "a/../b"}]}),
        _volume(persistentVolumeClaim={}),
        _volume(persistentVolumeClaim={"claimName": "Not_A_Name"}),
        _volume(emptyDir={"sizeLimit": "-1"}),
        _volume(hostPath={}),
        _volume(hostPath={"path": "/x", "type": "Nothing"}),
        _volume(hostPath={"path": "../x"}),
        _volume(
            downwardAPI={"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.labels"}}]}
        ),
        _volume(downwardAPI={"items": [{"path": "a"}]}),
        _volume(projected={"sources": [{}]}),
        _volume(projected={"sources": [{"secret": {}}]}),
        _volume(projected={"sources": [{"serviceAccountToken": {"path": ""}}]}),
        _volume(
            projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1}}]}
        ),
        _probe(),
        _probe(httpGet={"path": "/", "port": 0}),
        _probe(httpGet={"path": "/", "port": "Not_A_Port"}),
        _probe(httpGet={"path": "/", "port": 80, "scheme": "ftp"}),
        _probe(httpGet={"path": "/", "port": 80, "httpHeaders": [{"name": "not ok", "value": ""}]}),
        _probe(httpGet={"path": "/", "port": 80}, tcpSocket={"port": 80}),
        _probe(exec={}),
        _probe(tcpSocket={"port": 70000}),
        _probe(grpc={"port": 0}),
        _probe(
            exec={"command": ["x"]},
            periodSeconds=-1,
            timeoutSeconds=-1,
            initialDelaySeconds=-1,
            failureThreshold=-1,
        ),
        {f"{_C}.livenessProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}},
        {f"{_C}.lifecycle": {"preStop": {}}},
        {f"{_C}.lifecycle": {"postStart": {"exec": {"command": []}}}},
        {f"{_C}.terminationMessagePolicy": "Never"},
        {f"{_C}.securityContext": {"privileged": True, "allowPrivilegeEscalation": False}},
        {f"{_C}.securityContext": {"runAsUser": -1}},
        {f"{_C}.securityContext": {"procMount": "Half"}},
        {f"{_C}.securityContext": {"seccompProfile": {"type": "Nothing"}}},
        {f"{_C}.securityContext": {"seccompProfile": {"type": "Localhost"}}},
        {"spec.initContainers": [{"name": "main", "image": "i"}]},
        {
            "spec.initContainers": [
                {"name": "init", "image": "i", "readinessProbe": {"exec": {"command": ["x"]}}}
            ]
        },
        {"spec.initContainers": [{"name": "init", "image": "i", "restartPolicy": "Never"}]},
        {"spec.initContainers": [{"name": "init", "image": ""}]},
        {"spec.ephemeralContainers": [{"name": "e", "image": "i"}]},
        {"spec.restartPolicy": "Sometimes"},
        {"spec.dnsPolicy": "Mine"},
        {"spec.dnsPolicy": "None"},
        {"spec.dnsConfig": {"nameservers": ["nowhere"]}},
        {"spec.terminationGracePeriodSeconds": -1},
        {"spec.activeDeadlineSeconds": 0},
        {"spec.nodeSelector": {"a/b/c": "d"}},
        {"spec.nodeSelector": {"ok": "not ok"}},
        {"spec.nodeName": "Not_A_Name"},
        {"spec.hostname": "Not_A_Name"},
        {"spec.subdomain": "Not_A_Name"},
        {"spec.serviceAccountName": "Not_A_Name"},
        {"spec.imagePullSecrets": [{}]},
        {"spec.tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]},
        {"spec.tolerations": [{"operator": "Equal", "value": "x"}]},
        {"spec.tolerations": [{"key": "a", "operator": "Near"}]},
        {"spec.tolerations": [{"key": "a", "effect": "Never"}]},
        {"spec.tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]},
        {"spec.tolerations": [{"key": "not ok"}]},
        {
            "spec.affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}
                }
            }
        },
        {"spec.priorityClassName": "nobody"},
        {"spec.priority": 5},
        {
            "spec.securityContext": {
                "runAsUser": -1,
                "fsGroup": -1,
                "runAsGroup": -1,
                "supplementalGroups": [-1],
            }
        },
        {"spec.securityContext": {"fsGroupChangePolicy": "Sometimes"}},
        {"spec.securityContext": {"sysctls": [{"name": "Not Ok", "value": ""}]}},
        {"spec.securityContext": {"seccompProfile": {}}},
        {"spec.hostAliases": [{"ip": "nowhere"}]},
        {"spec.schedulingGates": [{"name": "not ok"}]},
        {"spec.readinessGates": [{"conditionType": "not ok"}]},
        {
            "spec.topologySpreadConstraints": [
                {"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "x"}
            ]
        },
        {"spec.preemptionPolicy": "Always"},
        {"spec.os": {"name": "plan9"}},
        {"spec.runtimeClassName": "nobody"},
        {"spec.overhead": {"cpu": "1"}},
        {"spec.shareProcessNamespace": True, "spec.hostPID": True},
        {"spec.hostNetwork": True, f"{_C}.ports": [{"containerPort": 80}]},
        {"spec.hostNetwork": True, f"{_C}.ports": [{"containerPort": 80, "hostPort": 81}]},
    ],
    "Service": [
        {"metadata.name": "1one"},
        {"metadata.name": "a.b"},
        {"metadata.name": _LONG},
        {"spec": GONE},
        {"spec.ports": []},
        {"spec.ports": [], "spec.clusterIP": GONE},
        {"spec.ports": [{"port": 0}]},
        {"spec.ports": [{"port": 70000}]},
        {"spec.ports": [{"port": 80}, {"port": 81}]},
        {"spec.ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
        {"spec.ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
        {"spec.ports": [{"port": 80, "name": "Not_A_Name"}]},
        {"spec.ports": [{"port": 80, "protocol": "HTTP"}]},
        {"spec.ports": [{"port": 80, "targetPort": 0}], "spec.clusterIP": GONE},
        {"spec.ports": [{"port": 80, "targetPort": 70000}]},
        {"spec.ports": [{"port": 80, "targetPort": "Not_A_Port"}]},
        {"spec.ports": [{"port": 80, "targetPort": "much-too-long-for-a-port"}]},
        {"spec.ports": [{"port": 80, "targetPort": 81}]},
        {"spec.ports": [{"port": 80, "nodePort": 30000}]},
        {"spec.ports": [{"port": 80, "appProtocol": "not ok"}]},
        {"spec.type": "Magic"},
        {"spec.type": "NodePort"},
        {"spec.type": "ExternalName"},
        {"spec.type": "ExternalName", "spec.clusterIP": GONE, "spec.externalName": "Not_A_Name"},
        {"spec.clusterIP": "nowhere"},
        {"spec.sessionAffinity": "Sticky"},
        {"spec.selector": {"a/b/c": "d"}},
        {"spec.selector": {"ok": "not ok"}},
        {"spec.externalIPs": ["nowhere"]},
        {"spec.internalTrafficPolicy": "Nearby"},
        {"spec.ipFamilyPolicy": "Some"},
        {"spec.ipFamilies": ["IPv5"]},
        {"spec.externalTrafficPolicy": "Local"},
    ],
    "PersistentVolumeClaim": [
        {"metadata.name": "Not_A_Name"},
        {"spec": GONE},
        {"spec.accessModes": []},
        {"spec.accessModes": ["Sometimes"]},
        {"spec.accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]},
        {"spec.resources": {}},
        {"spec.resources.requests.storage": "0"},
        {"spec.resources.requests.storage": "-1Gi"},
        {"spec.resources.limits": {"storage": "1Mi"}},
        {"spec.storageClassName": "Not_A_Name"},
        {"spec.storageClassName": ""},
        {"spec.volumeMode": "Raw"},
        {"spec.volumeName": "Not_A_Name"},
        {"spec.selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}},
        {"spec.dataSource": {"kind": "PersistentVolumeClaim", "name": ""}},
        {"spec.dataSource": {"kind": "Other", "name": "x"}},
        {"spec.volumeAttributesClassName": ""},
    ],
    "PersistentVolume": [
        {"spec.capacity": {}},
        {"spec.capacity": {"storage": "0"}},
        {"spec.capacity": {"storage": "1Gi", "cpu": "1"}},
        {"spec.accessModes": []},
        {"spec.accessModes": ["Sometimes"]},
        {"spec.hostPath": GONE},
        {"spec.hostPath": {}},
        {"spec.hostPath.path": "/a/../b"},
        {"spec.nfs": {"server": "s", "path": "/x"}},
        {"spec.persistentVolumeReclaimPolicy": "Keep"},
        {"spec.hostPath": {"path": "/"}, "spec.persistentVolumeReclaimPolicy": "Recycle"},
        {"spec.volumeMode": "Raw"},
        {"spec.storageClassName": "Not_A_Name"},
        {"spec.hostPath": GONE, "spec.local": {"path": "/x"}},
        {"spec.hostPath": GONE, "spec.csi": {"driver": "Not_A_Driver", "volumeHandle": ""}},
        {"spec.nodeAffinity": {}},
        {"spec.nodeAffinity": {"required": {"nodeSelectorTerms": []}}},
    ],
    "StatefulSet": [
        {"metadata.name": "Not_A_Name"},
        {"spec": GONE},
        {"spec.replicas": -1},
        {"spec.selector": GONE},
        {"spec.selector": {}},
        {"spec.selector.matchLabels": {"app": "other"}},
        {"spec.selector.matchLabels": {"app": "not ok"}},
        _selector("In"),
        _selector("Exists", "x"),
        _selector("Near", "x"),
        {"spec.template": GONE},
        {"spec.template.metadata.labels": {}},
        {"spec.template.metadata.labels": {"app": "not ok"}},
        {"spec.template.spec.containers": []},
        {f"{_T}.image": GONE},
        {f"{_T}.name": "Not_A_Name"},
        {f"{_T}.ports": [{"containerPort": 0}]},
        {f"{_T}.volumeMounts": [{"name": "home", "mountPath": "/home"}]},
        {f"{_T}.volumeMounts": [{"name": "nobody", "mountPath": "/home"}]},
        {"spec.template.spec.restartPolicy": "Never"},
        {"spec.template.spec.activeDeadlineSeconds": 5},
        {"spec.updateStrategy": {"type": "Sometimes"}},
        {"spec.updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
        {"spec.updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": -1}}},
        {"spec.podManagementPolicy": "Chaotic"},
        {"spec.minReadySeconds": -1},
        {"spec.revisionHistoryLimit": -1},
        {"spec.ordinals": {"start": -1}},
        {
            "spec.persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Never",
                "whenScaled": "Retain",
            }
        },
        {"spec.serviceName": GONE},
        {"spec.serviceName": "Not_A_Name"},
        {"spec.volumeClaimTemplates[0].spec.accessModes": []},
        {"spec.volumeClaimTemplates[0].metadata.name": "Not_A_Name"},
        {"spec.volumeClaimTemplates[0].metadata.name": ""},
    ],
    "ConfigMap": [
        {"data": {"not a key": "x"}},
        {"data": {"..": "x", ".": "y", "..a": "z"}},
        {"data": {"a" * 254: "x"}},
        {"binaryData": {"a": "Yg=="}},
        {"data": {"big": "x" * 1048577}},
        {"metadata.generateName": "Not_A_Name-", "metadata.name": GONE},
    ],
    "Secret": [
        {"data": {"not a key": "Yg=="}},
        {"data": {"big": "eHh4" * 349526}},
        {"type": "kubernetes.io/tls"},
        {"type": "kubernetes.io/basic-auth"},
        {"type": "kubernetes.io/ssh-auth"},
        {"type": "kubernetes.io/dockerconfigjson"},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "Yg=="}},
        {"type": "kubernetes.io/service-account-token"},
    ],
    "ServiceAccount": [
        {"metadata.name": "Not_A_Name"},
        {"imagePullSecrets": [{"name": ""}]},
        {"secrets": [{"name": "x"}]},
    ],
    "Event": [
        {"involvedObject": GONE},
        {"involvedObject.namespace": "elsewhere"},
        {"type": "Strange"},
        {"reason": GONE},
        {"metadata.name": "Not_A_Name"},
        {"eventTime": "2026-01-01T00:00:00.5Z"},
    ],
    "Namespace": [
        {"metadata.name": "Not_A_Name"},
        {"metadata.name": "a.b"},
        {"metadata.name": _LONG},
        {"spec": {"finalizers": ["nope"]}},
    ],
    "Node": [
        {"metadata.name": "Not_A_Name"},
        {"spec": {"taints": [{"key": "a", "effect": "Never"}]}},
        {"spec": {"taints": [{"key": "", "effect": "NoSchedule"}]}},
        {
            "spec": {
                "taints": [
                    {"key": "a", "effect": "NoSchedule"},
                    {"key": "a", "effect": "NoSchedule"},
                ]
            }
        },
        {"spec": {"podCIDRs": ["nowhere"]}},
        {"status": {"capacity": {"cpu": "-1"}}},
    ],
    "StorageClass": [
        {"provisioner": GONE},
        {"provisioner": "Not A Provisioner"},
        {"reclaimPolicy": "Keep"},
        {"volumeBindingMode": "Later"},
        {"parameters": {"": "x"}},
        {"metadata.name": "Not_A_Name"},
    ],
    "Role": [
        {"rules": [{"apiGroups": [""], "resources": ["pods"]}]},
        {"rules": [{"verbs": ["get"], "resources": ["pods"]}]},
        {"rules": [{"verbs": ["get"], "apiGroups": [""]}]},
        {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
        {"rules": []},
        {"rules": GONE},
        {"metadata.name": "a:b"},
        {"metadata.name": "a%b"},
    ],
    "RoleBinding": [
        {"roleRef": GONE},
        {"roleRef.apiGroup": "example.org"},
        {"roleRef.kind": "Pod"},
        {"roleRef.name": ""},
        {"subjects": [{"kind": "User", "name": ""}]},
        {"subjects": [{"kind": "Robot", "name": "x"}]},
        {"subjects": [{"kind": "ServiceAccount", "name": "x"}]},
        {"subjects": [{"kind": "ServiceAccount", "name": "Not_A_Name", "namespace": "x"}]},
        {"subjects": [{"kind": "User", "apiGroup": "example.org", "name": "x"}]},
        {"subjects": GONE},
    ],
    "Lease": [
        {"spec.leaseDurationSeconds": 0},
        {"spec.leaseTransitions": -1},
        {"spec.holderIdentity": ""},
        {"spec": GONE},
        {"metadata.name": "Not_A_Name"},
    ],
}

UPDATES: dict[str, list[Object]] = {
    "Pod": [
        {f"{_C}.image": "registry.example/lab:2"},
        {f"{_C}.image": ""},
        {f"{_C}.name": "other"},
        {f"{_C}.command": ["x"]},
        {f"{_C}.env": [{"name": "A", "value": "x"}]},
        {f"{_C}.resources": {"requests": {"cpu": "1"}}},
        {"spec.containers": [CONTAINER, {"name": "two", "image": "i"}]},
        {"spec.restartPolicy": "Never"},
        {"spec.activeDeadlineSeconds": 100},
        {"spec.terminationGracePeriodSeconds": 5},
        {"spec.volumes": [_V]},
        {"spec.hostname": "other"},
        {"metadata.labels": {"a": "b"}},
        {"metadata.labels": {"a": "not ok"}},
        {"metadata.name": "other"},
    ],
    "Service": [
        {"spec.ports": [{"port": 81}]},
        {"spec.ports": []},
        {"spec.clusterIP": "10.96.7.7"},
        {"spec.clusterIP": GONE},
        {"spec.clusterIP": ""},
        {"spec.selector": {"app": "other"}},
        {
            "spec.type": "ExternalName",
            "spec.externalName": "x.example",
            "spec.clusterIP": "",
            "spec.clusterIPs": [],
        },
    ],
    "PersistentVolumeClaim": [
        {"spec.accessModes": ["ReadWriteMany"]},
        {"spec.resources.requests.storage": "2Gi"},
        {"spec.resources.requests.storage": "1Mi"},
        {"spec.storageClassName": "other"},
        {"spec.volumeMode": "Block"},
        {"spec.volumeName": "x"},
        {"metadata.labels": {"a": "b"}},
    ],
    "StatefulSet": [
        {"spec.replicas": 2},
        {"spec.replicas": -1},
        {"spec.serviceName": "other"},
        {
            "spec.selector.matchLabels": {"app": "other"},
            "spec.template.metadata.labels": {"app": "other"},
        },
        {"spec.podManagementPolicy": "Parallel"},
        {"spec.volumeClaimTemplates": []},
        {"spec.volumeClaimTemplates[0].spec.resources.requests.storage": "2Gi"},
        {f"{_T}.image": "registry.example/lab:2"},
        {f"{_T}.image": ""},
        {"spec.updateStrategy": {"type": "OnDelete"}},
        {"spec.minReadySeconds": 5},
        {"spec.revisionHistoryLimit": 3},
        {"spec.ordinals": {"start": 1}},
        {
            "spec.persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Delete",
                "whenScaled": "Retain",
            }
        },
        {"spec.template.metadata.labels": {"app": "other"}},
    ],
    "ConfigMap": [{"data": {"b": "c"}}, {"immutable": True}, {"data": {"not a key": "x"}}],
    "Secret": [{"data": {"b": "Yg=="}}, {"type": "example.org/other"}, {"immutable": True}],
    "StorageClass": [
        {"provisioner": "example.org/other"},
        {"reclaimPolicy": "Retain"},
        {"parameters": {"a": "b"}},
        {"allowVolumeExpansion": True},
    ],
    "RoleBinding": [{"roleRef.name": "other"}, {"subjects": []}, {"roleRef.kind": "ClusterRole"}],
    "Role": [{"rules": []}],
    "PersistentVolume": [
        {"spec.hostPath.path": "/y"},
        {"spec.capacity.storage": "2Gi"},
        {"spec.persistentVolumeReclaimPolicy": "Delete"},
    ],
    "Event": [{"reason": "Other"}, {"count": 2}],
    "Lease": [{"spec.holderIdentity": "other"}, {"spec.leaseTransitions": 1}],
    "Namespace": [{"metadata.labels": {"a": "b"}}, {"spec": {"finalizers": []}}],
}

_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Case:
    """A change of the valid object of a kind."""

    group: str
    kind: str
    number: int
    changes: Object

    @property
    def title(self) -> str:
        changes = ", ".join(
            f"{path} = {'(gone)' if value is GONE else json.dumps(value)}"
            for path, value in self.changes.items()
        )
        return f"{self.kind} {changes}"[:160]

    def object(self) -> Object:
        found = copy.deepcopy(BASES[self.kind][1])
        for path, value in self.changes.items():
            _set(found, path, value)
        return found


def _set(obj: Any, path: str, value: Any) -> None:
    *way, last = [int(index) if index else name for name, index in _PART.findall(path)]
    for part in way:
        obj = obj[part] if isinstance(obj, list) else obj.setdefault(part, {})
    if value is GONE:
        del obj[last]
    else:
        obj[last] = copy.deepcopy(value)


def _cases(group: str, held: dict[str, list[Object]]) -> list[Case]:
    return [
        Case(group, kind, number, changes)
        for kind, found in held.items()
        for number, changes in enumerate(found)
    ]


CASES = {
    "types": _cases("types", TYPES),
    "values": _cases("values", VALUES),
    "updates": _cases("updates", UPDATES),
}


def answer(ask: Ask, case: Case) -> Any:
    """Return what is recorded of an answer: the code and, for errors, reason and causes."""
    path = BASES[case.kind][0].format(NAMESPACE)
    body = case.object()
    if case.group == "updates":
        return _update(ask, path, case)
    code, found = ask("POST", path, body)
    if code == 201:
        _remove(ask, f"{path}/{found['metadata']['name']}")
    return kept(code, found)


def _update(ask: Ask, path: str, case: Case) -> Any:
    code, held = ask("POST", path, BASES[case.kind][1])
    assert code == 201, held
    try:
        for _ in range(10):
            changed = copy.deepcopy(held)
            for place, value in case.changes.items():
                _set(changed, place, value)
            code, found = ask("PUT", f"{path}/case", changed)
            if code != 409:
                return kept(code, found)
            held = ask("GET", f"{path}/case", None)[1]
        raise AssertionError(f"{case.title}: somebody else writes it all the time")
    finally:
        _remove(ask, f"{path}/case")


def _remove(ask: Ask, path: str) -> None:
    """Delete an object and wait until it does not exist, whatever its finalizers."""
    code, _ = ask(
        "DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    )
    for _ in range(200):
        code, held = ask("GET", path, None)
        if code == 404:
            return
        if held["metadata"].get("finalizers"):
            held["metadata"].pop("finalizers")
            ask("PUT", path, held)
        if held["kind"] == "Namespace":
            held["spec"] = {}
            ask("PUT", f"{path}/finalize", held)
        time.sleep(0.05)
    raise AssertionError(f"{path} does not go")


def kept(code: int, found: Any) -> Any:
    if code < 400:
        return [code]
    causes = sorted(
        {
            (cause.get("reason", ""), cause.get("field", ""))
            for cause in (found.get("details") or {}).get("causes") or ()
        }
    )
    return [code, found.get("reason", ""), [list(cause) for cause in causes]]


def prepare(ask: Ask) -> None:
    """Create the namespace of the cases, with the service account that pods use."""
    ask("POST", "/api/v1/namespaces", _of("v1", "Namespace") | {"metadata": {"name": NAMESPACE}})
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    ask("POST", account, _of("v1", "ServiceAccount") | {"metadata": {"name": "default"}})
    assert ask("GET", f"{account}/default", None)[0] == 200


def recorded() -> Iterator[tuple[Case, Any]]:
    held = json.loads(RECORDED.read_text(encoding="utf-8"))
    for group, cases in CASES.items():
        for case in cases:
            yield case, held[group][case.title]


def record(ask: Ask) -> None:
    prepare(ask)
    found = {
        group: {case.title: answer(ask, case) for case in cases} for group, cases in CASES.items()
    }
    lines = (f' {json.dumps(group)}: {{\n'
             + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in held.items())
             + "\n }"
             for group, held in found.items())  # fmt: skip
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    from kind_server import real

    record(real(Path(sys.argv[1])))
