"""Loads the manifests in `crds/` and `kinds/`, which are part of the package."""

from __future__ import annotations

from importlib.resources import files

from jupyter_workspaces.common.documents import yaml_text
from jupyter_workspaces.kube.schemas import rules
from jupyter_workspaces.kube.types import Object

from .catalog import WORKSPACES
from .validation_rules import RULES

rules.register(WORKSPACES.group, RULES)  # before a schema of these CRDs is used


def crds() -> list[Object]:
    """Return the CustomResourceDefinitions of Workspace and WorkspaceKind."""
    return _manifests("crds")


def samples() -> list[Object]:
    """Return the sample kinds after the ConfigMaps with their icons and logos."""
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
