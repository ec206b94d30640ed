"""The permissions that a user needs in a cluster, and what does not work without each of them.

`doctor.py` checks them with SelfSubjectAccessReviews
(https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access).
"""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_workspaces.kube.catalog import (
    EVENTS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SECRETS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES


@dataclass(frozen=True)
class Permission:
    """Verbs that a user may need for a resource type.

    Attributes:
        verbs: verbs of the Kubernetes API.
        resource: resource type.
        without: what does not work without the permission, for people.
        needed: whether nothing works without it.
        subresource: part of the resource, such as `log`; empty for the resource itself.
        everywhere: whether it is needed in the whole cluster instead of one namespace.
    """

    verbs: tuple[str, ...]
    resource: Resource
    without: str
    needed: bool = True
    subresource: str = ""
    everywhere: bool = False

    @property
    def target(self) -> str:
        """Resource as RBAC rules name it: `pods` or `pods/log`."""
        plural = self.resource.plural
        return f"{plural}/{self.subresource}" if self.subresource else plural


PERMISSIONS = (
    Permission(("get", "list", "watch"), WORKSPACES, "workspaces cannot be shown"),
    Permission(
        ("create", "update", "patch", "delete"),
        WORKSPACES,
        "workspaces can be shown but not changed",
        needed=False,
    ),
    Permission(
        ("get", "list", "watch"),
        WORKSPACE_KINDS,
        "no workspace can be created, because the kinds cannot be shown",
        everywhere=True,
    ),
    Permission(
        ("get", "list", "watch"),
        PODS,
        "the reason why a workspace does not start cannot be shown",
        needed=False,
    ),
    Permission(
        ("list", "watch"),
        STATEFUL_SETS,
        "the pod of a workspace is found by the status of the workspace only",
        needed=False,
    ),
    Permission(("get",), PODS, "logs cannot be shown", needed=False, subresource="log"),
    Permission(
        ("get", "create"),
        PODS,
        "workspaces cannot be opened from outside the cluster",
        needed=False,
        subresource="portforward",
    ),
    Permission(
        ("list", "watch"), SERVICES, "workspaces cannot be opened inside the cluster", needed=False
    ),
    Permission(
        ("list", "watch", "create"),
        PERSISTENT_VOLUME_CLAIMS,
        "volumes cannot be chosen or created",
        needed=False,
    ),
    Permission(
        ("get",), SECRETS, "workspaces whose kind uses tokens cannot be opened", needed=False
    ),
    Permission(("list",), EVENTS, "the progress of a start has fewer details", needed=False),
    Permission(
        ("list", "watch"),
        NAMESPACES,
        "only the namespace of the context is shown",
        needed=False,
        everywhere=True,
    ),
    Permission(
        ("list", "watch"),
        STORAGE_CLASSES,
        "new volumes get the default storage class",
        needed=False,
        everywhere=True,
    ),
)


async def is_allowed(
    cluster: Cluster, verb: str, resource: Resource, namespace: str, subresource: str = ""
) -> bool:
    """Return whether the user may do something. Raises `ClusterError`.

    Args:
        cluster: API server to ask.
        verb: verb of the Kubernetes API.
        resource: resource type.
        namespace: namespace; empty for the whole cluster.
        subresource: part of the resource, or empty.
    """
    attributes = {
        "verb": verb,
        "group": resource.group,
        "resource": resource.plural,
        "namespace": namespace,
    }
    if subresource:
        attributes["subresource"] = subresource
    review = {
        "apiVersion": SELF_SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": SELF_SUBJECT_ACCESS_REVIEWS.kind,
        "spec": {"resourceAttributes": attributes},
    }
    answer = await cluster.raw("POST", SELF_SUBJECT_ACCESS_REVIEWS.path(), body=review)
    return bool((answer.get("status") or {}).get("allowed"))
