"""The controller as a process on a real cluster, with the permissions of `deploy/`."""

from __future__ import annotations

import base64
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from control_plane import HOST, ControlPlane
from cryptography import x509
from deployed_controller import (
    DeployedController,
    account_kubeconfig,
    apply,
    install,
    requests,
)
from real_cluster import RealCluster
from waiting import until_sync

from jupyter_workspaces.common.signing import Pair, make_server
from jupyter_workspaces.controller.webhook_certificate import AUTHORITY, SERVER, SERVER_KEY
from jupyter_workspaces.install import manifests
from jupyter_workspaces.kube.catalog import DEPLOYMENTS, SECRETS, VALIDATING_WEBHOOKS
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import bundled
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

pytestmark = pytest.mark.slow


NAMESPACE = "deployed"
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE")
WRITTEN = (
    "workspaces",
    "workspaces/status",
    "serviceaccounts",
    "secrets",
    "services",
    "statefulsets",
)
WATCHED = 12
CROWD = 40


@pytest.fixture(scope="module")
def plane(real_cluster: RealCluster) -> Iterator[ControlPlane]:
    own = real_cluster.require_own()
    own.simulated_nodes(1)
    install(own)
    apply(own, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for kind in (
        obj
        for obj in bundled.samples()
        if obj["kind"] == "WorkspaceKind" and obj["metadata"]["name"] == "jupyterlab"
    ):
        kind["spec"]["podTemplate"].pop("activityProbe", None)
        kind["spec"].pop("activityRules", None)
        apply(own, kind)
    yield own
    for workspace in own.ask("GET", WORKSPACES.path(NAMESPACE))[1]["items"]:
        own.ask("DELETE", WORKSPACES.path(NAMESPACE, workspace["metadata"]["name"]))
    own.ask(
        "PATCH",
        WORKSPACE_KINDS.path(name="jupyterlab"),
        {"metadata": {"finalizers": None}},
        media="application/merge-patch+json",
    )
    for path in (
        WORKSPACE_KINDS.path(name="jupyterlab"),
        f"/api/v1/namespaces/{NAMESPACE}",
        "/api/v1/nodes/simulated-0",
    ):
        own.ask("DELETE", path)


@pytest.fixture
def controllers(plane: ControlPlane) -> Iterator[list[DeployedController]]:
    """Stop the controllers that a test adds to the list, and delete their webhook.

    Otherwise the writes of later tests would wait for it.
    """
    started: list[DeployedController] = []
    yield started
    plane.ask("DELETE", VALIDATING_WEBHOOKS.path(name=manifests.NAMESPACE))
    for controller in started:
        controller.stop()


def workspace(name: str, **spec: Any) -> Object:
    options = {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"}
    whole = {
        "kind": "jupyterlab",
        "podTemplate": {"volumes": {"data": []}, "options": options},
        **spec,
    }
    return {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": whole,
    }


def state(plane: ControlPlane, name: str) -> str | None:
    found = plane.ask("GET", WORKSPACES.path(NAMESPACE, name))[1]
    return (found.get("status") or {}).get("state")


def start(plane: ControlPlane, *arguments: str, webhook: bool = False) -> DeployedController:
    return DeployedController(plane, account_kubeconfig(plane), *arguments, webhook=webhook)


def test_the_permissions_of_deploy_suffice_for_the_life_of_a_workspace(
    plane: ControlPlane, controllers: list[DeployedController]
) -> None:
    controllers.append(start(plane).ready())
    assert plane.ask("POST", WORKSPACES.path(NAMESPACE), workspace("whole"))[0] == 201
    until_sync(lambda: state(plane, "whole") == "Running", "a running workspace")
    patch = {"spec": {"paused": True}}
    plane.ask(
        "PATCH", WORKSPACES.path(NAMESPACE, "whole"), patch, media="application/merge-patch+json"
    )
    until_sync(lambda: state(plane, "whole") == "Paused", "a paused workspace")
    plane.ask("DELETE", WORKSPACES.path(NAMESPACE, "whole"))
    until_sync(
        lambda: plane.ask("GET", WORKSPACES.path(NAMESPACE, "whole"))[0] == 404, "no workspace"
    )
    assert "forbidden" not in controllers[0].log
    assert controllers[0].stop() == 0


def test_the_webhook_applies_the_rules_with_its_own_certificate(
    plane: ControlPlane, controllers: list[DeployedController]
) -> None:
    controllers.append(start(plane, webhook=True).ready())
    controllers[0].configure_webhook()
    until_sync(lambda: _bundle(plane), "a caBundle")
    until_sync(lambda: _refused(plane)[0] == 422, "an answer of the webhook")

    code, answer = _refused(plane)

    assert (code, answer["reason"], answer["details"]["causes"][0]["field"]) == (
        422,
        "Invalid",
        "spec.kind",
    )
    assert "no-such-kind" in answer["message"]
    plane.ask("POST", WORKSPACES.path(NAMESPACE), workspace("user"))
    code, answer = plane.ask("DELETE", WORKSPACE_KINDS.path(name="jupyterlab"))
    assert (code, answer["reason"]) == (409, "Conflict")
    plane.ask("DELETE", WORKSPACES.path(NAMESPACE, "user"))


def test_a_certificate_is_renewed_while_reviews_continue(
    plane: ControlPlane, controllers: list[DeployedController]
) -> None:
    controllers.append(start(plane, webhook=True).ready())
    controllers[0].configure_webhook()
    until_sync(lambda: _refused(plane)[0] == 422, "an answer of the webhook")
    secret = plane.ask("GET", SECRETS.path(manifests.NAMESPACE, "jupyter-workspaces-webhook"))[1]
    data = {key: base64.b64decode(value) for key, value in secret["data"].items()}
    authority = Pair.load(data[AUTHORITY], data["ca.key"])
    old = x509.load_pem_x509_certificate(data[SERVER])
    names = tuple(old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    soon = make_server(authority, HOST, names, 5)
    secret["data"] |= {SERVER: _encoded(soon.certificate_pem), SERVER_KEY: _encoded(soon.key_pem)}

    plane.ask("PUT", SECRETS.path(manifests.NAMESPACE, "jupyter-workspaces-webhook"), secret)

    until_sync(
        lambda: _served_serial(plane) not in (old.serial_number, soon.certificate.serial_number),
        "a renewed certificate",
    )
    assert _refused(plane)[0] == 422
    plane.ask("DELETE", SECRETS.path(manifests.NAMESPACE, "jupyter-workspaces-webhook"))
    until_sync(lambda: _bundle(plane) not in (None, _encoded(data[AUTHORITY])), "a new authority")
    until_sync(lambda: _refused(plane)[0] == 422, "an answer under the new authority")


def test_another_instance_takes_over_from_a_killed_leader(
    plane: ControlPlane, controllers: list[DeployedController]
) -> None:
    controllers += [start(plane, "--lease-seconds", "3").ready() for _ in range(2)]
    until_sync(lambda: any(one.leads() for one in controllers), "a leader")
    leader, other = sorted(controllers, key=lambda one: not one.leads())
    assert not other.leads()

    leader.stop(signal.SIGKILL)

    until_sync(other.leads, "another leader")
    plane.ask("POST", WORKSPACES.path(NAMESPACE), workspace("after"))
    until_sync(lambda: state(plane, "after") == "Running", "a running workspace")
    plane.ask("DELETE", WORKSPACES.path(NAMESPACE, "after"))


def test_the_controller_pauses_while_kubeflows_runs(
    plane: ControlPlane, controllers: list[DeployedController]
) -> None:
    apply(
        plane,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeflow-workspaces"}},
    )
    labels = {"app": "kubeflow"}
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "manager", "image": "workspaces-controller"}]},
    }
    kubeflow = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "workspaces-controller", "namespace": "kubeflow-workspaces"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
    }
    controllers.append(start(plane).ready())
    until_sync(controllers[0].leads, "a leader")

    apply(plane, kubeflow)
    try:
        until_sync(lambda: not controllers[0].leads(), "a controller that stands back")
        until_sync(
            lambda: controllers[0].metric("jupyter_workspaces_stands_back") == 1,
            "a metric that says so",
        )
        plane.ask("POST", WORKSPACES.path(NAMESPACE), workspace("theirs"))
        time.sleep(2)
        assert state(plane, "theirs") is None
    finally:
        plane.ask("DELETE", DEPLOYMENTS.path("kubeflow-workspaces", "workspaces-controller"))
    until_sync(lambda: state(plane, "theirs") == "Running", "a workspace that ours runs again")
    plane.ask("DELETE", WORKSPACES.path(NAMESPACE, "theirs"))


