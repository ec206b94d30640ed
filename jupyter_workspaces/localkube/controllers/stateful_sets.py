"""StatefulSets: pods with stable names and claims.

Pods are created in order, and replaced when they end or their template changes (Kubernetes docs,
“StatefulSets”).
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import time

from jupyter_workspaces.kube.catalog import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    NotFound,
    Unreachable,
)
from jupyter_workspaces.kube.event_recorder import record
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.kube.work_queue import WorkQueue

from .informers import (
    Informers,
    controller_of,
    finished,
    ready,
    wait_listed,
)

COMPONENT = "statefulset-controller"
POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
REVISION = "controller-revision-hash"

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0


class StatefulSets:
    """The controller that creates the pods of StatefulSets.

    A pod that ended is created again after 1 s, 2 s, … 300 s; a pod that gets ready resets this
    backoff.
    """

    def __init__(self, cluster: Cluster, informers: Informers) -> None:
        """Create the controller; `run` starts it."""
        self._cluster = cluster
        self._sets = informers.of(STATEFUL_SETS)
        self._pods = informers.of(PODS)
        self._queue: WorkQueue[Key] = WorkQueue("stateful sets")
        self._of_set: dict[str, set[Key]] = {}
        self._ended: dict[tuple[str, int], tuple[int, float]] = {}

    async def run(self) -> None:
        """Run until cancelled."""
        unsubscribe = (self._sets.listen(self._set_changed), self._pods.listen(self._pod_changed))
        try:
            for pod in self._pods.items():
                self._index(pod)
            await wait_listed(self._sets, self._pods)
            for found in self._sets.items():
                self._queue.add(key_of(found))
            await self._queue.run(self._reconcile)
        finally:
            for stop in unsubscribe:
                stop()

    def _set_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        if change == "DELETED":
            uid = obj["metadata"]["uid"]
            self._ended = {key: value for key, value in self._ended.items() if key[0] != uid}
        self._queue.add(key_of(obj))

    def _pod_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        namespace = obj["metadata"]["namespace"]
        for pod in (obj, previous):
            if (
                pod is not None
                and (owner := controller_of(pod)) is not None
                and owner["kind"] == STATEFUL_SETS.kind
            ):
                self._queue.add((namespace, owner["name"]))
                if change == "DELETED":
                    self._of_set.get(owner["uid"], set()).discard(key_of(pod))
                    if not self._of_set.get(owner["uid"]):
                        self._of_set.pop(owner["uid"], None)
        if change != "DELETED":
            self._index(obj)
        if controller_of(obj) is None and (match := _ORDINAL.fullmatch(obj["metadata"]["name"])):
            self._queue.add((namespace, match[1]))

    def _index(self, pod: Object) -> None:
        owner = controller_of(pod)
        if owner is not None:
            self._of_set.setdefault(owner["uid"], set()).add(key_of(pod))

    async def _reconcile(self, key: Key) -> float | None:
        namespace, name = key
        found = self._sets.get(name, namespace)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        pods = await self._owned(found)
        await self._scale_down(found, pods)
        pause = await self._scale_up(found, pods)
        await self._update_pods(found, pods)
        await self._write_status(found, pods)
        return pause

    async def _owned(self, found: Object) -> dict[int, Object]:
        """Return the set's pods by ordinal, adopting matching pods without an owner."""
        metadata = found["metadata"]
        pods = {}
        for namespace, name in sorted(self._of_set.get(metadata["uid"], ())):
            pod, ordinal = self._pods.get(name, namespace), _ordinal(found, name)
            if pod is not None and ordinal is not None:
                pods[ordinal] = pod
        for ordinal in _ordinals(found):
            pod = self._pods.get(f"{metadata['name']}-{ordinal}", metadata["namespace"])
            if (
                ordinal not in pods
                and pod is not None
                and controller_of(pod) is None
                and _selects(found, pod)
            ):
                references = [*(pod["metadata"].get("ownerReferences") or ()), _reference(found)]
                patch = {
                    "metadata": {
                        "ownerReferences": references,
                        "resourceVersion": pod["metadata"]["resourceVersion"],
                    }
                }
                pods[ordinal] = await self._cluster.patch(
                    PODS, pod["metadata"]["name"], patch, metadata["namespace"]
                )
                self._pods.apply(pods[ordinal])
        return pods

    async def _scale_up(self, found: Object, pods: dict[int, Object]) -> float | None:
        """Create missing pods in order and delete those that ended.

        Returns the seconds until the backoff of a pod that ended is over.
        """
        ordered = found["spec"].get("podManagementPolicy") != "Parallel"
        pause: float | None = None
        for ordinal in _ordinals(found):
            pod, key = pods.get(ordinal), (found["metadata"]["uid"], ordinal)
            if pod is not None and ready(pod):
                self._ended.pop(key, None)
                continue
            count, not_before = self._ended.get(key, (0, 0.0))
            if pod is None and (wait := not_before - time.monotonic()) > 0:
                pause = min(pause or wait, wait)
            elif pod is None:
                pods[ordinal] = await self._create(found, ordinal)
            elif finished(pod) and not pod["metadata"].get("deletionTimestamp"):
                self._ended[key] = (
                    count + 1,
                    time.monotonic() + min(FIRST_PAUSE * 2**count, LONGEST_PAUSE),
                )
                await self._delete(
                    found,
                    pod,
                    f"it ended ({pod['status'].get('reason') or pod['status']['phase']})",
                )
            if ordered:
                break
        return pause

    async def _scale_down(self, found: Object, pods: dict[int, Object]) -> None:
        """Delete pods beyond the number of replicas, the highest ordinal first."""
        unwanted = [
            pods[ordinal]
            for ordinal in sorted(pods, reverse=True)
            if ordinal not in _ordinals(found)
        ]
        if found["spec"].get("podManagementPolicy") != "Parallel":
            unwanted = unwanted[:1]
        for pod in unwanted:
            if not pod["metadata"].get("deletionTimestamp"):
                await self._delete(found, pod, "the set was scaled down")
                if (found["spec"].get("persistentVolumeClaimRetentionPolicy") or {}).get(
                    "whenScaled"
                ) == "Delete":
                    await self._delete_claims(found, pod)

    async def _update_pods(self, found: Object, pods: dict[int, Object]) -> None:
        """Replace a pod of an older template, the highest ordinal first, while all are ready.

        Pods that are not ready are replaced first: they may never get ready otherwise.
        """
        strategy = found["spec"].get("updateStrategy") or {}
        partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
        wanted = [pods.get(ordinal) for ordinal in _ordinals(found)]
        old = [
            pods[ordinal]
            for ordinal in sorted(pods, reverse=True)
            if ordinal >= partition and _is_old(found, pods[ordinal])
        ]
        if strategy.get("type") == "OnDelete" or any(
            pod is not None and pod["metadata"].get("deletionTimestamp") for pod in wanted
        ):
            return
        stuck = [pod for pod in old if not ready(pod)]
        if stuck:
            await self._delete(found, stuck[0], "its template changed")
        elif old and all(pod is not None and ready(pod) for pod in wanted):
            await self._delete(found, old[0], "its template changed")

    async def _create(self, found: Object, ordinal: int) -> Object:
        namespace = found["metadata"]["namespace"]
        pod = make_pod(found, ordinal)
        name = pod["metadata"]["name"]
        try:
            for claim in make_claims(found, name):
                try:
                    await self._cluster.create(PERSISTENT_VOLUME_CLAIMS, claim, namespace)
                except AlreadyExists:
                    continue
            created = await self._cluster.create(PODS, pod, namespace)
        except AlreadyExists:
            held = await self._cluster.get(PODS, name, namespace)
            owner = controller_of(held)
            if owner is not None and owner["uid"] == found["metadata"]["uid"]:
                self._pods.apply(held)
                return held
            raise Conflict(f"pod {name} exists already and has another owner") from None
        except (Conflict, Unreachable):
            raise
        except ClusterError as error:
            await record(
                self._cluster,
                found,
                "Warning",
                "FailedCreate",
                f"Cannot create pod {name}: {error}",
                component=COMPONENT,
            )
            raise
        self._pods.apply(created)
        await record(
            self._cluster,
            found,
            "Normal",
            "SuccessfulCreate",
            f"Created pod {name}",
            component=COMPONENT,
        )
        return created

    async def _delete(self, found: Object, pod: Object, why: str) -> None:
        metadata = pod["metadata"]
        try:
            await self._cluster.delete(
                PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
            )
        except NotFound:
            return
        await record(
            self._cluster,
            found,
            "Normal",
            "SuccessfulDelete",
            f"Deleted pod {metadata['name']}: {why}",
            component=COMPONENT,
        )

    async def _delete_claims(self, found: Object, pod: Object) -> None:
        for template in found["spec"].get("volumeClaimTemplates") or ():
            name = f"{template['metadata']['name']}-{pod['metadata']['name']}"
            try:
                await self._cluster.delete(
                    PERSISTENT_VOLUME_CLAIMS, name, pod["metadata"]["namespace"]
                )
            except NotFound:
                continue

    async def _write_status(self, found: Object, pods: dict[int, Object]) -> None:
        living = [pod for pod in pods.values() if not pod["metadata"].get("deletionTimestamp")]
        updated = sum(1 for pod in living if not _is_old(found, pod))
        old, newest = found.get("status") or {}, revision(found)
        available = sum(1 for pod in living if ready(pod))
        complete = updated == len(living)
        status = {
            "observedGeneration": found["metadata"].get("generation", 1),
            "replicas": len(pods),
            "readyReplicas": available,
            "availableReplicas": available,
            "updatedReplicas": updated,
            "currentReplicas": updated if complete else len(living) - updated,
            "currentRevision": newest if complete else old.get("currentRevision") or newest,
            "updateRevision": newest,
            "collisionCount": 0,
        }
        if {**old, **status} == old:
            return
        metadata = found["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": status}
        written = await self._cluster.patch(
            STATEFUL_SETS, metadata["name"], body, metadata["namespace"], subresource="status"
        )
        self._sets.apply(written)


