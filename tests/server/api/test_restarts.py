"""A restart is stored in the cluster until it is done, even if the server ends meanwhile."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone

import pytest
from real_api import RealApi
from requests_and_objects import Ask, Object, set_status, workspace
from waiting import until

from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.resources import metadata_keys, restarts

RESTART = "workspaces/default/desk/actions/restart"


def annotation(cluster: ApiServer) -> str | None:
    """The restart that the workspace is in, by the cluster."""
    return (stored(cluster)["metadata"].get("annotations") or {}).get(metadata_keys.RESTART)


def stored(cluster: ApiServer) -> Object:
    if isinstance(cluster, RealApi):
        pytest.skip("looks into the store")
    held = cluster.engine.store.get("workspaces.kubeflow.org", "default", "desk")
    assert held is not None
    return held.decode()


async def started(ask: Ask, name: str = "desk") -> bool:
    return not (await ask("GET", f"workspaces/default/{name}"))[1]["data"]["paused"]


async def test_restarts_at_once_are_one_restart_that_stands_in_the_cluster(
    ask: Ask, cluster: ApiServer
) -> None:
    await ask("POST", "workspaces/default", workspace())
    set_status(cluster, "desk", "Running")

    answers = await asyncio.gather(*(ask("POST", RESTART, {"data": {}}) for _ in range(5)))
    begun = annotation(cluster)
    again = await ask("POST", RESTART, {"data": {}})

    assert [code for code, _ in (*answers, again)] == [202] * 6
    assert begun is not None
    assert annotation(cluster) == begun
    assert stored(cluster)["spec"]["paused"] is True

    set_status(cluster, "desk", "Paused")
    await until(lambda: started(ask), "the start", 5)
    assert annotation(cluster) is None


async def test_a_restart_of_what_is_paused_starts_it(ask: Ask, cluster: ApiServer) -> None:
    await ask("POST", "workspaces/default", workspace(paused=True))
    set_status(cluster, "desk", "Paused")

    assert (await ask("POST", RESTART, {"data": {}}))[0] == 202

    await until(lambda: started(ask), "the start", 5)


async def test_pausing_in_a_restart_leaves_it_paused(
    ask: Ask, cluster: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "jupyter_workspaces.server.api.workspaces.workspaces.restarts.CONTROLLER_SECONDS",
        (0.1, 0.1),
    )
    for name in ("desk", "other"):
        await ask("POST", "workspaces/default", workspace(name))
        set_status(cluster, name, "Running")
        await ask("POST", f"workspaces/default/{name}/actions/restart", {"data": {}})

    assert await ask(
        "POST", "workspaces/default/desk/actions/pause", {"data": {"paused": True}}
    ) == (200, {"data": {"paused": True}})

    assert annotation(cluster) is None
    set_status(cluster, "desk", "Paused")
    set_status(cluster, "other", "Paused")
    # The server would start "desk" before "other", which stops later.
    await until(lambda: started(ask, "other"), "the start of the other workspace", 5)
    assert stored(cluster)["spec"]["paused"] is True


@pytest.mark.parametrize("way", ["PATCH", "pause action", "kubectl"])
async def test_whoever_starts_it_by_hand_ends_the_restart(
    ask: Ask, cluster: ApiServer, way: str
) -> None:
    """Else its next pause would end by itself."""
    await ask("POST", "workspaces/default", workspace())
    set_status(cluster, "desk", "Error")
    await ask("POST", RESTART, {"data": {}})

    if way == "PATCH":
        assert (
            await ask(
                "PATCH",
                "workspaces/default/desk",
                {"paused": False},
                media="application/merge-patch+json",
            )
        )[0] == 200
        assert annotation(cluster) is None
        return
    if way == "pause action":
        set_status(cluster, "desk", "Paused")
        assert (
            await ask("POST", "workspaces/default/desk/actions/pause", {"data": {"paused": False}})
        )[0] == 200
        assert annotation(cluster) is None
        return
    row = cluster.engine.registry.get("kubeflow.org", "v1beta1", "workspaces")
    assert row is not None
    cluster.engine.patch(
        row, "default", "desk", lambda held: held | {"spec": held["spec"] | {"paused": False}}
    )

    async def forgotten() -> bool:
        return annotation(cluster) is None

    await until(forgotten, "the annotation's end", 5)
    assert stored(cluster)["spec"]["paused"] is False


async def test_a_restart_that_another_server_began_is_finished(
    ask: Ask, cluster: ApiServer
) -> None:
    """The server died, and the controller (Kubeflow's) does not support restarts."""
    await ask("POST", "workspaces/default", workspace(paused=True))
    set_status(cluster, "desk", "Terminating")
    row = cluster.engine.registry.get("kubeflow.org", "v1beta1", "workspaces")
    assert row is not None

    def begun(held: Object) -> Object:
        annotations = (held["metadata"].get("annotations") or {}) | {
            metadata_keys.RESTART: restarts.new_id(datetime.now(timezone.utc))
        }
        return held | {"metadata": held["metadata"] | {"annotations": annotations}}

    cluster.engine.patch(row, "default", "desk", begun)
    set_status(cluster, "desk", "Paused")

    await until(lambda: started(ask), "the start", 5)
    assert annotation(cluster) is None


@pytest.mark.parametrize("began", ["2020-01-01T00:00:00Z/1", "9999-01-01T00:00:00Z/1", "soon"])
async def test_a_workspace_that_does_not_stop_is_started_again_all_the_same(
    ask: Ask, cluster: ApiServer, began: str
) -> None:
    await ask("POST", "workspaces/default", workspace(paused=True))
    set_status(cluster, "desk", "Terminating")
    row = cluster.engine.registry.get("kubeflow.org", "v1beta1", "workspaces")
    assert row is not None

    cluster.engine.patch(
        row,
        "default",
        "desk",
        lambda held: (
            held | {"metadata": held["metadata"] | {"annotations": {metadata_keys.RESTART: began}}}
        ),
    )

    await until(lambda: started(ask), "the start", 5)
