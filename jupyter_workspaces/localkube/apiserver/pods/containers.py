"""Checks that requests to a pod's subresources share: the container, and the pod's node."""

from __future__ import annotations

from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.status import Refusal, bad_request, not_found

_KINDS = ("initContainers", "containers", "ephemeralContainers")


def container_name(pod: Object, requested: str) -> str:
    """Return the name of the requested container; without a request, the only one.

    Raises:
        Refusal: 400 if there is no such container, or none is requested and the pod has several.
    """
    name, spec = pod["metadata"]["name"], pod["spec"]
    names = [container["name"] for kind in _KINDS for container in spec.get(kind) or ()]
    if requested:
        if requested not in names:
            raise bad_request(f"container {requested} is not valid for pod {name}")
        return requested
    if len(spec["containers"]) == 1:
        return str(spec["containers"][0]["name"])
    raise bad_request(
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
    )


def node_name(pod: Object) -> str:
    """Return the name of the pod's node.

    Raises:
        Refusal: 400 if the pod is not scheduled yet.
    """
    node = pod["spec"].get("nodeName")
    if not node:
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    return str(node)


def node_not_found(node: str) -> Refusal:
    """Return the error for a pod whose node does not exist.

    A real API server names the resource `pods` here, with the name of the node.
    """
    return not_found(PODS, node)


def node_unavailable(node: str) -> Refusal:
    """Return the error for a node that does not answer, because the cluster runs without it."""
    return Refusal(
        500,
        "InternalError",
        f"Internal error occurred: node {node} does not answer: this cluster runs without it",
    )
