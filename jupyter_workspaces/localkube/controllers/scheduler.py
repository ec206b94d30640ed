"""Scheduler: assigns each new pod to a node, or explains in its status why none fits."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.kube.catalog import NODES, PODS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import Conflict, NotFound
from jupyter_workspaces.kube.event_recorder import record
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.kube.work_queue import WorkQueue

from .informers import (
    Informers,
    condition,
    finished,
    ready,
    wait_listed,
)
from .node_fit import unschedulable_reason

NAME = "default-scheduler"
RETRY_SECONDS = 60.0


class Scheduler:
    """The scheduler. It has one worker, so that two pods cannot get the same GPU."""

    def __init__(self, cluster: Cluster, informers: Informers) -> None:
        """Create the scheduler; `run` starts it."""
        self._cluster = cluster
        self._pods = informers.of(PODS)
        self._nodes = informers.of(NODES)
        self._queue: WorkQueue[Key] = WorkQueue("scheduler")

    async def run(self) -> None:
        """Run until cancelled."""
        unsubscribe = (self._pods.listen(self._pod_changed), self._nodes.listen(self._node_changed))
        try:
            await wait_listed(self._pods, self._nodes)
            self._requeue_pending()
            await self._queue.run(self._reconcile, workers=1)
        finally:
            for stop in unsubscribe:
                stop()

    def _pod_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        if change == "DELETED" or finished(obj):
            self._requeue_pending()
        elif _is_pending(obj):
            self._queue.add(key_of(obj))

    def _node_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        # Nodes report often; only changes that matter for scheduling requeue the pods.
        if previous is None or _scheduling_facts(obj) != _scheduling_facts(previous):
            self._requeue_pending()

    def _requeue_pending(self) -> None:
        for pod in self._pods.items():
            if _is_pending(pod):
                self._queue.add(key_of(pod))

    async def _reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(key[1], key[0])
        if pod is None or not _is_pending(pod):
            return None
        reasons = []
        for node in sorted(self._nodes.items(), key=lambda found: str(found["metadata"]["name"])):
            name = node["metadata"]["name"]
            if not ready(node) or (node.get("spec") or {}).get("unschedulable"):
                reasons.append(f"the node {name} is not ready")
                continue
            others = [
                other
                for other in self._pods.items()
                if other["spec"].get("nodeName") == name and not finished(other)
            ]
            reason = unschedulable_reason(pod, node, others)
            if reason is None:
                await self._bind(pod, name)
                return None
            reasons.append(reason)
        await self._explain(pod, "; ".join(reasons) or "the local cluster has no node yet")
        return RETRY_SECONDS

    async def _bind(self, pod: Object, node: str) -> None:
        metadata = pod["metadata"]
        patch = {"metadata": {"uid": metadata["uid"]}, "spec": {"nodeName": node}}
        try:
            bound = await self._cluster.patch(PODS, metadata["name"], patch, metadata["namespace"])
        except (NotFound, Conflict):
            return  # deleted or replaced; the event of a new pod queues it
        self._pods.apply(bound)
        message = f"Assigned {metadata['namespace']}/{metadata['name']} to {node}"
        await record(self._cluster, pod, "Normal", "Scheduled", message, component=NAME)

    async def _explain(self, pod: Object, reason: str) -> None:
        message = f"The pod cannot be scheduled: {reason}."
        known = condition(pod, "PodScheduled")
        if known is not None and known["status"] == "False" and known.get("message") == message:
            return
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        unschedulable = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": now,
        }
        others = [
            found
            for found in (pod.get("status") or {}).get("conditions") or ()
            if found["type"] != "PodScheduled"
        ]
        metadata = pod["metadata"]
        patch = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": {"phase": "Pending", "conditions": [*others, unschedulable]},
        }
        try:
            self._pods.apply(
                await self._cluster.patch(
                    PODS, metadata["name"], patch, metadata["namespace"], subresource="status"
                )
            )
        except NotFound:
            return
        await record(self._cluster, pod, "Warning", "FailedScheduling", message, component=NAME)


def _is_pending(pod: Object) -> bool:
    spec, metadata = pod["spec"], pod["metadata"]
    ours = spec.get("schedulerName", NAME) == NAME
    return (
        ours
        and not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and not metadata.get("deletionTimestamp")
        and not finished(pod)
    )


def _scheduling_facts(node: Object) -> tuple[Any, ...]:
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return (
        ready(node),
        spec.get("unschedulable"),
        spec.get("taints"),
        node["metadata"].get("labels"),
        status.get("allocatable"),
    )
