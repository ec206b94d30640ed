"""Which objects belong to a workspace: its pod, its Service and the Secret with its token.

Any user who may create an object may write any label and owner reference into it. So these
functions compare everything that an object of the workspace's controller has (see
`kube/ownership.py`), and refuse objects that could send a user's requests somewhere else.
"""

from __future__ import annotations

from jupyter_workspaces.kube.ownership import api_group, controller, controls
from jupyter_workspaces.kube.types import ObjectView

from . import metadata_keys


def belongs(workspace: ObjectView, obj: ObjectView) -> bool:
    """Return whether the workspace controls `obj` and `obj` has the workspace's label."""
    label = (obj["metadata"].get("labels") or {}).get(metadata_keys.WORKSPACE_NAME)
    return label == workspace["metadata"]["name"] and controls(workspace, obj)


def is_named_pod(workspace: ObjectView, pod: ObjectView) -> bool:
    """Return whether the status of the workspace names `pod`, for users who cannot read StatefulSets.

    Only a controller writes the status. The pod must also have the workspace's label and be the
    first pod of a StatefulSet.
    """
    metadata, reference = pod["metadata"], controller(pod)
    named = ((workspace.get("status") or {}).get("podTemplatePod") or {}).get("name")
    return (
        metadata["name"] == named
        and metadata.get("namespace") == workspace["metadata"]["namespace"]
        and (metadata.get("labels") or {}).get(metadata_keys.WORKSPACE_NAME)
        == workspace["metadata"]["name"]
        and reference.get("kind") == "StatefulSet"
        and api_group(reference.get("apiVersion")) == "apps"
        and metadata["name"] == f"{reference.get('name')}-0"
    )


def is_workspace_service(
    workspace: ObjectView, service: ObjectView, *, headless: bool = False
) -> bool:
    """Return whether a Service belongs to the workspace and leads only to the workspace's pods.

    A Service of type ExternalName leads to any host, one without a selector to any address, and
    external IP addresses take the traffic of other hosts.
    """
    spec = service.get("spec") or {}
    return (
        belongs(workspace, service)
        and spec.get("type", "ClusterIP") == "ClusterIP"
        and not spec.get("externalName")
        and not spec.get("externalIPs")
        and (headless or spec.get("clusterIP") != "None")
        and (spec.get("selector") or {}).get(metadata_keys.WORKSPACE_NAME)
        == workspace["metadata"]["name"]
    )


def is_token_secret(workspace: ObjectView, secret: ObjectView) -> bool:
    """Return whether a Secret was made for the token of this workspace.

    The annotation of a pod that names the Secret can name any other Secret, too.
    """
    return belongs(workspace, secret) and secret.get("type", "Opaque") == "Opaque"
