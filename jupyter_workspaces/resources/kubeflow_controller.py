"""Recognizes Kubeflow's own workspace controller by its Deployment or its Lease.

Two controllers must not reconcile the same Workspaces. While Kubeflow's runs, ours pauses its work
(`controller/kubeflow_watch.py`) and an installation leaves ours out (`install/plan.py`). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from jupyter_workspaces.kube.types import ObjectView

DEPLOYMENT = "workspaces-controller"
LEASE = "kubeflow-workspace-controller"
_DEFAULT_LEASE_SECONDS = 15.0


def find_running(
    deployments: Iterable[ObjectView], leases: Iterable[ObjectView], now: datetime | None = None
) -> str | None:
    """Describe where Kubeflow's controller runs, for people; None if it does not run.

    Args:
        deployments: Deployments named `DEPLOYMENT`; one counts if it wants at least one pod.
        leases: Leases named `LEASE`; one counts if its holder still renews it.
        now: current time, for tests.
    """
    now = now or datetime.now(timezone.utc)
    for deployment in deployments:
        if deployment["spec"].get("replicas", 1) > 0:
            return f"Deployment {_place(deployment)}"
    for lease in leases:
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity") or not spec.get("renewTime"):
            continue
        try:
            renewed = datetime.fromisoformat(spec["renewTime"].replace("Z", "+00:00"))
        except ValueError:
            continue  # no component of Kubernetes writes such a time
        lease_seconds = float(spec.get("leaseDurationSeconds") or _DEFAULT_LEASE_SECONDS)
        if (now - renewed).total_seconds() < 2 * lease_seconds:
            return f"{spec['holderIdentity']}, which holds the lease {_place(lease)}"
    return None


def _place(obj: ObjectView) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
