"""What the owner of the local cluster decides for its node: names, versions and hints.

The node runs any pod and knows nothing of the objects from which its pods were made. Names that
appear outside the node (annotations, environment variables, control groups) are settings, so that
the owner can keep them stable for its users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NodeSettings:
    """Names and hints of a node.

    Attributes:
        version: Version that the node reports as its kubelet's, without the leading `v`.
        name_label: Label of a pod with the name by which its users know it.
        request_path: Returns the path with which requests to a pod begin, without a slash at its
            end; None for a pod that no proxy serves.
        port_annotation: Beginning of a pod's annotations that say at which port a program really
            listens; a container port follows.
        home_volume: Name of the volume that a program uses as its home directory.
        pod_variable: Environment variable with a pod's namespace and name (`namespace/name`).
        uid_variable: Environment variable with a pod's uid. The node recognizes a pod's processes
            by it, so pods that already run are only found again under the same name.
        root_variable: Environment variable with the directory below which volumes appear. It is
            empty where they appear at exactly their mount paths.
        cgroup_prefix: Beginning of the names of control groups.
        token_hint: How to give JupyterLab a token. Ends the message of a pod that has none.
        image_hint: Which image to use where the program for an image is missing. Ends that message.
        mount_namespaces: Whether volumes may be mounted in a mount namespace; otherwise they appear
            as links below the directory in `root_variable`.
        many_addresses: Whether pods may have loopback addresses of their own; otherwise they share
            127.0.0.1, as on macOS and Windows.
    """

    version: str
    name_label: str
    request_path: Callable[[Mapping[str, Any]], str | None]
    port_annotation: str
    home_volume: str
    pod_variable: str
    uid_variable: str
    root_variable: str
    cgroup_prefix: str
    token_hint: str
    image_hint: str
    mount_namespaces: bool = True
    many_addresses: bool = True
