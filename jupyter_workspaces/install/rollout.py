"""Carries out a plan, and waits until the cluster has done what it asks for.

CRDs must be served, the controller's pods available and the webhook's certificate published before
the sample kinds can be created.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    PODS,
    VALIDATING_WEBHOOKS,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, NotFound
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import component_names, metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS
from jupyter_workspaces.resources.views import MetadataView, PodView, container_state

from .plan import (
    MANAGER,
    Plan,
    Step,
    crd_name,
)

Report = Callable[[str], None]
Check = Callable[[Cluster, Object | None], Awaitable[str | None]]
"""Returns what is missing in the state of an object, which may not exist; None if all is well."""

POLL_SECONDS = 0.25
_DELETION_IS_AWAITED = ("CustomResourceDefinition", "Deployment", "Namespace")


class NotReady(Exception):
    """An object did not reach its state in time. The message says why."""


async def apply(cluster: Cluster, plan: Plan, report: Report, seconds: float) -> None:
    """Create and change objects, and wait until they are ready.

    Args:
        cluster: API server.
        plan: a plan without refusals.
        report: called with a line for each step.
        seconds: time to wait for each object.

    Raises:
        ClusterError: a write was refused; earlier steps stay done.
        NotReady: an object was not ready in time.
    """
    kinds = [step for step in plan.changes if step.obj["kind"] == WORKSPACE_KINDS.kind]
    for step in (step for step in plan.changes if step not in kinds):
        await _apply(cluster, step, report)
        if step.obj["kind"] == CUSTOM_RESOURCE_DEFINITIONS.kind:
            await _wait(cluster, step, _established, "is not served yet", seconds)
    for step in plan.steps:
        check = _CHECKS.get(step.obj["kind"])
        if check is not None and step.action in ("create", "change", "keep"):
            await _wait(cluster, step, check, "is not ready", seconds)
            report(f"ready   {step.title}")
    for step in kinds:  # the webhook reviews them
        await _apply(cluster, step, report)


async def delete(cluster: Cluster, plan: Plan, report: Report, seconds: float) -> None:
    """Delete objects, and wait until they are gone.

    Args:
        cluster: API server.
        plan: plan of `plan.to_uninstall`.
        report: called with a line for each step.
        seconds: time to wait for each object.

    Raises:
        ClusterError: a deletion was refused; earlier steps stay done.
        NotReady: an object still exists after `seconds`.
    """
    for step in plan.changes:
        view = MetadataView(step.obj)
        if view.name == crd_name(WORKSPACE_KINDS):
            await _remove_kind_finalizers(cluster)
        namespace = view.metadata.get("namespace")
        try:
            await cluster.delete(step.resource, view.name, namespace, propagation="Foreground")
        except NotFound:
            continue
        if step.obj["kind"] in _DELETION_IS_AWAITED:
            await _wait(cluster, step, _gone, "still exists", seconds)
        report(f"deleted {step.title}")


async def _apply(cluster: Cluster, step: Step, report: Report) -> None:
    await cluster.apply(step.resource, step.obj, manager=MANAGER)
    report(f"{'created' if step.action == 'create' else 'changed'} {step.title}")


async def _remove_kind_finalizers(cluster: Cluster) -> None:
    """Remove the finalizer of the controller, which is deleted already, from all kinds.

    By now all workspaces are deleted, so no kind is in use.
    """
    try:
        found = (await cluster.list(WORKSPACE_KINDS)).items
    except NotFound:
        return
    for kind in map(MetadataView, found):
        if metadata_keys.KIND_PROTECTION in kind.finalizers:
            left = [one for one in kind.finalizers if one != metadata_keys.KIND_PROTECTION]
            metadata = {"finalizers": left, "resourceVersion": kind.resource_version}
            await cluster.patch(WORKSPACE_KINDS, kind.name, {"metadata": metadata})


async def _wait(cluster: Cluster, step: Step, check: Check, what: str, seconds: float) -> None:
    """Poll an object until `check` finds nothing missing. Raises `NotReady` after `seconds`."""
    metadata, missing = step.obj["metadata"], ""
    try:
        async with timeout(seconds):
            while True:
                held: Object | None = None
                try:
                    held = await cluster.get(
                        step.resource, metadata["name"], metadata.get("namespace")
                    )
                except NotFound:
                    pass
                missing = await check(cluster, held) or ""
                if not missing:
                    return
                await asyncio.sleep(POLL_SECONDS)
    except asyncio.TimeoutError as error:
        raise NotReady(f"{step.title} {what} after {seconds:g} s: {missing}") from error


async def _gone(cluster: Cluster, held: Object | None) -> str | None:
    if held is None:
        return None
    finalizers = ", ".join(MetadataView(held).finalizers)
    return f"it waits for its finalizers {finalizers}" if finalizers else "it is being deleted"


async def _established(cluster: Cluster, held: Object | None) -> str | None:
    conditions = _conditions(held)
    for wanted in ("NamesAccepted", "Established"):
        condition = conditions.get(wanted) or {}
        if condition.get("status") != "True":
            return str(condition.get("message") or f"{wanted} is not true yet")
    return None


async def _rolled_out(cluster: Cluster, held: Object | None) -> str | None:
    if held is None:
        return "the cluster has not started the rollout"
    status, wanted = MetadataView(held).status, (held.get("spec") or {}).get("replicas", 1)
    if status.get("observedGeneration", 0) < held["metadata"]["generation"]:
        return "the cluster has not started the rollout"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated >= wanted and available >= wanted and status.get("replicas", 0) == wanted:
        return None
    return await _why_no_pods(cluster, held) or f"{available} of {wanted} pods are available"


async def _why_no_pods(cluster: Cluster, deployment: Object) -> str | None:
    """Return why the pods of a Deployment do not start, in the words of the cluster."""
    labels = ",".join(
        f"{name}={value}" for name, value in deployment["spec"]["selector"]["matchLabels"].items()
    )
    namespace = deployment["metadata"]["namespace"]
    try:
        pods = (await cluster.list(PODS, namespace, label_selector=labels)).items
    except ClusterError:
        return None
    for pod in map(PodView, pods):
        for container in pod.status.get("containerStatuses") or ():
            if waiting := container_state(container, "waiting"):
                text = f"{waiting.get('reason', '')} {waiting.get('message', '')}"
                return f"pod {pod.name}: {text}".strip()
        scheduled = pod.conditions.get("PodScheduled")
        if scheduled is not None and scheduled["status"] != "True":
            return f"pod {pod.name}: {scheduled.get('message', '')}"
    failure = _conditions(deployment).get("ReplicaFailure")
    if failure is not None and failure["status"] == "True":
        return str(failure.get("message") or "")
    return None


async def _trusted(cluster: Cluster, held: Object | None) -> str | None:
    webhooks = (held or {}).get("webhooks") or ()
    if all((webhook.get("clientConfig") or {}).get("caBundle") for webhook in webhooks):
        return None
    logs = f"kubectl -n {component_names.NAMESPACE} logs deploy/{component_names.CONTROLLER}"
    return f"the controller has not written its caBundle yet; look at its log ({logs})"


def _conditions(held: Object | None) -> dict[str, Object]:
    conditions = ((held or {}).get("status") or {}).get("conditions") or ()
    return {condition["type"]: condition for condition in conditions}


_CHECKS: dict[str, Check] = {
    CUSTOM_RESOURCE_DEFINITIONS.kind: _established,
    DEPLOYMENTS.kind: _rolled_out,
    VALIDATING_WEBHOOKS.kind: _trusted,
}
