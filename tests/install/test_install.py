"""Install, upgrade, uninstall and doctor on a real cluster."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from real_cluster import RealCluster
from shared_cluster import clean

from jupyter_workspaces.cli.main import cli
from jupyter_workspaces.install import manifests, plan, rollout
from jupyter_workspaces.install.doctor import Line, examine
from jupyter_workspaces.install.plan import MANAGER, Plan
from jupyter_workspaces.kube.catalog import (
    CLUSTER_ROLES,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    NAMESPACES,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint, from_kubeconfig
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

pytestmark = pytest.mark.slow


SECONDS = 30.0
CRD = plan.crd_name(WORKSPACES)


def quiet(text: str) -> None:
    return None


def without_pods() -> list[Object]:
    """Return the objects of an installation without those that need a running image."""
    return [
        obj
        for obj in manifests.all_objects()
        if obj["kind"] not in ("Deployment", "ValidatingWebhookConfiguration")
    ]


async def remove(cluster: Cluster, found: Plan) -> None:
    await rollout.delete(cluster, found, quiet, SECONDS)


@asynccontextmanager
async def empty(real: RealCluster) -> AsyncIterator[Cluster]:
    """Delete all objects of an installation, before and after."""
    async with Cluster(real.endpoint()) as cluster:

        async def clear() -> None:
            await clean(cluster)
            for obj in reversed(manifests.all_objects(header_authentication=True)):
                name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
                try:
                    await cluster.delete(manifests.resource(obj), name, namespace)
                except NotFound:
                    continue
            for resource, name in (
                (CUSTOM_RESOURCE_DEFINITIONS, CRD),
                (NAMESPACES, manifests.NAMESPACE),
            ):
                deadline = time.monotonic() + SECONDS
                while await there(cluster, resource, name):
                    assert time.monotonic() < deadline, f"{name} stays"

        await clear()
        try:
            yield cluster
        finally:
            await clear()


async def there(cluster: Cluster, resource: Any, name: str) -> bool:
    try:
        await cluster.get(resource, name)
    except NotFound:
        return False
    return True


def actions(found: Plan) -> set[str]:
    return {step.action for step in found.steps}


async def test_a_plan_writes_nothing_and_its_rollout_everything(
    real_cluster: RealCluster,
) -> None:
    async with empty(real_cluster) as cluster:
        objects = without_pods()
        found = await plan.to_install(cluster, objects)
        assert actions(found) == {"create"}
        assert not await there(cluster, NAMESPACES, manifests.NAMESPACE)

        await rollout.apply(cluster, found, quiet, SECONDS)

        again = await plan.to_install(cluster, objects)
        assert (actions(again), again.installed) == ({"keep"}, "0.1.0")


async def test_crds_can_be_installed_alone(real_cluster: RealCluster) -> None:
    async with empty(real_cluster) as cluster:
        found = await plan.to_install(cluster, manifests.all_objects(), crds_only=True)
        await rollout.apply(cluster, found, quiet, SECONDS)
        assert {step.obj["kind"] for step in found.steps} == {"CustomResourceDefinition"}
        assert (await cluster.list(WORKSPACES)).items == []


async def test_foreign_crds_are_not_changed(real_cluster: RealCluster) -> None:
    async with empty(real_cluster) as cluster:
        theirs = next(obj for obj in manifests.all_objects() if obj["metadata"]["name"] == CRD)
        theirs["metadata"]["labels"] = {"app.kubernetes.io/part-of": "kubeflow"}
        await cluster.apply(CUSTOM_RESOURCE_DEFINITIONS, theirs, manager="kubeflow")
        found = await plan.to_install(cluster, without_pods())
        assert [step.title for step in found.refusals] == [f"CustomResourceDefinition {CRD}"]
        assert "field managers: " in found.refusals[0].why
        assert "kubeflow" in found.refusals[0].why
        gone = await plan.to_uninstall(cluster, without_pods(), crds=True)
        assert [(step.action, step.title) for step in gone.steps] == [
            ("leave", f"CustomResourceDefinition {CRD}")
        ]


async def test_fields_of_another_manager_are_a_refusal(real_cluster: RealCluster) -> None:
    async with empty(real_cluster) as cluster:
        objects = without_pods()
        await rollout.apply(cluster, await plan.to_install(cluster, objects), quiet, SECONDS)
        role = next(obj for obj in objects if obj["metadata"]["name"] == "jupyter-workspaces-view")
        await cluster.apply(CLUSTER_ROLES, {**role, "rules": []}, manager="gitops", force=True)
        found = await plan.to_install(cluster, objects)
        assert [step.title for step in found.refusals] == ["ClusterRole jupyter-workspaces-view"]
        assert "gitops" in found.refusals[0].why


@pytest.mark.parametrize(
    ("there_is", "upgrade", "told"),
    [("9.0.0", True, "downgrade"), ("0.0.1", False, "upgrade"), ("0.0.1", True, "")],
)
async def test_only_an_older_installation_is_upgraded(
    real_cluster: RealCluster, there_is: str, upgrade: bool, told: str
) -> None:
    async with empty(real_cluster) as cluster:
        older = next(obj for obj in manifests.all_objects() if obj["metadata"]["name"] == CRD)
        older["metadata"]["labels"] |= {manifests.VERSION: there_is}
        await cluster.apply(CUSTOM_RESOURCE_DEFINITIONS, older, manager=MANAGER)
        found = await plan.to_install(cluster, without_pods(), upgrade=upgrade)
        assert [told in step.why for step in found.refusals] == ([True] if told else [])


async def test_beside_kubeflow_only_the_server_is_installed(real_cluster: RealCluster) -> None:
    async with empty(real_cluster) as cluster:
        labels = {"app": "kubeflow"}
        pod = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "manager", "image": "i"}]},
        }
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
        await cluster.create(
            DEPLOYMENTS, {"metadata": {"name": "workspaces-controller"}, "spec": spec}, "default"
        )
        try:
            found = await plan.to_install(cluster, manifests.all_objects())
            left = {step.obj["metadata"]["name"] for step in found.steps if step.action == "leave"}
            assert {
                CRD,
                plan.crd_name(WORKSPACE_KINDS),
                "jupyter-workspaces-controller",
                "jupyter-workspaces",
            } >= left - {"jupyter-workspaces-webhook"}
            made = {step.obj["metadata"]["name"] for step in found.steps if step.action == "create"}
            assert {"jupyter-workspaces-serve", "jupyter-workspaces-view"} <= made
            assert "jupyter-workspaces-controller" not in made
        finally:
            await cluster.delete(DEPLOYMENTS, "workspaces-controller", "default")


async def test_uninstall_keeps_workspaces_by_default(real_cluster: RealCluster) -> None:
    async with empty(real_cluster) as cluster:
        objects = without_pods()
        await rollout.apply(cluster, await plan.to_install(cluster, objects), quiet, SECONDS)
        kind = {
            "apiVersion": WORKSPACE_KINDS.api_version,
            "kind": "WorkspaceKind",
            "metadata": {"name": "k"},
            "spec": sample_spec(),
        }
        kind["metadata"]["finalizers"] = ["notebooks.kubeflow.org/workspacekind-protection"]
        await cluster.create(WORKSPACE_KINDS, kind)

        await remove(cluster, await plan.to_uninstall(cluster, objects))

        assert not await there(cluster, NAMESPACES, manifests.NAMESPACE)
        assert await there(cluster, WORKSPACE_KINDS, "k")
        await remove(cluster, await plan.to_uninstall(cluster, objects, crds=True))
        assert not await there(cluster, CUSTOM_RESOURCE_DEFINITIONS, plan.crd_name(WORKSPACE_KINDS))


def sample_spec() -> Object:
    return next(
        obj["spec"] for obj in manifests.all_objects(samples=True) if obj["kind"] == "WorkspaceKind"
    )  # type: ignore[no-any-return]


async def lines(endpoint: Endpoint) -> list[Line]:
    async with Cluster(endpoint) as cluster:
        return [line async for line in examine(cluster)]


def about(found: Iterable[Line], what: str) -> Line:
    return next(line for line in found if line.about == what)


async def test_doctor_tells_an_administrator_what_to_install(
    real_cluster: RealCluster,
) -> None:
    async with empty(real_cluster) as cluster:
        before = await lines(cluster.endpoint)
        assert (about(before, "definitions").state, about(before, "controller").state) == (
            "bad",
            "bad",
        )
        assert "jupyter workspaces install" in about(before, "definitions").next
        await rollout.apply(cluster, await plan.to_install(cluster, without_pods()), quiet, SECONDS)
        assert about(await lines(cluster.endpoint), "definitions") == Line(
            "good", "definitions", "installed, version 0.1.0"
        )


async def test_doctor_tells_a_user_which_permissions_are_missing(real_cluster: RealCluster) -> None:
    own = real_cluster.require_own()
    found = await lines(from_kubeconfig(own.person("stranger")))
    rights = [line for line in found if line.about == "rights"]
    assert "no permission to get, list, watch workspaces in default" in rights[0].found
    assert "jupyter-workspaces-edit" in rights[0].next
    assert about(found, "user").found.startswith("stranger")
    assert all(
        line.state != "bad" for line in found if line.about in ("controller", "webhook", "storage")
    )


async def test_doctor_ends_at_an_unreachable_cluster(real_cluster: RealCluster) -> None:
    found = await lines(replace(real_cluster.endpoint(), url="https://127.0.0.1:1"))
    assert [(line.state, line.about) for line in found] == [("bad", "cluster")]


def test_the_commands_show_their_plan_and_ask_for_confirmation(real_cluster: RealCluster) -> None:
    arguments = ["--kubeconfig", str(real_cluster.kubeconfig)]
    shown = CliRunner().invoke(cli, ["install", "--crds-only", "--dry-run", *arguments])
    assert "CustomResourceDefinition workspaces.kubeflow.org" in shown.output
    asked = CliRunner().invoke(cli, ["install", "--crds-only", *arguments])
    assert asked.exit_code in (1, 2), asked.output


def test_without_a_cluster_the_commands_say_how_to_choose_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JUPYTER_WORKSPACES_HOME", str(tmp_path / "none"))
    answer = CliRunner().invoke(cli, ["install", "--yes"])
    assert answer.exit_code == 2
    assert "KUBECONFIG" in answer.output + (answer.stderr or "")
