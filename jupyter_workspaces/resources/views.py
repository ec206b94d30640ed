"""Typed, read-only views of the Kubernetes objects that a workspace consists of.

A view holds a reference to the object as the API server returned it, copies nothing and costs
about a microsecond, so callers create one where they need it: `PodView(pod).ip`.

Views do not validate. A property reads optional fields with a default and required fields without
one, so a malformed object raises one of `unreadable.ERRORS`; the docstrings name the exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jupyter_workspaces.kube.types import ObjectView

from . import metadata_keys, unreadable

DIMENSIONS = ("imageConfig", "podConfig")
"""The two choices that a kind offers: an image and a size."""

MAIN_CONTAINER = "main"
"""Container of a workspace's pod that runs its program."""


@dataclass(frozen=True, slots=True)
class MetadataView:
    """Metadata, spec and status of any object."""

    obj: ObjectView

    @property
    def metadata(self) -> ObjectView:
        """`metadata`, which every object has."""
        found: ObjectView = self.obj["metadata"]
        return found

    @property
    def name(self) -> str:
        """`metadata.name`."""
        name: str = self.obj["metadata"]["name"]
        return name

    @property
    def namespace(self) -> str:
        """`metadata.namespace` of a namespaced object."""
        namespace: str = self.obj["metadata"]["namespace"]
        return namespace

    @property
    def uid(self) -> str:
        """`metadata.uid`."""
        uid: str = self.obj["metadata"]["uid"]
        return uid

    @property
    def resource_version(self) -> str:
        """`metadata.resourceVersion`, which makes a patch conditional."""
        version: str = self.obj["metadata"]["resourceVersion"]
        return version

    @property
    def labels(self) -> Mapping[str, str]:
        """`metadata.labels`; empty if there are none."""
        return self.obj["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """`metadata.annotations`; empty if there are none."""
        return self.obj["metadata"].get("annotations") or {}

    @property
    def finalizers(self) -> list[str]:
        """`metadata.finalizers`; empty if there are none."""
        return self.obj["metadata"].get("finalizers") or []

    @property
    def is_deleting(self) -> bool:
        """Whether the object was deleted and waits for its finalizers or its grace period."""
        return bool(self.obj["metadata"].get("deletionTimestamp"))

    @property
    def spec(self) -> ObjectView:
        """`spec`, which the object must have."""
        found: ObjectView = self.obj["spec"]
        return found

    @property
    def has_spec(self) -> bool:
        """Whether there is a `spec` that is not empty: the API server does not require one."""
        return bool(self.obj.get("spec"))

    @property
    def status(self) -> ObjectView:
        """`status`; empty if the object has none yet."""
        return self.obj.get("status") or {}


@dataclass(frozen=True, slots=True)
class WorkspaceView(MetadataView):
    """A Workspace."""

    @property
    def kind_name(self) -> str:
        """Name of its WorkspaceKind; empty for a malformed workspace."""
        return unreadable.text(unreadable.mapping(self.obj.get("spec")).get("kind"))

    @property
    def is_paused(self) -> bool:
        """Whether its spec asks for no pod; False for a malformed workspace."""
        return bool(unreadable.mapping(self.obj.get("spec")).get("paused"))

    @property
    def pod_template(self) -> ObjectView:
        """`spec.podTemplate`, which must exist."""
        found: ObjectView = self.obj["spec"]["podTemplate"]
        return found

    @property
    def options(self) -> Mapping[str, str]:
        """Ids of the chosen options by dimension (`DIMENSIONS`), which must exist."""
        found: Mapping[str, str] = self.obj["spec"]["podTemplate"]["options"]
        return found

    @property
    def volumes(self) -> ObjectView:
        """`spec.podTemplate.volumes`, which must exist."""
        found: ObjectView = self.obj["spec"]["podTemplate"]["volumes"]
        return found

    @property
    def state(self) -> str:
        """State that the controller wrote; empty before the first one."""
        return self.status.get("state") or ""

    @property
    def state_message(self) -> str:
        """Reason for the state, for people; empty before the first one."""
        return self.status.get("stateMessage") or ""

    @property
    def activity(self) -> ObjectView:
        """`status.activity`; empty before the first probe."""
        return self.status.get("activity") or {}

    @property
    def named_pod(self) -> str:
        """Name of the pod that the controller wrote into the status; empty without a pod."""
        return (self.status.get("podTemplatePod") or {}).get("name") or ""


@dataclass(frozen=True, slots=True)
class WorkspaceKindView(MetadataView):
    """A WorkspaceKind."""

    @property
    def pod_template(self) -> ObjectView:
        """`spec.podTemplate`, which must exist."""
        found: ObjectView = self.obj["spec"]["podTemplate"]
        return found

    @property
    def spawner(self) -> ObjectView:
        """`spec.spawner`, which must exist: how a user interface shows the kind."""
        found: ObjectView = self.obj["spec"]["spawner"]
        return found

    @property
    def activity_probe(self) -> ObjectView | None:
        """`spec.podTemplate.activityProbe`; None for a kind without one."""
        probe: ObjectView | None = self.pod_template.get("activityProbe")
        return probe

    @property
    def activity_rules(self) -> Iterable[ObjectView]:
        """`spec.activityRules`; empty if there are none."""
        return self.obj["spec"].get("activityRules") or ()

    @property
    def token_variable(self) -> str | None:
        """Environment variable that takes a workspace's token; None for a kind without tokens."""
        return self.annotations.get(metadata_keys.TOKEN_ENV)

    def option_values(self, dimension: str) -> dict[str, ObjectView]:
        """Return the options of a dimension by id, in the order of the kind."""
        values = self.pod_template["options"][dimension]["values"]
        return {value["id"]: value for value in values}

    def image_ports(self, image: str) -> dict[str, int]:
        """Return the container ports of an image by port id; empty for an unknown image."""
        for value in self.pod_template["options"]["imageConfig"]["values"]:
            if value["id"] == image:
                return {port["id"]: port["port"] for port in value["spec"]["ports"]}
        return {}

    def http_proxy(self, port_id: str) -> ObjectView:
        """Return `httpProxy` of a declared port; empty if there is none."""
        for port in self.pod_template.get("ports") or ():
            if port["id"] == port_id:
                return port.get("httpProxy") or {}
        return {}


@dataclass(frozen=True, slots=True)
class PodView(MetadataView):
    """A pod of a workspace."""

    @property
    def ip(self) -> str:
        """Address of the pod; empty before it has one."""
        return self.status.get("podIP") or ""

    @property
    def phase(self) -> str | None:
        """`status.phase`; None before the kubelet reports."""
        phase: str | None = self.status.get("phase")
        return phase

    @property
    def node_name(self) -> str:
        """Node of the pod; empty before it is scheduled."""
        return self.obj["spec"].get("nodeName") or ""

    @property
    def conditions(self) -> dict[str, ObjectView]:
        """Conditions by type."""
        return {one["type"]: one for one in self.status.get("conditions") or ()}

    @property
    def is_ready(self) -> bool:
        """Whether the condition `Ready` is true."""
        return self.conditions.get("Ready", {}).get("status") == "True"

    @property
    def main_status(self) -> ObjectView | None:
        """Status of the main container; None before the kubelet reports it."""
        for found in self.status.get("containerStatuses") or ():
            if found["name"] == MAIN_CONTAINER:
                status: ObjectView = found
                return status
        return None

    @property
    def token_secret(self) -> str | None:
        """Name of the Secret with the workspace's token; None for a pod without a token."""
        return self.annotations.get(metadata_keys.TOKEN_SECRET)

    def listening_port(self, container_port: int) -> int:
        """Return the port at which the program listens for a container port.

        They differ on the local cluster of a host that has only the address 127.0.0.1.
        """
        local = self.annotations.get(f"{metadata_keys.LOCAL_PORT}{container_port}", "")
        return int(local) if local.isdecimal() else container_port


def container_state(status: ObjectView | None, name: str) -> ObjectView | None:
    """Return the details of a container's state: `state.running`, `waiting` or `terminated`.

    Args:
        status: entry of `status.containerStatuses`; None before the kubelet reports it.
        name: `running`, `waiting` or `terminated`.

    Returns:
        The details; None if the container is in another state.
    """
    details: ObjectView | None = ((status or {}).get("state") or {}).get(name)
    return details
