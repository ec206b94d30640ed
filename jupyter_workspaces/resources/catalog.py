"""Resource types of our CustomResourceDefinitions, and all resource types by kind."""

from __future__ import annotations

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.catalog import Resource

WORKSPACES = Resource("kubeflow.org", "v1beta1", "workspaces", "Workspace")
WORKSPACE_KINDS = Resource(
    "kubeflow.org", "v1beta1", "workspacekinds", "WorkspaceKind", namespaced=False
)

ALL = (
    *(found for found in vars(catalog).values() if isinstance(found, Resource)),
    WORKSPACES,
    WORKSPACE_KINDS,
)
BY_KIND = {(resource.api_version, resource.kind): resource for resource in ALL}
"""Resource types by the `apiVersion` and `kind` of a manifest."""
