"""Which objects belong to a workspace: its pod, its Service and the Secret with its token.

Any user who may create an object may write any label and owner reference into it. So these
functions compare everything that an object of the workspace's controller has (see
`kube/ownership.py`), and refuse objects that could send a user's requests somewhere else.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_workspaces.kube.ownership import api_group, controller, controls, is_pod_of
from jupyter_workspaces.kube.types import Object, ObjectView

from . import metadata_keys
from .views import MetadataView, PodView, WorkspaceView


def belongs(workspace: ObjectView, obj: ObjectView) -> bool:
    """Return whether the workspace controls `obj` and `obj` has the workspace's label."""
    label = MetadataView(obj).labels.get(metadata_keys.WORKSPACE_NAME)
    return label == MetadataView(workspace).name and controls(workspace, obj)


def is_workspace_pod(
    workspace: ObjectView, pod: ObjectView, stateful_sets: Iterable[ObjectView] | None
) -> bool:
    """Return whether a pod belongs to the workspace.

    Args:
        workspace: the Workspace.
        pod: any pod.
        stateful_sets: StatefulSets that may be the workspace's; None for a user who cannot read
            StatefulSets. Then the name of the pod in the workspace's status decides.
    """
    if stateful_sets is None:
        return is_named_pod(workspace, pod)
    return any(controls(workspace, held) and is_pod_of(held, pod) for held in stateful_sets)


def current_pod(workspace: ObjectView, pods: Iterable[Object]) -> Object | None:
    """Return the pod in which the workspace runs, of all pods that belong to it.

    There are two for a moment while one pod replaces another. A pod that is not being deleted comes
    first, then the one that the status names, then the youngest.
    """
    named = WorkspaceView(workspace).named_pod

    def rank(pod: Object) -> tuple[bool, bool, str]:
        view = PodView(pod)
        return not view.is_deleting, view.name == named, str(view.metadata["creationTimestamp"])

    return max(pods, key=rank, default=None)


def is_named_pod(workspace: ObjectView, pod: ObjectView) -> bool:
    """Return whether the status of the workspace names `pod`, which needs no StatefulSets.

    Only a controller writes the status. The pod must also have the workspace's label and be the
    first pod of a StatefulSet.
    """
    view, reference = PodView(pod), controller(pod)
    owner = WorkspaceView(workspace)
    return (
        view.name == owner.named_pod
        and view.metadata.get("namespace") == owner.namespace
        and view.labels.get(metadata_keys.WORKSPACE_NAME) == owner.name
        and reference.get("kind") == "StatefulSet"
        and api_group(reference.get("apiVersion")) == "apps"
        and view.name == f"{reference.get('name')}-0"
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
