"""Kubeflow's own controller is recognized by a Deployment that wants pods or a renewed Lease."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from jupyter_workspaces.resources.kubeflow_controller import find_running

RENEWED = datetime(2026, 1, 1, tzinfo=timezone.utc)


def lease(**spec: Any) -> dict[str, Any]:
    metadata = {"namespace": "kubeflow", "name": "kubeflow-workspace-controller"}
    held = {"holderIdentity": "b", "renewTime": "2026-01-01T00:00:00.000000Z"}
    return {"metadata": metadata, "spec": held | spec}


def deployment(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "kubeflow", "name": "workspaces-controller"}, "spec": spec}


@pytest.mark.parametrize(("spec", "running"), [({}, True), ({"replicas": 0}, False)])
def test_a_deployment_counts_if_it_wants_pods(spec: dict[str, Any], running: bool) -> None:
    found = find_running([deployment(**spec)], [])
    assert found == ("Deployment kubeflow/workspaces-controller" if running else None)


@pytest.mark.parametrize(("age", "running"), [(29, True), (31, False)])
def test_a_lease_counts_for_twice_its_duration(age: int, running: bool) -> None:
    now = RENEWED + timedelta(seconds=age)
    found = find_running([], [lease(leaseDurationSeconds=15)], now)
    expected = "b, which holds the lease kubeflow/kubeflow-workspace-controller"
    assert found == (expected if running else None)


def test_a_lease_without_a_holder_does_not_count() -> None:
    assert find_running([], [lease(holderIdentity="")], RENEWED) is None


def test_a_lease_with_an_invalid_time_is_skipped() -> None:
    invalid = lease(renewTime="yesterday")
    assert find_running([], [invalid], RENEWED) is None
    assert find_running([], [invalid, lease()], RENEWED) is not None
