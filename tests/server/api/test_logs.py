"""A workspace's log, whole and as it is written, and what its containers use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from requests_and_objects import API, Ask, Object, set_status, workspace

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.pods.logs import LogOptions
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.server.api.workspaces.pods import views

MAIN = {
    "name": "main",
    "image": "i",
    "imageID": "",
    "ready": True,
    "restartCount": 0,
    "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
}


class Log:
    """What a node would tell: a first piece at once, a second one once it is let go."""

    def __init__(self) -> None:
        self.more = asyncio.Event()
        self.asked: list[LogOptions] = []

    async def __call__(
        self, pod: Mapping[str, Any], container: str, options: LogOptions
    ) -> AsyncGenerator[bytes, None]:
        self.asked.append(options)
        yield b"first\n"
        if options.follow:
            await self.more.wait()
        yield b"second\n" * 500


def made_stateful_set(cluster: ApiServer) -> Object:
    """Of the workspace, as the controller makes it."""
    held = cluster.engine.store.get("workspaces.kubeflow.org", "default", "desk")
    row = cluster.engine.registry.get("apps", "v1", "statefulsets")
    assert held is not None
    assert row is not None
    owner = held.decode()
    reference = {key: owner["metadata"][key] for key in ("name", "uid")} | {
        key: owner[key] for key in ("apiVersion", "kind")
    }
    labels = {metadata_keys.WORKSPACE_NAME: "desk"}
    metadata = {
        "name": "ws-desk",
        "namespace": "default",
        "labels": labels,
        "ownerReferences": [reference | {"controller": True}],
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    cluster.apply_manifest(
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}
    )
    made = cluster.engine.store.get(row.name, "default", "ws-desk")
    assert made is not None
    return made.decode()


async def running(ask: Ask, cluster: ApiServer, state: Object = MAIN) -> Log:
    log = Log()
    cluster.logs = log
    assert (await ask("POST", "workspaces/default", workspace()))[0] == 201
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ws-desk-0", "namespace": "default"},
    }
    pod["metadata"]["labels"] = {metadata_keys.WORKSPACE_NAME: "desk"}
    owner = made_stateful_set(cluster)["metadata"]
    reference = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": owner["name"],
        "uid": owner["uid"],
        "controller": True,
    }
    pod["metadata"]["ownerReferences"] = [reference]
    pod |= {"spec": {"nodeName": "n", "containers": [{"name": "main", "image": "i"}]}}
    cluster.apply_manifest({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    cluster.apply_manifest(pod)
    row = cluster.engine.registry.get("", "v1", "pods")
    assert row is not None
    told = {"phase": "Running", "containerStatuses": [state]}
    cluster.engine.patch(
        row, "default", "ws-desk-0", lambda held: held | {"status": told}, "status"
    )
    set_status(
        cluster,
        "desk",
        "Running",
        podTemplatePod={"name": "ws-desk-0", "nodeName": "n", "containers": [{"name": "main"}]},
    )
    for _ in range(100):
        if (await ask("GET", "workspaces/default/desk/podtemplate/details"))[1]["data"].get("pod"):
            return log
        await asyncio.sleep(0.02)
    raise AssertionError("the pod was not seen")


async def test_a_long_log_is_compressed_and_a_followed_one_comes_as_it_is_written(
    ask: Ask, jp_fetch: Any, cluster: ApiServer
) -> None:
    log = await running(ask, cluster)
    place = (*API, "workspaces", "default", "desk", "podtemplate", "logs")
    whole = await jp_fetch(
        *place, "batch", headers={"Accept-Encoding": "gzip"}, decompress_response=False
    )
    assert (
        whole.headers["Content-Type"],
        whole.headers["Content-Encoding"],
        len(whole.body) < 1024,
    ) == ("text/plain", "gzip", True)

    pieces: list[bytes] = []
    arrived = asyncio.Event()

    def take(piece: bytes) -> None:
        pieces.append(piece)
        arrived.set()

    task = asyncio.ensure_future(jp_fetch(*place, "stream", streaming_callback=take))
    async with timeout(10):
        await arrived.wait()
    assert pieces == [b"first\n"]
    log.more.set()
    async with timeout(10):
        await task
    assert b"".join(pieces) == b"first\n" + b"second\n" * 500
    assert [options.follow for options in log.asked] == [False, True]


async def test_a_container_that_waits_has_no_log_yet(ask: Ask, cluster: ApiServer) -> None:
    log = await running(
        ask, cluster, MAIN | {"ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    )

    code, body = await ask("GET", "workspaces/default/desk/podtemplate/logs/batch")
    assert (code, "ImagePullBackOff" in body["error"]["message"], log.asked) == (400, True, [])
    assert (
        await ask(
            "GET", "workspaces/default/desk/podtemplate/logs/batch", params={"previous": "true"}
        )
    )[0] == 400


async def test_without_the_metrics_api_it_is_said_so(ask: Ask, cluster: ApiServer) -> None:
    await running(ask, cluster)

    assert await ask("GET", "workspaces/default/desk/podtemplate/resources") == (
        200,
        {"data": {"error": "METRICS_API_NOT_AVAILABLE"}},
    )


def test_what_a_pod_uses_stands_beside_what_it_asks_for() -> None:
    pod = {
        "spec": {
            "containers": [
                {"name": "main", "resources": {"limits": {"cpu": "1"}}},
                {"name": "side"},
            ]
        }
    }
    measured = {
        "timestamp": "2026-01-01T00:00:00Z",
        "containers": [{"name": "main", "usage": {"cpu": "5m", "memory": "7Mi"}}],
    }

    found = views.resources(pod, measured)
    assert found.containers
    main, side = found.containers["main"], found.containers["side"]
    assert (main.resources, main.metrics_from_metrics_server.usage) == (
        {"limits": {"cpu": "1"}},
        {"cpu": "5m", "memory": "7Mi"},
    )
    assert not side.metrics_from_metrics_server
