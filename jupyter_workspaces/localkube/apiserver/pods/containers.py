"""Which container of a pod a request means, and whether there is a node that could answer for it."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.localkube.apiserver.http.status import Refusal, bad_request, not_found

Object = dict[str, Any]

_KINDS = ("initContainers", "containers", "ephemeralContainers")


def choose(pod: Object, asked: str) -> str:
    """The container by its name, or the only one. Raises `Refusal` 400."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    names = [container["name"] for kind in _KINDS for container in spec.get(kind) or ()]
    if asked:
        if asked not in names:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(spec["containers"]) == 1:
        return str(spec["containers"][0]["name"])
    raise bad_request(
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
    )


def node_of(pod: Object) -> str:
    """The node that has the pod. Raises `Refusal` 400 when none has it yet."""
    node = pod["spec"].get("nodeName")
    if not node:
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    return str(node)


def no_such_node(node: str) -> Refusal:
    """As Kubernetes tells of a pod whose node does not exist, its resource confused."""
    return not_found(PODS, node)


def silent(node: str) -> Refusal:
    """Nobody answers for the pods of a node."""
    return Refusal(
        500,
        "InternalError",
        f"Internal error occurred: nobody answers for the node {node}: this cluster runs without it",
    )