_ORDINAL = re.compile(r"(.+)-(\d+)")


def revision(found: Object) -> str:
    """Return the name of a set's template revision, which is valid as a label."""
    digest = hashlib.sha256(
        json.dumps(found["spec"]["template"], sort_keys=True).encode()
    ).hexdigest()[:10]
    return f"{found['metadata']['name'][:52]}-{digest}"


def make_pod(found: Object, ordinal: int) -> Object:
    """Return the manifest of the pod with an ordinal."""
    metadata, template = found["metadata"], copy.deepcopy(found["spec"]["template"])
    name = f"{metadata['name']}-{ordinal}"
    held, spec = template.get("metadata") or {}, template["spec"]
    labels = (held.get("labels") or {}) | {
        POD_NAME: name,
        POD_INDEX: str(ordinal),
        REVISION: revision(found),
    }
    spec["hostname"] = name
    if found["spec"].get("serviceName"):
        spec["subdomain"] = found["spec"]["serviceName"]
    claims = {
        claim["metadata"]["name"]: f"{claim['metadata']['name']}-{name}"
        for claim in found["spec"].get("volumeClaimTemplates") or ()
    }
    if claims:
        kept = [volume for volume in spec.get("volumes") or () if volume["name"] not in claims]
        spec["volumes"] = kept + [
            {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
            for volume, claim in claims.items()
        ]
    pod_metadata: Object = {
        "name": name,
        "namespace": metadata["namespace"],
        "labels": labels,
        "ownerReferences": [_reference(found)],
    }
    pod_metadata |= {
        field: held[field] for field in ("annotations", "finalizers") if held.get(field)
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": pod_metadata, "spec": spec}


def make_claims(found: Object, pod_name: str) -> list[Object]:
    """Return the claims of a pod. They outlive the set unless its retention policy deletes them."""
    policy = found["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    made = []
    for template in found["spec"].get("volumeClaimTemplates") or ():
        held = template["metadata"]
        labels = (held.get("labels") or {}) | (
            (found["spec"].get("selector") or {}).get("matchLabels") or {}
        )
        metadata: Object = {
            "name": f"{held['name']}-{pod_name}",
            "namespace": found["metadata"]["namespace"],
            "labels": labels,
        }
        if held.get("annotations"):
            metadata["annotations"] = held["annotations"]
        if policy.get("whenDeleted") == "Delete":
            metadata["ownerReferences"] = [_reference(found)]
        made.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata,
                "spec": copy.deepcopy(template["spec"]),
            }
        )
    return made


def _reference(found: Object) -> Object:
    metadata = found["metadata"]
    return {
        "apiVersion": STATEFUL_SETS.api_version,
        "kind": STATEFUL_SETS.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _ordinals(found: Object) -> range:
    """Return the ordinals of the replicas."""
    start = int((found["spec"].get("ordinals") or {}).get("start") or 0)
    return range(start, start + int(found["spec"]["replicas"]))


def _ordinal(found: Object, pod_name: str) -> int | None:
    match = _ORDINAL.fullmatch(pod_name)
    return int(match[2]) if match and match[1] == found["metadata"]["name"] else None


def _is_old(found: Object, pod: Object) -> bool:
    return (pod["metadata"].get("labels") or {}).get(REVISION) != revision(found)


def _selects(found: Object, pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    wanted = (found["spec"].get("selector") or {}).get("matchLabels") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())
