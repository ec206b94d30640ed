"""Probes of all types: commands, HTTP, TCP and gRPC; `localhost` means the pod."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from node_cluster import NodeCluster, node_cluster

from jupyter_workspaces.kube.execution import execute

SERVES = f"exec {sys.executable} -m http.server 8888 --bind $POD_IP"
ADDRESS = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


async def unready(nodes: NodeCluster, name: str, words: str) -> str:
    async def found() -> str | None:
        for one in (await nodes.pod(name))["status"].get("conditions") or ():
            if (
                one["type"] == "Ready"
                and one["status"] == "False"
                and words in one.get("message", "")
            ):
                return str(one["message"])
        return None

    return await nodes.until(found, f"{name} to be unready with {words!r}")


async def told(nodes: NodeCluster, reason: str) -> str:
    async def found() -> str | None:
        events = await nodes.events(reason)
        return str(events[0]["message"]) if events else None

    return await nodes.until(found, f"an event {reason}")


async def test_an_exec_probe_decides_when_a_pod_is_ready(tmp_path: Path) -> None:
    probe = {
        "exec": {
            "command": [
                "sh",
                "-c",
                'test -f "$HOME/ready" || { echo "not yet there" >&2; exit 3; }',
            ]
        },
        "periodSeconds": 1,
    }
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "p", "sleep 600", container={"readinessProbe": probe | {"failureThreshold": 1}}
        )
        await unready(nodes, "p", "the command sh ended with exit code 3: not yet there")

        await execute(nodes.cluster, "default", "p", "main", ["sh", "-c", 'touch "$HOME/ready"'])

        await nodes.ready("p")


async def test_a_probe_whose_program_is_missing_says_so_on_the_pod(tmp_path: Path) -> None:
    probe = {"exec": {"command": ["no-such-program"]}, "periodSeconds": 1, "failureThreshold": 1}
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("p", "sleep 600", container={"readinessProbe": probe})

        assert "Install it on this computer" in await unready(
            nodes, "p", "no-such-program cannot run here"
        )


async def test_an_exec_probe_that_takes_too_long_has_failed(tmp_path: Path) -> None:
    probe = {
        "exec": {"command": ["sleep", "600"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
        "timeoutSeconds": 1,
    }
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("p", "sleep 600", container={"readinessProbe": probe})

        await unready(nodes, "p", "the command sleep did not end within 1 s")


async def test_an_exec_liveness_probe_restarts_a_program(tmp_path: Path) -> None:
    probe = {
        "exec": {"command": ["test", "-f", "/no/such/file"]},
        "periodSeconds": 1,
        "failureThreshold": 2,
    }
    async with node_cluster(tmp_path, first_pause=0.1) as nodes:
        await nodes.program("p", "sleep 600", container={"livenessProbe": probe})

        async def restarted() -> bool:
            statuses = (await nodes.pod("p"))["status"].get("containerStatuses") or ()
            return any(found["restartCount"] for found in statuses)

        await nodes.until(restarted, "a restart")


async def test_a_liveness_probe_that_cannot_run_here_ends_no_program(tmp_path: Path) -> None:
    probe = {"exec": {"command": ["no-such-program"]}, "periodSeconds": 1, "failureThreshold": 1}
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "p", "sleep 600", container={"livenessProbe": probe, "startupProbe": probe}
        )

        assert "no-such-program cannot run here" in await told(nodes, "ProbeNotPossible")
        assert (await nodes.ready("p"))["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.parametrize("one_address", [False, True])
async def test_localhost_in_a_probe_is_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_address: bool
) -> None:
    if one_address:
        monkeypatch.setenv("JUPYTER_WORKSPACES_ONE_ADDRESS", "1")
    fetch = "import urllib.request as u; u.urlopen('http://localhost:8888/')"
    container = {
        "env": [ADDRESS],
        "ports": [{"containerPort": 8888, "name": "web"}],
        "startupProbe": {
            "httpGet": {"host": "localhost", "port": "web"},
            "periodSeconds": 1,
            "failureThreshold": 30,
        },
        "livenessProbe": {"tcpSocket": {"host": "127.0.0.1", "port": 8888}, "periodSeconds": 1},
        "readinessProbe": {
            "exec": {"command": [sys.executable, "-c", fetch]},
            "periodSeconds": 1,
            "timeoutSeconds": 10,
        },
    }
    async with node_cluster(tmp_path) as nodes:
        port = "8888" if not one_address else "$REAL"
        find = (
            f'REAL=$({sys.executable} -c "import json,glob;'
            f"print(json.load(open(glob.glob('{tmp_path}/pods/*/record.json')[0]))"
            "['ports']['8888'])\"); "
        )
        await nodes.program(
            "p", (find if one_address else "") + SERVES.replace("8888", port), container=container
        )

        pod = await nodes.ready("p")

        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


GRPC = """
import os, socket, sys, threading
def frame(kind, flags, stream, data):
    return len(data).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + data
def serve(client):
    stream = client.makefile("rwb")
    assert stream.read(24).startswith(b"PRI * HTTP/2.0")
    stream.write(frame(4, 0, 0, b""))
    service = b""
    while True:
        head = stream.read(9)
        if len(head) < 9:
            return
        data = stream.read(int.from_bytes(head[:3], "big"))
        if head[3] == 0:
            service = data[7:]
            break
    known = os.path.exists(sys.argv[1])
    answer = bytes((8, 1)) if known and service == b"lab" else bytes((8, 2))
    stream.write(frame(1, 4, 1, b"\\x88"))  # `:status: 200`
    stream.write(frame(0, 0, 1, b"\\x00" + len(answer).to_bytes(4, "big") + answer))
    stream.write(frame(1, 5, 1, b"\\x00\\x0bgrpc-status\\x010"))
    stream.flush()
server = socket.create_server((os.environ["POD_IP"], 8888))
while True:
    client, _ = server.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
"""


async def test_a_grpc_probe_asks_the_health_service(tmp_path: Path) -> None:
    (tmp_path / "health.py").write_text(GRPC)
    probe = {"grpc": {"port": 8888, "service": "lab"}, "periodSeconds": 1, "failureThreshold": 1}
    container = {"env": [ADDRESS], "ports": [{"containerPort": 8888}], "readinessProbe": probe}
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "p",
            f"exec {sys.executable} {tmp_path}/health.py {tmp_path}/serving",
            container=container,
        )
        await unready(nodes, "p", "the gRPC health service reports NOT_SERVING")

        (tmp_path / "serving").touch()

        await nodes.ready("p")


async def test_a_grpc_probe_of_another_program_fails(tmp_path: Path) -> None:
    probe = {"grpc": {"port": 8888}, "periodSeconds": 1, "failureThreshold": 1}
    container = {"env": [ADDRESS], "ports": [{"containerPort": 8888}], "readinessProbe": probe}
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("p", SERVES, container=container)

        await unready(nodes, "p", "does not speak gRPC")
