"""Admission of new pods: service account and token, tolerations, priority.

Source: Kubernetes docs, "Admission Control in Kubernetes": ServiceAccount,
DefaultTolerationSeconds, Priority, RuntimeClass.
"""

from __future__ import annotations

import random

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.store.store import Store

from .pod_defaults import FILE_MODE, containers_of

DEFAULT_ACCOUNT = "default"
VOLUME_PREFIX = "kube-api-access-"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # a path, no secret
TOKEN_SECONDS = 3607
"""Lifetime of mounted tokens; not a round hour, so that they can be distinguished."""

TOLERATED_SECONDS = 300
PRIORITIES = {
    "": 0,
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}
"""The priority classes of every cluster. This one has no others."""

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_NOT_READY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def admit(store: Store, pod: Object) -> None:
    """Complete a new pod, in place.

    Raises:
        Refusal: 403 if it is not allowed.
    """
    spec = pod["spec"]
    _admit_account(store, pod, spec)
    _admit_priority(pod, spec)
    _admit_tolerations(spec)
    _refuse_runtime(pod, spec)


def keep(pod: Object, old: Object) -> None:
    """Fill in the fields that an update of a pod leaves out, in place."""
    for field in ("priority", "preemptionPolicy"):
        if field in old["spec"]:
            pod["spec"].setdefault(field, old["spec"][field])
    _admit_tolerations(pod["spec"])


def _refused(pod: Object, why: str) -> status.Refusal:
    return status.forbidden(catalog.PODS, pod["metadata"]["name"], why)


def _admit_account(store: Store, pod: Object, spec: Object) -> None:
    name = spec.get("serviceAccountName") or DEFAULT_ACCOUNT
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    namespace = pod["metadata"]["namespace"]
    stored = store.get(catalog.SERVICE_ACCOUNTS.plural, namespace, name)
    # A controller creates the default account shortly after the namespace. A real API server waits
    # for it. Here a write never waits, and the content of a new default account is known.
    if stored is None and name != DEFAULT_ACCOUNT:
        raise _refused(
            pod,
            f"error looking up service account {namespace}/{name}: "
            f'serviceaccount "{name}" not found',
        )
    account = {} if stored is None else stored.decode()
    if spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)):
        _mount_token(spec)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [
            {"name": secret.get("name", "")} for secret in account["imagePullSecrets"]
        ]


def _mount_token(spec: Object) -> None:
    """Mount the token, except where something is already mounted at its path."""
    volumes = spec.get("volumes") or []
    held = next(
        (volume["name"] for volume in volumes if volume["name"].startswith(VOLUME_PREFIX)), None
    )
    name = held or VOLUME_PREFIX + "".join(random.choices(_SUFFIX_LETTERS, k=5))
    without = [
        container
        for container in containers_of(spec)
        if not any(
            mount["mountPath"] == TOKEN_PATH for mount in container.get("volumeMounts") or ()
        )
    ]
    for container in without:
        mount = {"name": name, "readOnly": True, "mountPath": TOKEN_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    if without and held is None:
        spec["volumes"] = [
            *volumes,
            {"name": name, "projected": {"sources": _sources(), "defaultMode": FILE_MODE}},
        ]


def _sources() -> list[Object]:
    namespace = {
        "path": "namespace",
        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
    }
    return [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


def _admit_priority(pod: Object, spec: Object) -> None:
    name = spec.get("priorityClassName", "")
    if name not in PRIORITIES:
        raise _refused(pod, f"no PriorityClass with name {name} was found")
    computed = (("priority", PRIORITIES[name]), ("preemptionPolicy", "PreemptLowerPriority"))
    for field, value in computed:
        if spec.setdefault(field, value) != value:
            raise _refused(
                pod,
                f"{field} ({spec[field]}) must not be given in a pod's spec: "
                f"its PriorityClass has {value}",
            )


def _admit_tolerations(spec: Object) -> None:
    """Let the pod stay five minutes on a node that is not ready, unless it has own tolerations."""
    held = spec.get("tolerations") or []
    missing = [
        {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": TOLERATED_SECONDS,
        }
        for key in _NOT_READY
        if not any(
            one.get("key", "") in ("", key) and one.get("effect", "") in ("", "NoExecute")
            for one in held
        )
    ]
    if missing:
        spec["tolerations"] = [*held, *missing]


def _refuse_runtime(pod: Object, spec: Object) -> None:
    """Reject runtime classes, which do not exist here, and overhead, which only they define."""
    if name := spec.get("runtimeClassName"):
        raise _refused(pod, f'pod rejected: RuntimeClass "{name}" not found')
    if spec.get("overhead"):
        raise _refused(
            pod,
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        )
