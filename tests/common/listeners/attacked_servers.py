"""Server processes with a low limit of open files, and clients that attack them.

The clients hold connections open or send slowly.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import yaml
from waiting import until_sync

LIMIT_SECONDS = 60.0
FILES = 256

# Nothing listens there: what is tested needs no cluster.
NO_CLUSTER = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "none", "user": {"token": "none"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "current-context": "none",
}


class Server:
    """A process that listens at `address`; `token` opens it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        log: Path,
        files: int | tuple[int, int],
    ) -> None:
        self.log = log
        self.host, self.port, self.token, self.prefix = "127.0.0.1", 0, "", "Bearer"
        self.trust: ssl.SSLContext | None = None
        self.path = "/"
        limits = (files, files) if isinstance(files, int) else files
        with log.open("wb") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits),
            )

    def ask(self, timeout: float = 5.0) -> int:
        """One request of a user who is signed in, by a connection of its own: the status."""
        connection = (
            http.client.HTTPConnection(self.host, self.port, timeout=timeout)
            if self.trust is None
            else http.client.HTTPSConnection(
                self.host, self.port, timeout=timeout, context=self.trust
            )
        )
        try:
            connection.request(
                "GET", self.path, headers={"Authorization": f"{self.prefix} {self.token}"}
            )
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended: {self.log.read_text()[-2000:]}")
        try:
            return self.ask() == 200
        except (OSError, http.client.HTTPException):
            return False

    def dial(self) -> socket.socket:
        """A connection of somebody who may not come in."""
        return socket.create_connection((self.host, self.port), timeout=LIMIT_SECONDS)

    def dial_inside(self) -> socket.socket:
        """The same after the TLS handshake, where there is one."""
        dialled = self.dial()
        return (
            dialled
            if self.trust is None
            else self.trust.wrap_socket(dialled, server_hostname=self.host)
        )

    @property
    def memory(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    @property
    def logged(self) -> int:
        return self.log.stat().st_size

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)


@contextlib.contextmanager
def serving(folder: Path, *more: str, files: int | tuple[int, int] = FILES) -> Iterator[Server]:
    """`jupyter workspaces serve`, which asks for a token."""
    runtime, kubeconfig = folder / "runtime.json", folder / "none"
    kubeconfig.write_text(yaml.safe_dump(NO_CLUSTER))
    command = [
        "jupyter_workspaces.cli",
        "serve",
        "--port",
        "0",
        "--kubeconfig",
        str(kubeconfig),
        "--runtime-file",
        str(runtime),
        *more,
    ]
    server = Server(command, {}, folder / "serve.log", files)
    server.path, server.prefix = "/api/v1/swagger/doc.json", "token"
    try:
        told = json.loads(
            until_sync(lambda: runtime.exists() and runtime.read_text(), "the server listens")
        )
        server.port, server.token = int(urlsplit(told["url"]).port or 0), told["token"]
        until_sync(server.answers, "the server answers")
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def api_server(
    folder: Path, *, files: int | tuple[int, int] = FILES, **environment: str
) -> Iterator[Server]:
    """The local cluster's API server, alone."""
    home = folder / "cluster"
    server = Server(
        [
            "jupyter_workspaces.local",
            "--directory",
            str(home),
            "--node",
            "off",
            "--controller",
            "off",
        ],
        environment,
        folder / "api.log",
        files,
    )
    server.path = "/api/v1/namespaces/default"
    try:
        record = json.loads(
            until_sync(
                lambda: (home / "process.json").exists() and (home / "process.json").read_text(),
                "the cluster is ready",
            )
        )
        server.port = int(urlsplit(record["url"]).port or 0)
        server.token = (home / "token").read_text().strip()
        server.trust = ssl.create_default_context(cafile=str(home / "ca.crt"))
        until_sync(server.answers, "the cluster answers")
        yield server
    finally:
        server.stop()


def is_closed(connection: socket.socket, seconds: float) -> bool:
    """Whether the other end closes a connection within so long; what it says before is read."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(65536):
                return True
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
    return False
