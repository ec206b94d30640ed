"""Checks a cluster for `jupyter workspaces doctor`: connection, user, permissions, installation.

`examine` yields one `Line` for each finding, with advice. It only reads, with the permissions of
the user; the one write is a dry run, which the admission webhook must refuse.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from jupyter_workspaces._version import __version__
from jupyter_workspaces.kube.catalog import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEFAULT_STORAGE_CLASS,
    DEPLOYMENTS,
    LEASES,
    SELF_SUBJECT_REVIEWS,
    STORAGE_CLASSES,
    VALIDATING_WEBHOOKS,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, Forbidden, NotFound
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import component_names
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.resources.views import MetadataView

from . import manifests
from .permissions import PERMISSIONS, is_allowed
from .plan import (
    crd_name,
    find_kubeflow,
    is_local,
    is_ours,
    obstacle,
    why_not_upgrade,
)

State = Literal["good", "note", "bad"]

OLDEST = (1, 29)
"""Oldest version of Kubernetes: later ones evaluate the CEL rules of our CRDs by default."""

_INSTALL = "Run `jupyter workspaces install`."


@dataclass(frozen=True)
class Line:
    """One finding.

    Attributes:
        state: `bad` prevents workspaces from working, `note` does not.
        about: what was checked.
        found: the result.
        next: what to do; empty if there is nothing to do.
    """

    state: State
    about: str
    found: str
    next: str = ""


async def examine(cluster: Cluster) -> AsyncIterator[Line]:
    """Yield the findings as they are made. Ends early if the cluster cannot be used at all."""
    endpoint = cluster.endpoint
    try:
        version = await cluster.raw("GET", "/version")
    except ClusterError as error:
        advice = (
            "Check the address of the server, the network, and proxies (HTTPS_PROXY, NO_PROXY)."
            if error.status == 503
            else _sign_in(endpoint.name)
        )
        yield Line("bad", "cluster", f"{endpoint.name} at {endpoint.url}: {error.message}", advice)
        return
    yield _version_line(endpoint.name, endpoint.url, version)
    try:
        yield await _user_line(cluster)
    except ClusterError as error:
        yield Line("bad", "user", error.message, _sign_in(endpoint.name))
        return
    async for line in _permission_lines(cluster, endpoint.namespace):
        yield line
    if is_local(version):
        text = "this is the local cluster; CRDs, admission rules and controller are part of it"
        yield Line("good", "installation", text)
    else:
        yield await _guarded("definitions", _definitions_line(cluster))
        yield await _guarded("controller", _controller_line(cluster))
        yield await _guarded("webhook", _webhook_line(cluster))
    yield await _guarded("kinds", _kinds_line(cluster))
    yield await _guarded("storage", _storage_line(cluster))


async def _guarded(about: str, line: Awaitable[Line]) -> Line:
    """Return the line, or one about the error. A missing permission is only a note.

    Most users may not read how a cluster is administered.
    """
    try:
        return await line
    except Forbidden as error:
        advice = "Ask your administrator if you need to know."
        return Line("note", about, f"no permission to check: {error.message}", advice)
    except ClusterError as error:
        advice = "Try again. If the error stays, ask your administrator."
        return Line("bad", about, error.message, advice)


def _version_line(name: str, url: str, version: Object) -> Line:
    text = f"{name} at {url}, Kubernetes {version.get('gitVersion', 'of unknown version')}"
    numbers = tuple(
        int("".join(filter(str.isdigit, str(version.get(part)))) or 0)
        for part in ("major", "minor")
    )
    if (0, 0) < numbers < OLDEST:
        advice = f"Kubernetes {OLDEST[0]}.{OLDEST[1]} or later is required. Upgrade the cluster."
        return Line("bad", "cluster", text, advice)
    return Line("good", "cluster", text)


def _sign_in(context: str) -> str:
    return (
        "Sign in again, in the way of your cluster, until "
        f"`kubectl --context {context} get --raw /version` works."
    )


async def _user_line(cluster: Cluster) -> Line:
    review = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind}
    answer = await cluster.raw("POST", SELF_SUBJECT_REVIEWS.path(), body=review)
    info = answer["status"]["userInfo"]
    if info.get("username") == "system:anonymous":
        return Line("bad", "user", "you are not signed in", _sign_in(cluster.endpoint.name))
    groups = ", ".join(info.get("groups") or ()) or "none"
    return Line("good", "user", f"{info.get('username')}, groups: {groups}")


async def _permission_lines(cluster: Cluster, namespace: str) -> AsyncIterator[Line]:
    complete = True
    for permission in PERMISSIONS:
        where = "" if permission.everywhere else namespace
        denied = [
            verb
            for verb in permission.verbs
            if not await is_allowed(
                cluster, verb, permission.resource, where, permission.subresource
            )
        ]
        if not denied:
            continue
        complete = False
        role = f"{manifests.NAMESPACE}-edit"
        advice = f"Ask your administrator to bind the ClusterRole {role} to you in {namespace}."
        if permission.everywhere:
            role = f"{manifests.NAMESPACE}-kinds"
            advice = f"Ask your administrator to bind the ClusterRole {role} to you."
            advice = advice if permission.needed else ""
        place = f"in {namespace}" if where else "in the whole cluster"
        text = f"no permission to {', '.join(denied)} {permission.target} {place}"
        state: State = "bad" if permission.needed else "note"
        yield Line(state, "rights", f"{text}: {permission.without}", advice)
    if complete:
        yield Line("good", "rights", f"all permissions in {namespace} are granted")
    elif await is_allowed(cluster, "list", WORKSPACES, ""):
        yield Line("note", "rights", "workspaces of all namespaces can be shown")


async def _definitions_line(cluster: Cluster) -> Line:
    if not await _are_served(cluster):
        advice = await obstacle(cluster) or _INSTALL
        return Line(
            "bad", "definitions", "the CRDs Workspace and WorkspaceKind are missing", advice
        )
    served = f"{WORKSPACES.api_version} is served"
    try:
        held = await cluster.get(CUSTOM_RESOURCE_DEFINITIONS, crd_name(WORKSPACES))
    except Forbidden:
        return Line("good", "definitions", served)
    if not is_ours(held):
        text = f"{served}; the CRDs were not installed by this package and are not changed"
        return Line("good", "definitions", text)
    version = MetadataView(held).labels.get(manifests.VERSION)
    if version == __version__:
        return Line("good", "definitions", f"installed, version {version}")
    refusal = why_not_upgrade(version)
    advice = (
        f"`jupyter workspaces upgrade` refuses: {refusal}."
        if refusal
        else "Run `jupyter workspaces upgrade`."
    )
    text = f"installed, version {version}; this package is version {__version__}"
    return Line("note", "definitions", text, advice)


async def _are_served(cluster: Cluster) -> bool:
    """Return whether both CRDs are served, by discovery, which all users may read."""
    try:
        found = await cluster.raw("GET", f"/apis/{WORKSPACES.group}/{WORKSPACES.version}")
    except NotFound:
        return False
    served = {resource["name"] for resource in found.get("resources") or ()}
    return {WORKSPACES.plural, WORKSPACE_KINDS.plural} <= served


async def _controller_line(cluster: Cluster) -> Line:
    if (place := await find_kubeflow(cluster)) is not None:
        text = f"Kubeflow's own controller runs ({place}); the one of this package is paused"
        return Line("good", "controller", text)
    name, namespace = component_names.CONTROLLER, manifests.NAMESPACE
    try:
        lease = (await cluster.get(LEASES, name, namespace)).get("spec") or {}
    except NotFound:
        lease = {}
    if (holder := lease.get("holderIdentity")) and _is_renewed(lease):
        return Line("good", "controller", f"runs, leader {holder.partition('_')[0]}")
    try:
        deployment = await cluster.get(DEPLOYMENTS, name, namespace)
    except NotFound:
        advice = await obstacle(cluster) or _INSTALL
        text = "not installed: new workspaces stay without a state and never start"
        return Line("bad", "controller", text, advice)
    wanted = deployment["spec"].get("replicas", 1)
    available = MetadataView(deployment).status.get("availableReplicas", 0)
    if wanted == 0:
        advice = f"Run `kubectl -n {namespace} scale deploy/{name} --replicas=2`."
        return Line("bad", "controller", "installed, but scaled to 0 pods", advice)
    text = f"installed, {available} of {wanted} pods available, without a leader"
    advice = f"Look at its log: `kubectl -n {namespace} logs deploy/{name}`."
    return Line("bad", "controller", text, advice)


def _is_renewed(lease: Object) -> bool:
    renewed = str(lease.get("renewTime", "1970-01-01T00:00:00Z")).replace("Z", "+00:00")
    age = (datetime.now(timezone.utc) - datetime.fromisoformat(renewed)).total_seconds()
    return age < 2 * float(lease.get("leaseDurationSeconds") or 0)


async def _webhook_line(cluster: Cluster) -> Line:
    try:
        held = await cluster.get(VALIDATING_WEBHOOKS, component_names.WEBHOOK_CONFIGURATION)
    except NotFound:
        advice = await obstacle(cluster) or _INSTALL
        text = "not installed: errors in kinds and workspaces only show when they start"
        return Line("note", "webhook", text, advice)
    bundles = [
        (webhook.get("clientConfig") or {}).get("caBundle") or ""
        for webhook in held.get("webhooks") or ()
    ]
    if not all(bundles):
        text = "it has no caBundle yet, so kinds and workspaces cannot be written"
        return Line("bad", "webhook", text, "The controller writes it: see the line above.")
    if not all(base64.b64decode(one).startswith(b"-----BEGIN CERTIFICATE") for one in bundles):
        advice = "Restart the controller; it writes a new one."
        return Line("bad", "webhook", "its caBundle is not a certificate", advice)
    try:
        await cluster.create(WORKSPACES, _invalid(), cluster.endpoint.namespace, dry_run=True)
    except Forbidden as error:
        return Line("note", "webhook", f"not tested: {error.message}")
    except ClusterError as error:
        if "failed calling webhook" not in error.message:
            return Line("good", "webhook", "works")
        advice = (
            "The API server cannot reach the controller: check its pods, its Service and "
            "NetworkPolicies."
        )
        return Line("bad", "webhook", error.message, advice)
    text = "it allows a workspace of a kind that does not exist"
    return Line("bad", "webhook", text, "Check its rules, or run `jupyter workspaces upgrade`.")


def _invalid() -> Object:
    """Return a workspace that the webhook must refuse."""
    options = {"imageConfig": "none", "podConfig": "none"}
    spec = {"kind": "no-such-kind", "podTemplate": {"volumes": {"data": []}, "options": options}}
    return {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": {"generateName": "doctor-"},
        "spec": spec,
    }


async def _kinds_line(cluster: Cluster) -> Line:
    if not await _are_served(cluster):
        return Line("note", "kinds", "none: the CRDs are missing")
    found = (await cluster.list(WORKSPACE_KINDS)).items
    if found:
        return Line("good", "kinds", ", ".join(sorted(MetadataView(kind).name for kind in found)))
    refusal = await obstacle(cluster, kinds=True)
    advice = (
        f"{refusal} Or create a workspace kind yourself."
        if refusal
        else "Run `jupyter workspaces install --samples`, or create a workspace kind yourself."
    )
    return Line("bad", "kinds", "none: no workspace can be created", advice)


async def _storage_line(cluster: Cluster) -> Line:
    classes = [MetadataView(one) for one in (await cluster.list(STORAGE_CLASSES)).items]
    if not classes:
        text = "no storage class: volumes have to be created by an administrator"
        return Line("note", "storage", text, "Ask your administrator.")
    default = [one.name for one in classes if one.annotations.get(DEFAULT_STORAGE_CLASS) == "true"]
    if not default:
        advice = "Choose a storage class when you create a volume."
        return Line("note", "storage", "no storage class is the default", advice)
    return Line("good", "storage", f"default class {', '.join(default)}")
