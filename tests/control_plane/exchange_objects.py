"""Objects that are sent to both API servers."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube.types import Object

GADGETS = "compare.example.org/v1"


def config_map(name: str, data: Object | None = None, **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": {"color": "red"} if data is None else data,
    }


def pod(name: str, **spec: Any) -> Object:
    """Return a pod that is not scheduled, because scheduler and node would write at any time."""
    containers = [
        {"name": "main", "image": "registry.example.org/lab:1", "ports": [{"containerPort": 8888}]}
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"schedulerName": "nobody", "containers": containers, **spec},
    }


def stateful_set(name: str, **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": pod(name)["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "serviceName": name,
            "replicas": 0,
            "template": template,
            **spec,
        },
    }


def service(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8888}], **spec},
    }


def claim(name: str, **spec: Any) -> Object:
    held = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "nobody",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": held | spec,
    }


def gadget(name: str, size: Any = 3, **spec: Any) -> Object:
    return {
        "apiVersion": GADGETS,
        "kind": "Gadget",
        "metadata": {"name": name},
        "spec": {"size": size, **spec},
    }


def definition(
    plural: str = "gadgets", kind: str = "Gadget", group: str = "compare.example.org"
) -> Object:
    """Return a CRD that uses all features of schemas and subresources."""
    spec = {
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 100},
            "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
            "paused": {"type": "boolean", "default": False},
            "note": {"type": "string", "maxLength": 20, "pattern": "^[a-z ]*$", "nullable": True},
            "when": {"type": "string", "format": "date-time"},
            "share": {"x-kubernetes-int-or-string": True},
            "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "parts": {
                "type": "array",
                "maxItems": 3,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "count": {"type": "integer", "default": 1},
                    },
                },
            },
        },
    }
    conditions = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
        },
    }
    status = {
        "type": "object",
        "properties": {"state": {"type": "string"}, "conditions": conditions},
    }
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": spec, "status": status},
    }
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "State", "type": "string", "jsonPath": ".status.state"},
        {
            "name": "Note",
            "type": "string",
            "jsonPath": ".spec.note",
            "priority": 1,
            "description": "a note",
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {
                "plural": plural,
                "kind": kind,
                "singular": kind.lower(),
                "listKind": f"{kind}List",
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }
