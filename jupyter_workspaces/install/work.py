"""Does what a plan says, and waits until it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    PODS,
    VALIDATING_WEBHOOKS,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, NotFound
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS

from .plan import (
    MANAGER,
    Plan,
    Step,
    crd_name,
)

Object = dict[str, Any]
Tell = Callable[[str], None]

LOOK_SECONDS = 0.25


class NotReady(Exception):
    """What was applied did not come about in time; the text says what and how to learn why."""


async def apply(cluster: Cluster, plan: Plan, tell: Tell, seconds: float) -> None:
    """Raises `ClusterError` for what was refused after all (what was done before stays), and `NotReady` after `seconds` of waiting."""
    kinds = [step for step in plan.changes if step.obj["kind"] == WORKSPACE_KINDS.kind]
    for step in (step for step in plan.changes if step not in kinds):
        await _apply(cluster, step, tell)
        if step.obj["kind"] == CUSTOM_RESOURCE_DEFINITIONS.kind:
            await _until(cluster, step, _established, "is not served yet", seconds)
    for step in plan.steps:
        if (
            step.action in ("create", "change", "keep")
            and (check := _CHECKS.get(step.obj["kind"])) is not None
        ):
            await _until(cluster, step, check, "is not ready", seconds)
            tell(f"ready   {step.title}")
    for step in kinds:  # the webhook must answer before it can let them pass
        await _apply(cluster, step, tell)


async def _apply(cluster: Cluster, step: Step, tell: Tell) -> None:
    await cluster.apply(step.resource, step.obj, manager=MANAGER)
    tell(f"{'created' if step.action == 'create' else 'changed'} {step.title}")


async def delete(cluster: Cluster, plan: Plan, tell: Tell, seconds: float) -> None:
    """Raises `ClusterError`, and `NotReady` when something is still there after `seconds`."""
    for step in plan.changes:
        metadata = step.obj["metadata"]
        if metadata["name"] == crd_name(WORKSPACE_KINDS):
            await _let_go_of_kinds(cluster)
        try:
            await cluster.delete(
                step.resource, metadata["name"], metadata.get("namespace"), propagation="Foreground"
            )
        except NotFound:
            continue
        if step.obj["kind"] in ("CustomResourceDefinition", "Deployment", "Namespace"):
            await _until(cluster, step, _gone, "is still there", seconds)
        tell(f"deleted {step.title}")


async def _let_go_of_kinds(cluster: Cluster) -> None:
    """Their finalizer is the controller's to take away, and that is gone by now; no workspace is left that needs them."""
    try:
        found = (await cluster.list(WORKSPACE_KINDS)).items
    except NotFound:
        return
    for kind in found:
        held = kind["metadata"].get("finalizers") or []
        if metadata_keys.KIND_PROTECTION in held:
            left = [finalizer for finalizer in held if finalizer != metadata_keys.KIND_PROTECTION]
            metadata = {"finalizers": left, "resourceVersion": kind["metadata"]["resourceVersion"]}
            await cluster.patch(WORKSPACE_KINDS, kind["metadata"]["name"], {"metadata": metadata})


async def _until(
    cluster: Cluster,
    step: Step,
    holds: Callable[[Cluster, Object | None], Awaitable[str | None]],
    what: str,
    seconds: float,
) -> None:
    metadata, why = step.obj["metadata"], ""
    try:
        async with timeout(seconds):
            while True:
                try:
                    held: Object | None = await cluster.get(
                        step.resource, metadata["name"], metadata.get("namespace")
                    )
                except NotFound:
                    held = None
                why = await holds(cluster, held) or ""
                if not why:
                    return
                await asyncio.sleep(LOOK_SECONDS)
    except asyncio.TimeoutError as error:
        raise NotReady(f"{step.title} {what} after {seconds:g} s: {why}") from error


async def _gone(cluster: Cluster, held: Object | None) -> str | None:
    if held is None:
        return None
    left = held["metadata"].get("finalizers") or []
    return f"it waits for {', '.join(left)}" if left else "it is being deleted"


async def _established(cluster: Cluster, held: Object | None) -> str | None:
    conditions = {
        found["type"]: found for found in ((held or {}).get("status") or {}).get("conditions") or ()
    }
    for wanted in ("NamesAccepted", "Established"):
        found = conditions.get(wanted) or {}
        if found.get("status") != "True":
            return str(found.get("message") or f"{wanted} is not true yet")
    return None


async def _rolled_out(cluster: Cluster, held: Object | None) -> str | None:
    status, spec = (held or {}).get("status") or {}, (held or {}).get("spec") or {}
    wanted = spec.get("replicas", 1)
    if held is not None and status.get("observedGeneration", 0) >= held["metadata"]["generation"]:
        if (
            status.get("updatedReplicas", 0) >= wanted
            and status.get("availableReplicas", 0) >= wanted
            and status.get("replicas", 0) == wanted
        ):
            return None
        return (
            await _why_no_pods(cluster, held)
            or f"{status.get('availableReplicas', 0)} of {wanted} pods are available"
        )
    return "the cluster has not begun with it"


async def _why_no_pods(cluster: Cluster, deployment: Object) -> str | None:
    """What its pods wait for, in the cluster's words."""
    labels = ",".join(
        f"{name}={value}" for name, value in deployment["spec"]["selector"]["matchLabels"].items()
    )
    try:
        pods = (
            await cluster.list(PODS, deployment["metadata"]["namespace"], label_selector=labels)
        ).items
    except ClusterError:
        return None
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            if waiting := (container.get("state") or {}).get("waiting"):
                return f"pod {pod['metadata']['name']}: {waiting.get('reason', '')} {waiting.get('message', '')}".strip()
        for condition in (pod.get("status") or {}).get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] != "True":
                return f"pod {pod['metadata']['name']}: {condition.get('message', '')}"
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return str(condition.get("message") or "")
    return None


async def _trusted(cluster: Cluster, held: Object | None) -> str | None:
    if all(
        (webhook.get("clientConfig") or {}).get("caBundle")
        for webhook in (held or {}).get("webhooks") or ()
    ):
        return None
    return "the controller has not told its certificate yet; its log says why (kubectl -n jupyter-workspaces logs deploy/jupyter-workspaces-controller)"


_CHECKS: dict[str, Callable[[Cluster, Object | None], Awaitable[str | None]]] = {
    CUSTOM_RESOURCE_DEFINITIONS.kind: _established,
    DEPLOYMENTS.kind: _rolled_out,
    VALIDATING_WEBHOOKS.kind: _trusted,
}
