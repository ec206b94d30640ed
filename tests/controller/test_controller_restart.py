"""The controller finishes restarts, also after it or the server was stopped or killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from played_cluster import Play, PlayedCluster
from waiting import until_sync

from jupyter_workspaces.kube.errors import Conflict
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local import launch
from jupyter_workspaces.local.parts import Parts
from jupyter_workspaces.resources import restarts
from jupyter_workspaces.resources.catalog import WORKSPACES

LIMIT_SECONDS = 60.0


async def write(played: PlayedCluster, patch: Callable[[Object], Object], what: str) -> None:
    """Patch one version of the workspace, as the server does.

    Retries after a conflict with a status that the controller wrote in the meantime.
    """

    async def written() -> bool:
        try:
            await played.cluster.patch(
                WORKSPACES, "dora", patch(await played.workspace()), "default"
            )
        except Conflict:
            return False
        return True

    await played.until(written, what)


async def begin(played: PlayedCluster, when: datetime | None = None) -> None:
    began = restarts.new_id(when or datetime.now(timezone.utc))
    await write(
        played, lambda workspace: restarts.begun(workspace, began), "the restart to be written"
    )


async def ended(played: PlayedCluster) -> bool:
    """Return whether the workspace is started and its restart annotation removed."""
    workspace = await played.workspace()
    return not workspace["spec"]["paused"] and restarts.id_of(workspace) is None


async def test_a_workspace_starts_again_once_its_pod_has_ended(play: Play) -> None:
    async with play() as played:
        await played.make()
        first = await played.run_pod()
        await played.state("Running")
        await begin(played)
        await played.state("Terminating", message="Restarting")
        assert (await played.workspace())["spec"]["paused"]
        await played.end_pods()

        await played.until(lambda: ended(played), "the end of the restart")
        second = await played.run_pod()
        await played.state("Running")
        assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_a_restarted_controller_finishes_a_restart(play: Play) -> None:
    async with play() as played:
        await played.make()
        await played.run_pod()
        await played.state("Running")
        await played.stop_controller()
        await begin(played)
        played.start_controller()
        await played.state("Terminating")
        await played.stop_controller()
        await played.end_pods()

        played.start_controller()
        await played.until(lambda: ended(played), "the end of the restart")


async def test_a_restart_starts_a_workspace_without_a_pod(play: Play) -> None:
    async with play() as played:
        await played.make(paused=True)
        await played.state("Paused")
        await begin(played)
        await played.until(lambda: ended(played), "the end of the restart")
        await played.run_pod()
        await played.state("Running")


async def test_a_workspace_whose_kind_is_wrong_is_not_left_paused(play: Play) -> None:
    async with play(admission=False) as played:
        await played.make(kind="nowhere")
        await played.state("Error")
        await begin(played)
        await played.until(lambda: ended(played), "the end of the restart")


async def test_a_workspace_that_does_not_stop_in_time_is_started(play: Play) -> None:
    async with play() as played:
        await played.make()
        await played.run_pod()
        await played.state("Running")
        await begin(
            played, datetime.now(timezone.utc) - timedelta(seconds=restarts.LIMIT_SECONDS - 2)
        )
        await played.state("Terminating")
        await played.until(lambda: ended(played), "the end of the restart")
        await played.end_pods()
        await played.run_pod()
        await played.state("Running")


async def test_a_pause_is_not_a_restart(play: Play) -> None:
    async with play() as played:
        await played.make()
        await played.run_pod()
        await played.state("Running")
        await begin(played)
        await played.until(lambda: ended_or_terminating(played), "the pod to be asked to end")
        await write(played, restarts.given_up, "the end of the restart to be written")
        await played.end_pods()

        await played.state("Paused")
        assert (await played.workspace())["spec"]["paused"]


async def ended_or_terminating(played: PlayedCluster) -> bool:
    return (await played.status()).get("state") == "Terminating"


# Processes that are killed

CREATE = {
    "data": {
        "name": "dora",
        "kind": "jupyterlab",
        "paused": False,
        "podTemplate": {
            "podMetadata": {"labels": {}, "annotations": {}},
            "volumes": {"data": []},
            "options": {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"},
        },
    }
}


class Server:
    """`jupyter workspaces serve` as a process."""

    def __init__(self, home: Path, port: int) -> None:
        self.port = port
        environment = os.environ | {"JUPYTER_WORKSPACES_HOME": str(home)}
        environment.pop("KUBECONFIG", None)
        command = [
            sys.executable,
            "-m",
            "jupyter_workspaces.cli",
            "serve",
            "--no-auth",
            "--port",
            str(port),
        ]
        with (home.parent / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until_sync(lambda: self.ask("GET", "workspaces")[0] == 200, "the server to answer")

    def ask(self, method: str, path: str, body: Object | None = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/{path}", data, method=method
        )
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                raw = answer.read()
                return answer.status, json.loads(raw) if raw else None
        except urllib.error.HTTPError as error:
            return error.code, None
        except OSError:
            return 0, None

    def workspace(self) -> Object:
        items = (self.ask("GET", "workspaces/default")[1] or {}).get("data") or [{}]
        return dict(items[0])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "cluster"
    launch.start(path, parts=Parts(node="simulated"))
    yield path
    launch.stop(path, pods=True)


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["server", "controller", "both"])
def test_a_restart_survives_kill_9(home: Path, killed: str) -> None:
    port = free_port()
    server = Server(home, port)
    try:
        assert server.ask("POST", "workspaces/default", CREATE)[0] == 201
        until_sync(lambda: server.workspace().get("state") == "Running", "the first run")
        first = server.workspace()["lastRunningTime"]
        until_sync(
            lambda: time.time() > first / 1000 + 1.1,
            "another second: a pod's times have whole seconds",
        )

        assert server.ask("POST", "workspaces/default/dora/actions/restart", {"data": {}})[0] == 202
        if killed in ("controller", "both"):
            pid = launch.status(home).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        if killed in ("server", "both"):
            server.kill()
        launch.start(home)
        if killed in ("server", "both"):
            server = Server(home, port)

        until_sync(
            lambda: (
                server.workspace().get("state") == "Running"
                and server.workspace()["lastRunningTime"] > first
            ),
            "the second run",
        )
        assert server.workspace()["paused"] is False
    finally:
        server.kill()
