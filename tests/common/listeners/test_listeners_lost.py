"""A process that loses its listening socket exits with an error that says why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import until_sync

from jupyter_workspaces.local.launch import FAILED
from jupyter_workspaces.localkube.directory import Directory

LIMIT = 60.0

PROGRAM = """
import os, sys, threading
import psutil
from jupyter_workspaces.common.listeners import accepting

accepting.CHECK_SECONDS = 0.2

def lose():
    sys.stdin.readline()
    null = os.open(os.devnull, os.O_RDWR)
    for connection in psutil.Process().net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN:
            os.dup2(null, connection.fd)

threading.Thread(target=lose, daemon=True).start()
"""
SERVE = (
    "from jupyter_workspaces.server.serve import main; "
    "main(port=0, no_auth=True, kubeconfig=sys.argv[1], runtime_file=sys.argv[2])"
)
LOCAL = """
from jupyter_workspaces.local.__main__ import main
sys.argv[1:] = ["--directory", sys.argv[1], "--node", "off", "--controller", "off"]
sys.exit(main())
"""


class Started:
    """A server process that gives up its socket when it is told to."""

    def __init__(self, program: str, *arguments: Path, log: Path) -> None:
        self.log = log
        environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        command = [sys.executable, "-c", PROGRAM + program, *map(str, arguments)]
        with log.open("wb") as written:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=written, stderr=written
            )

    def lose_socket(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Started]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, "
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}], "
        "users: [{name: a, user: {}}], "
        "contexts: [{name: a, context: {cluster: a, user: a}}], current-context: a}",
        encoding="utf-8",
    )
    started = Started(SERVE, kubeconfig, tmp_path / "runtime.json", log=tmp_path / "log")
    yield started
    started.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Started]:
    started = Started(LOCAL, tmp_path / "cluster", log=tmp_path / "log")
    yield started
    started.stop()


@pytest.mark.slow
def test_serve_ends_when_its_socket_is_gone(serve: Started, tmp_path: Path) -> None:
    until_sync((tmp_path / "runtime.json").exists, "the server listens")
    serve.lose_socket()

    assert serve.process.wait(LIMIT) == 1
    assert (
        "Shutting down: this server cannot accept connections any more: "
        "Its listening socket is lost." in serve.said()
    )
    assert not (tmp_path / "runtime.json").exists()


@pytest.mark.slow
def test_the_local_cluster_ends_when_its_socket_is_gone_and_is_known_as_one_that_died(
    cluster: Started, tmp_path: Path
) -> None:
    directory = Directory(tmp_path / "cluster")
    until_sync(lambda: "The local cluster is ready at" in cluster.said(), "the cluster's answer")
    cluster.lose_socket()

    assert cluster.process.wait(LIMIT) == FAILED
    assert (
        "its API server cannot be reached any more. Its listening socket is lost." in cluster.said()
    )
    assert (
        directory.record() is not None
    )  # by which `Keeper` knows one that died from one that was stopped
