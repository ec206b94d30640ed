"""The embedded cluster alone: time to start, idle memory, and requests per second over TLS."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import socket
import ssl
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import yaml
from measure import Figure, at_least, at_most, median

from jupyter_workspaces.local import launch

CONNECTIONS = 4
SECONDS = 4.0
STARTS = 3


class Api:
    """One keep-alive TLS connection, signed in by a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        import base64

        authority = base64.b64decode(
            document["clusters"][0]["cluster"]["certificate-authority-data"]
        ).decode()
        address = urlsplit(document["clusters"][0]["cluster"]["server"])
        self._headers = {
            "Authorization": f"Bearer {document['users'][0]['user']['token']}",
            "Content-Type": "application/json",
        }
        self._connection = http.client.HTTPSConnection(
            str(address.hostname),
            address.port,
            timeout=30,
            context=ssl.create_default_context(cadata=authority),
        )
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        self._connection.request(
            method, path, None if body is None else json.dumps(body), self._headers
        )
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:300]!r}")
        return data


def ask_for_a_while(kubeconfig: Path, number: int, create: bool) -> float:
    """Requests a second of one connection."""
    api, count, began = Api(kubeconfig), 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        if create:
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"bench-{number}-{count}"},
                "data": {"text": "x" * 500},
            }
            api.ask("POST", "/api/v1/namespaces/default/configmaps", body)
        else:
            api.ask("GET", "/api/v1/namespaces/default/configmaps/bench")
        count += 1
    return count / (time.perf_counter() - began)


def rate(kubeconfig: Path, create: bool) -> float:
    with multiprocessing.get_context("spawn").Pool(CONNECTIONS) as pool:
        return sum(
            pool.starmap(
                ask_for_a_while, [(kubeconfig, number, create) for number in range(CONNECTIONS)]
            )
        )


def measure() -> list[Figure]:
    starts = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "cluster"
        for _ in range(STARTS):
            began = time.perf_counter()
            kubeconfig = launch.start(directory)
            starts.append(time.perf_counter() - began)
            if len(starts) < STARTS:
                launch.stop(directory)
        try:
            time.sleep(3)  # idle is what is measured here
            pid = launch.status(directory).pid
            idle = psutil.Process(pid).memory_info().rss / 2**20
            bare = psutil.Process().memory_info().rss / 2**20
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "bench"},
                "data": {"text": "x" * 500},
            }
            Api(kubeconfig).ask("POST", "/api/v1/namespaces/default/configmaps", body)
            version = Api(kubeconfig)
            began = time.perf_counter()
            for _ in range(500):
                version.ask("GET", "/version")
            one = 500 / (time.perf_counter() - began)
            gets, creates = rate(kubeconfig, create=False), rate(kubeconfig, create=True)
        finally:
            launch.stop(directory, pods=True)
    reference = f"one connection asking /version: {one:.0f}/s"
    return [
        at_most(
            "embedded cluster: start to ready",
            median(starts),
            1.5,
            "s",
            "the first start, with its certificates: " + f"{starts[0]:.2f} s",
        ),
        at_most(
            "embedded cluster: memory when idle",
            idle,
            120,
            "MB",
            f"this benchmark's process: {bare:.0f} MB",
        ),
        at_least("embedded API over TLS, four connections: GET", gets, 1000, "/s", reference),
        at_least("embedded API over TLS, four connections: create", creates, 300, "/s", reference),
    ]
