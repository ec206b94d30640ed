"""What is reachable, allowed, installed and at work in a cluster; each line says what to do next. Reads only, with the user's own rights."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from jupyter_workspaces._version import __version__
from jupyter_workspaces.kube.catalog import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SECRETS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    VALIDATING_WEBHOOKS,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, Forbidden, NotFound
from jupyter_workspaces.resources import component_names
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

from . import manifests
from .plan import (
    crd_name,
    find_kubeflow,
    is_local,
    is_ours,
    obstacle,
    why_not_upgrade,
)

Object = dict[str, Any]
State = Literal["good", "note", "bad"]

_SAMPLES = "`jupyter workspaces install --samples` brings three"

OLDEST = (1, 29)
"""The rules of our CRDs are written in CEL, which API servers evaluate by default since then."""


@dataclass(frozen=True)
class Line:
    """One finding. `bad` keeps something from working, `note` does not. `next` is what to do."""

    state: State
    about: str
    found: str
    next: str = ""


@dataclass(frozen=True)
class Right:
    """Something that a user must be allowed, and what does not work without it."""

    verbs: tuple[str, ...]
    resource: Resource
    without: str
    needed: bool = True
    subresource: str = ""
    everywhere: bool = False


RIGHTS = (
    Right(("get", "list", "watch"), WORKSPACES, "workspaces cannot be seen"),
    Right(
        ("create", "update", "patch", "delete"),
        WORKSPACES,
        "workspaces can be seen but not changed",
        needed=False,
    ),
    Right(
        ("get", "list", "watch"),
        WORKSPACE_KINDS,
        "nobody can choose what to spawn",
        everywhere=True,
    ),
    Right(
        ("get", "list", "watch"), PODS, "why a workspace does not start stays unknown", needed=False
    ),
    Right(
        ("list", "watch"),
        STATEFUL_SETS,
        "whose a pod is rests on the workspace's status alone",
        needed=False,
    ),
    Right(("get",), PODS, "logs cannot be read", needed=False, subresource="log"),
    Right(
        ("get", "create"),
        PODS,
        "workspaces cannot be opened from outside the cluster",
        needed=False,
        subresource="portforward",
    ),
    Right(
        ("list", "watch"), SERVICES, "workspaces cannot be opened inside the cluster", needed=False
    ),
    Right(
        ("list", "watch", "create"),
        PERSISTENT_VOLUME_CLAIMS,
        "volumes cannot be chosen or made",
        needed=False,
    ),
    Right(("get",), SECRETS, "workspaces with a token of their own cannot be opened", needed=False),
    Right(("list",), EVENTS, "progress tells less", needed=False),
    Right(
        ("list", "watch"),
        NAMESPACES,
        "only the namespace of the context is shown",
        needed=False,
        everywhere=True,
    ),
    Right(
        ("list", "watch"),
        STORAGE_CLASSES,
        "volumes get the default class",
        needed=False,
        everywhere=True,
    ),
)


async def examine(cluster: Cluster) -> AsyncIterator[Line]:
    """Line by line, as they are found. Ends early when the cluster cannot be asked at all."""
    endpoint = cluster.endpoint
    try:
        version = await cluster.raw("GET", "/version")
    except ClusterError as error:
        advice = (
            "Check the server's address, the network, and proxies (HTTPS_PROXY, NO_PROXY)."
            if error.status == 503
            else _sign_in(endpoint.name)
        )
        yield Line("bad", "cluster", f"{endpoint.name} at {endpoint.url}: {error.message}", advice)
        return
    yield _of_version(endpoint.name, endpoint.url, version)
    try:
        yield await _user(cluster)
    except ClusterError as error:
        yield Line("bad", "user", error.message, _sign_in(endpoint.name))
        return
    async for line in _rights(cluster, endpoint.namespace):
        yield line
    if is_local(version):
        yield Line(
            "good",
            "installation",
            "this is the local cluster: definitions, rules and the controller are part of it",
        )
    else:
        yield await _guarded("definitions", _definitions(cluster))
        yield await _guarded("controller", _controller(cluster))
        yield await _guarded("webhook", _webhook(cluster))
    yield await _guarded("kinds", _kinds(cluster))
    yield await _guarded("storage", _storage(cluster))


async def _guarded(about: str, line: Any) -> Line:
    """What may not be seen is no fault: most people may not see how a cluster is run."""
    try:
        found: Line = await line
    except Forbidden as error:
        return Line(
            "note",
            about,
            f"may not be seen: {error.message}",
            "Ask who manages the cluster, or go on without knowing.",
        )
    except ClusterError as error:
        return Line(
            "bad", about, error.message, "Try again; if it stays so, ask who manages the cluster."
        )
    return found


def _of_version(name: str, url: str, version: Object) -> Line:
    text = f"{name} at {url}, Kubernetes {version.get('gitVersion', 'of unknown version')}"
    digits = tuple(
        int("".join(filter(str.isdigit, str(version.get(part)))) or 0)
        for part in ("major", "minor")
    )
    if (0, 0) < digits < OLDEST:
        return Line(
            "bad",
            "cluster",
            text,
            f"It takes Kubernetes {OLDEST[0]}.{OLDEST[1]} or newer. Upgrade the cluster.",
        )
    return Line("good", "cluster", text)


def _sign_in(context: str) -> str:
    return f"Sign in again the way your cluster wants it, so that `kubectl --context {context} get --raw /version` works."


async def _user(cluster: Cluster) -> Line:
    review = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind}
    info = (await cluster.raw("POST", SELF_SUBJECT_REVIEWS.path(), body=review))["status"][
        "userInfo"
    ]
    if info.get("username") == "system:anonymous":
        return Line("bad", "user", "the cluster does not know you", _sign_in(cluster.endpoint.name))
    return Line(
        "good",
        "user",
        f"{info.get('username')}, groups: {', '.join(info.get('groups') or ()) or 'none'}",
    )


async def _rights(cluster: Cluster, namespace: str) -> AsyncIterator[Line]:
    lacking = 0
    for right in RIGHTS:
        where = "" if right.everywhere else namespace
        denied = [verb for verb in right.verbs if not await _allowed(cluster, verb, right, where)]
        if not denied:
            continue
        lacking += 1
        what = (
            f"{right.resource.plural}/{right.subresource}"
            if right.subresource
            else right.resource.plural
        )
        place = f"in {namespace}" if where else "for the whole cluster"
        if right.everywhere:
            advice = (
                "Ask who manages the cluster for the ClusterRole jupyter-workspaces-kinds."
                if right.needed
                else ""
            )
        else:
            advice = f"Ask who manages {namespace} to bind you the ClusterRole jupyter-workspaces-edit there."
        yield Line(
            "bad" if right.needed else "note",
            "rights",
            f"may not {', '.join(denied)} {what} {place}: {right.without}",
            advice,
        )
    if not lacking:
        yield Line("good", "rights", f"all that is needed in {namespace}")
    elif await _allowed(cluster, "list", Right(("list",), WORKSPACES, ""), ""):
        yield Line("note", "rights", "workspaces of all namespaces can be seen")


async def _allowed(cluster: Cluster, verb: str, right: Right, namespace: str) -> bool:
    attributes = {
        "verb": verb,
        "group": right.resource.group,
        "resource": right.resource.plural,
        "namespace": namespace,
    }
    if right.subresource:
        attributes["subresource"] = right.subresource
    review = {
        "apiVersion": SELF_SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": SELF_SUBJECT_ACCESS_REVIEWS.kind,
        "spec": {"resourceAttributes": attributes},
    }
    answer = await cluster.raw("POST", SELF_SUBJECT_ACCESS_REVIEWS.path(), body=review)
    return bool((answer.get("status") or {}).get("allowed"))


async def _definitions(cluster: Cluster) -> Line:
    served = await _served(cluster)
    if not served:
        advice = await obstacle(cluster) or "`jupyter workspaces install` puts them there."
        return Line(
            "bad", "definitions", "the cluster knows no Workspace and no WorkspaceKind", advice
        )
    try:
        held = await cluster.get(CUSTOM_RESOURCE_DEFINITIONS, crd_name(WORKSPACES))
    except Forbidden:
        return Line("good", "definitions", f"{WORKSPACES.api_version} is served")
    version = (held["metadata"].get("labels") or {}).get(manifests.VERSION)
    if not is_ours(held):
        return Line(
            "good",
            "definitions",
            f"{WORKSPACES.api_version} is served; they were not installed by us, and stay as they are",
        )
    if version != __version__:
        refused = why_not_upgrade(version)
        advice = (
            f"`jupyter workspaces upgrade` refuses: {refused}."
            if refused
            else "`jupyter workspaces upgrade` brings them up to date."
        )
        return Line(
            "note", "definitions", f"ours, of version {version}; this is {__version__}", advice
        )
    return Line("good", "definitions", f"ours, of version {version}")


async def _served(cluster: Cluster) -> bool:
    """By discovery, which everybody may read."""
    try:
        found = await cluster.raw("GET", f"/apis/{WORKSPACES.group}/{WORKSPACES.version}")
    except NotFound:
        return False
    return {WORKSPACES.plural, WORKSPACE_KINDS.plural} <= {
        resource["name"] for resource in found.get("resources") or ()
    }


async def _controller(cluster: Cluster) -> Line:
    if (place := await find_kubeflow(cluster)) is not None:
        return Line(
            "good",
            "controller",
            f"Kubeflow's own ({place}); ours stands back, and everything else works as with ours",
        )
    try:
        lease = (await cluster.get(LEASES, component_names.CONTROLLER, manifests.NAMESPACE)).get(
            "spec"
        ) or {}
    except NotFound:
        lease = {}
    if (holder := lease.get("holderIdentity")) and _fresh(lease):
        return Line("good", "controller", f"ours, led by {holder.partition('_')[0]}")
    try:
        deployment = await cluster.get(DEPLOYMENTS, component_names.CONTROLLER, manifests.NAMESPACE)
    except NotFound:
        advice = await obstacle(cluster) or "`jupyter workspaces install` brings one."
        return Line(
            "bad", "controller", "none: workspaces are written down and never start", advice
        )
    wanted, there = (
        deployment["spec"].get("replicas", 1),
        (deployment.get("status") or {}).get("availableReplicas", 0),
    )
    advice = f"Its log says why: `kubectl -n {manifests.NAMESPACE} logs deploy/jupyter-workspaces-controller`."
    if wanted == 0:
        return Line(
            "bad",
            "controller",
            "ours is scaled to 0",
            f"`kubectl -n {manifests.NAMESPACE} scale deploy/jupyter-workspaces-controller --replicas=2`",
        )
    return Line(
        "bad",
        "controller",
        f"ours is installed, {there} of {wanted} pods are available, and none leads",
        advice,
    )


def _fresh(lease: Object) -> bool:
    renewed = datetime.fromisoformat(
        str(lease.get("renewTime", "1970-01-01T00:00:00Z")).replace("Z", "+00:00")
    )
    return (datetime.now(timezone.utc) - renewed).total_seconds() < 2 * float(
        lease.get("leaseDurationSeconds") or 0
    )


async def _webhook(cluster: Cluster) -> Line:
    try:
        held = await cluster.get(VALIDATING_WEBHOOKS, component_names.WEBHOOK_CONFIGURATION)
    except NotFound:
        advice = await obstacle(cluster) or "`jupyter workspaces install` brings one."
        return Line(
            "note",
            "webhook",
            "none of ours: mistakes in kinds and workspaces show only when they start",
            advice,
        )
    bundles = [
        (webhook.get("clientConfig") or {}).get("caBundle")
        for webhook in held.get("webhooks") or ()
    ]
    if not all(bundles):
        return Line(
            "bad",
            "webhook",
            "it has no certificate yet, so workspaces and kinds cannot be written",
            "The controller fills it in: see the line above.",
        )
    if not all(
        base64.b64decode(bundle or "").startswith(b"-----BEGIN CERTIFICATE") for bundle in bundles
    ):
        return Line(
            "bad",
            "webhook",
            "its caBundle is no certificate",
            "Restart the controller; it writes a new one.",
        )
    try:
        await cluster.create(WORKSPACES, _probe(), cluster.endpoint.namespace, dry_run=True)
    except Forbidden as error:
        return Line("note", "webhook", f"not tried: {error.message}")
    except ClusterError as error:
        if "failed calling webhook" in error.message:
            return Line(
                "bad",
                "webhook",
                error.message,
                "The API server cannot reach the controller: look at its pods, its Service and NetworkPolicies.",
            )
        return Line("good", "webhook", "it answers")
    return Line(
        "bad",
        "webhook",
        "it lets a workspace of a kind pass that does not exist",
        "Look at its rules, or run `jupyter workspaces upgrade`.",
    )


def _probe() -> Object:
    """A workspace that must be refused, and is never stored."""
    options = {"imageConfig": "none", "podConfig": "none"}
    spec = {"kind": "no-such-kind", "podTemplate": {"volumes": {"data": []}, "options": options}}
    return {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": {"generateName": "doctor-"},
        "spec": spec,
    }


async def _kinds(cluster: Cluster) -> Line:
    if not await _served(cluster):
        return Line("note", "kinds", "none, before there are definitions")
    found = (await cluster.list(WORKSPACE_KINDS)).items
    if not found:
        instead = await obstacle(cluster, kinds=True)
        advice = (
            f"{instead} Or apply a kind of your own."
            if instead
            else f"{_SAMPLES}, or apply one of your own."
        )
        return Line("bad", "kinds", "none: there is nothing to spawn", advice)
    return Line("good", "kinds", ", ".join(sorted(kind["metadata"]["name"] for kind in found)))


async def _storage(cluster: Cluster) -> Line:
    classes = (await cluster.list(STORAGE_CLASSES)).items
    default = [one["metadata"]["name"] for one in classes if _is_default(one)]
    if not classes:
        return Line(
            "note",
            "storage",
            "no storage class: volumes must be made by hand",
            "Ask who manages the cluster.",
        )
    if not default:
        return Line(
            "note", "storage", "no storage class is the default", "Name one when you make a volume."
        )
    return Line("good", "storage", f"default class {', '.join(default)}")


def _is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