def test_many_workspaces_start_with_few_writes_and_then_none(
    plane: ControlPlane, controllers: list[DeployedController]
) -> None:
    controllers.append(start(plane, "--lease-seconds", "60").ready())
    until_sync(controllers[0].leads, "a leader")
    before = requests(plane, WRITES, WRITTEN)

    for number in range(CROWD):
        assert plane.ask("POST", WORKSPACES.path(NAMESPACE), workspace(f"crowd-{number}"))[0] == 201
    until_sync(
        lambda: controllers[0].metric("jupyter_workspaces_workspaces", state="Running") == CROWD,
        "a running crowd",
        120,
    )
    time.sleep(5)
    writes = requests(plane, WRITES, WRITTEN) - before - CROWD

    assert writes <= 12 * CROWD
    asked, served = (
        controllers[0].metric("jupyter_workspaces_api_requests_total"),
        requests(plane, WRITES, WRITTEN),
    )
    time.sleep(10)
    # A renewal of the lease, and of the watch of each type: those that are young are still short.
    assert controllers[0].metric("jupyter_workspaces_api_requests_total") - asked <= 2 + WATCHED
    assert requests(plane, WRITES, WRITTEN) == served
    assert controllers[0].metric("jupyter_workspaces_reconciles_total", result="failed") == 0


def _refused(plane: ControlPlane) -> tuple[int, Any]:
    return plane.ask(
        "POST",
        f"{WORKSPACES.path(NAMESPACE)}?dryRun=All",
        workspace("refused", kind="no-such-kind"),
    )


def _bundle(plane: ControlPlane) -> str | None:
    found = plane.ask("GET", VALIDATING_WEBHOOKS.path(name=manifests.NAMESPACE))[1]
    return found["webhooks"][0]["clientConfig"].get("caBundle")  # type: ignore[no-any-return]


def _served_serial(plane: ControlPlane) -> int:
    secret = plane.ask("GET", SECRETS.path(manifests.NAMESPACE, "jupyter-workspaces-webhook"))[1]
    return x509.load_pem_x509_certificate(base64.b64decode(secret["data"][SERVER])).serial_number


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
