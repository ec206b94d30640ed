"""Objects that the tests of the API server use."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.types import Object

WIDGETS = Resource("example.org", "v1", "widgets", "Widget")


def widget_definition() -> Object:
    """Return a CRD that uses all features of structural schemas, columns and `/status`."""
    spec_schema = {
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 100},
            "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
            "paused": {"type": "boolean", "default": False},
            "note": {"type": "string", "maxLength": 20, "pattern": "^[a-z ]*$"},
            "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "count": {"type": "integer", "default": 1},
                    },
                },
            },
        },
    }
    status_schema = {
        "type": "object",
        "properties": {
            "state": {"type": "string"},
            "conditions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
                },
            },
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "required": ["spec"],
                "properties": {"spec": spec_schema, "status": status_schema},
            }
        },
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {
                "name": "Ready",
                "type": "string",
                "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
            },
            {
                "name": "Team",
                "type": "string",
                "jsonPath": ".metadata.labels.example\\.org/team",
                "priority": 1,
            },
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "names": {
                "plural": "widgets",
                "kind": "Widget",
                "singular": "widget",
                "listKind": "WidgetList",
                "shortNames": ["wd"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def widget(name: str, size: int = 3, **spec: Any) -> Object:
    return {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"size": size, **spec},
    }


def pod(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "lab"}], **spec},
    }
