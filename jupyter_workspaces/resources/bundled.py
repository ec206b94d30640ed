"""The manifests that come with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jupyter_workspaces.common.documents import yaml_text

Object = dict[str, Any]


def crds() -> list[Object]:
    """The CustomResourceDefinitions of Workspace and WorkspaceKind."""
    return _manifests("crds")


def samples() -> list[Object]:
    """The sample kinds, each after the ConfigMap with its pictures."""
    return sorted(
        _manifests("kinds"),
        key=lambda manifest: (manifest["kind"] != "ConfigMap", manifest["metadata"]["name"]),
    )


def _manifests(folder: str) -> list[Object]:
    found: list[Object] = []
    for file in sorted(files(__package__).joinpath(folder).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml") and file.name != "kustomization.yaml":
            found += [document for document in yaml_text.load_all(file.read_bytes()) if document]
    return found
