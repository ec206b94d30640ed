"""The node joins a real cluster, whose scheduler gives it a workspace with a real JupyterLab."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from real_cluster import RealCluster
from shared_cluster import clean
from waiting import until

from jupyter_workspaces import controller
from jupyter_workspaces.kube.catalog import NODES, PODS, SECRETS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.port_forward import forward
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local.initial_objects import install
from jupyter_workspaces.local.settings import POD_VARIABLE, node_settings
from jupyter_workspaces.localkube.node import Agent, stop_pods
from jupyter_workspaces.localkube.node.kubelet import Kubelet
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

pytestmark = pytest.mark.slow


LIMIT_SECONDS = 60.0
KIND = "on-our-node"


@asynccontextmanager
async def joined(real: RealCluster, directory: Path) -> AsyncIterator[Cluster]:
    """A cluster with our node, our controller, and a kind whose pods only our node takes."""
    async with Cluster(real.endpoint()) as cluster:
        await clean(cluster)
        await install(cluster)
        sample = await cluster.get(WORKSPACE_KINDS, "jupyterlab")
        for size in sample["spec"]["podTemplate"]["options"]["podConfig"]["values"]:
            size["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "local"}
        metadata = {"name": KIND, "annotations": sample["metadata"]["annotations"]}
        await cluster.create(
            WORKSPACE_KINDS,
            {**{key: sample[key] for key in ("apiVersion", "kind", "spec")}, "metadata": metadata},
        )
        kubelet = Kubelet(cluster, directory, real.require_own().kubelet_trust())
        agent = Agent(cluster, directory, node_settings(), kubelet_port=await kubelet.start())
        tasks = [asyncio.create_task(agent.run()), asyncio.create_task(controller.run(cluster))]
        try:
            yield cluster
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await kubelet.stop()
            await asyncio.to_thread(stop_pods, directory, POD_VARIABLE)
            await clean(cluster)


async def test_a_real_lab_runs_where_the_real_scheduler_puts_it(
    real_cluster: RealCluster, tmp_path: Path
) -> None:
    async with joined(real_cluster, tmp_path) as cluster:
        options = {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"}
        spec = {"kind": KIND, "podTemplate": {"volumes": {"data": []}, "options": options}}
        body = {
            "apiVersion": WORKSPACES.api_version,
            "kind": WORKSPACES.kind,
            "metadata": {"name": "lab"},
            "spec": spec,
        }
        await cluster.create(WORKSPACES, body, "default")

        async def state(wanted: str) -> bool:
            status = (await cluster.get(WORKSPACES, "lab", "default")).get("status") or {}
            return bool(status.get("state") == wanted)

        await until(lambda: state("Running"), "a running Lab", LIMIT_SECONDS)

        pod = next(
            iter(
                (
                    await cluster.list(
                        PODS, "default", label_selector=f"{metadata_keys.WORKSPACE_NAME}=lab"
                    )
                ).items
            )
        )
        assert pod["spec"]["nodeName"] == "local"
        assert (await lab_status(cluster, pod))["kernels"] == 0
        node = await cluster.get(NODES, "local")
        assert not [
            taint for taint in node["spec"].get("taints") or () if "not-ready" in taint["key"]
        ]

        name = pod["metadata"]["name"]
        async with cluster.stream(
            PODS.path("default", name, "log"), query={"tailLines": "200"}
        ) as pieces:
            assert b"Jupyter Server" in b"".join([piece async for piece in pieces])
        assert await run_in(cluster, name, "sh", "-c", "echo from $HOSTNAME") == f"from {name}\n"
        assert b"HTTP/1.1 " in await through_port_forward(cluster, name, 8888)
        await nobody_else_is_answered(
            await cluster.get(NODES, "local"), real_cluster.endpoint().ssl_context
        )

        await cluster.patch(WORKSPACES, "lab", {"spec": {"paused": True}}, "default")
        await until(lambda: state("Paused"), "a paused Lab", LIMIT_SECONDS)
        with pytest.raises(aiohttp.ClientConnectionError):
            await lab_status(cluster, pod)
        await cluster.delete(WORKSPACES, "lab", "default")

        async def nothing_left() -> bool:
            return not (
                await cluster.list(PODS, "default", label_selector=metadata_keys.WORKSPACE_NAME)
            ).items

        await until(nothing_left, "an empty namespace", LIMIT_SECONDS)


async def run_in(cluster: Cluster, pod: str, *command: str) -> str:
    """What a command in a pod writes; v4, which the API server passes on as it comes."""
    words = "&".join(f"command={quote(word)}" for word in command)
    socket = await cluster.websocket(
        f"{PODS.path('default', pod, 'exec')}?{words}",
        ["v4.channel.k8s.io"],
        query={"stdout": "true"},
    )
    try:
        messages = [
            message.data async for message in socket if message.type is aiohttp.WSMsgType.BINARY
        ]
    finally:
        await socket.close()
    assert b'"Success"' in b"".join(data[1:] for data in messages if data[0] == 3), messages
    return b"".join(data[1:] for data in messages if data[0] == 1).decode()


async def through_port_forward(cluster: Cluster, pod: str, port: int) -> bytes:
    connection = await forward(cluster, "default", pod, port)
    try:
        await connection.send(b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return await connection.receive()
    finally:
        await connection.close()


async def nobody_else_is_answered(node: Object, trust: ssl.SSLContext | None) -> None:
    """Who trusts the cluster but shows no certificate of it."""
    assert trust is not None
    anonymous = ssl.create_default_context()
    anonymous.load_verify_locations(
        cadata="".join(
            ssl.DER_cert_to_PEM_cert(one) for one in trust.get_ca_certs(binary_form=True)
        )
    )
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await session.get(
                f"https://127.0.0.1:{port}/containerLogs/default/lab/main", ssl=anonymous
            )


async def lab_status(cluster: Cluster, pod: Object) -> Object:
    """What the Lab itself says, asked with the workspace's own token."""
    annotations = pod["metadata"]["annotations"]
    secret = await cluster.get(SECRETS, annotations[metadata_keys.TOKEN_SECRET], "default")
    headers = {
        "Authorization": (
            f"token {base64.b64decode(secret['data'][metadata_keys.TOKEN_KEY]).decode()}"
        )
    }
    port = annotations.get(f"{metadata_keys.LOCAL_PORT}8888", "8888")
    url = f"http://{pod['status']['podIP']}:{port}/workspace/connect/default/lab/jupyterlab/api/status"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        found: Object = await answer.json()
        return found
