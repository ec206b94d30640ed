"""The clusters that clients are tested on: the local cluster, or a real control plane.

Both have a pod with the same behaviour.
"""

from __future__ import annotations

import asyncio
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane import ControlPlane
from control_plane_certificates import HOST
from real_cluster import RealCluster, started
from shared_cluster import prepare

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.local import launch

Object = dict[str, Any]

KINDS = ("embedded", "real")
PORT = 8888
TICK_SECONDS = 0.25
POD = "talker"
TALKER = f"""
import asyncio, os

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def main():
    async with await asyncio.start_server(echo, os.environ["POD_IP"], {PORT}):
        print("ready", flush=True)
        number = 0
        while True:
            await asyncio.sleep({TICK_SECONDS})
            number += 1
            print("tick", number, flush=True)

asyncio.run(main())
"""


@dataclass(frozen=True)
class MatrixCluster:
    """A cluster. `pod` prints `ready`, then ticks, runs commands, and echoes on its port.

    kwok does not report exit codes of commands.
    """

    kubeconfig: Path
    pod: Object
    port: int = PORT
    exit_codes: bool = True


@contextmanager
def running(
    kind: str, folder: Path, programs: dict[str, Path] | None = None
) -> Iterator[MatrixCluster]:
    """Yield a new cluster of a kind."""
    with _embedded(folder) if kind == "embedded" else _real(folder, programs) as cluster:
        yield cluster


@contextmanager
def _embedded(folder: Path) -> Iterator[MatrixCluster]:
    home = folder / "cluster"
    script = folder / "talker.py"
    script.write_text(TALKER)
    kubeconfig = launch.start(home, timeout=60)
    try:
        address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        yield MatrixCluster(
            kubeconfig, _pod("local", command=[sys.executable, "-u", str(script)], env=[address])
        )
    finally:
        launch.stop(home, pods=True)


@contextmanager
def _real(folder: Path, programs: dict[str, Path] | None) -> Iterator[MatrixCluster]:
    with started(folder / "plane") as real:
        plane = real.require_own()
        plane.simulated_nodes()
        asyncio.run(_install(real))
        with _echo(plane.forwarded), _ticks(plane):
            yield MatrixCluster(real.kubeconfig, _pod("lab"), exit_codes=False)


async def _install(real: RealCluster) -> None:
    async with Cluster(real.endpoint()) as cluster:
        await prepare(cluster)


def _pod(image: str, **container: Any) -> Object:
    main = {"name": "main", "image": image, "ports": [{"containerPort": PORT}], **container}
    metadata = {"name": POD, "labels": {"app": POD}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [main]},
    }


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def _echo(port: int) -> Iterator[None]:
    """Serve the ports of simulated pods."""
    with _Server((HOST, port), _Echo) as server, _beside(server.serve_forever):
        try:
            yield
        finally:
            server.shutdown()


@contextmanager
def _ticks(plane: ControlPlane) -> Iterator[None]:
    """Write the log of simulated pods."""
    stopped = threading.Event()

    def say(words: str, mode: str) -> None:
        seconds = time.time()
        stamp = (
            time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
            + f".{int(seconds % 1 * 1e9):09d}Z"
        )
        with plane.pod_log.open(mode) as file:
            file.write(f"{stamp} stdout F {words}\n")

    def tick() -> None:
        number = 0
        while not stopped.wait(TICK_SECONDS):
            number += 1
            say(f"tick {number}", "a")

    say("ready", "w")
    with _beside(tick):
        try:
            yield
        finally:
            stopped.set()


@contextmanager
def _beside(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(10)
