"""Small but expensive requests are refused soon and with little memory, in real processes."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import until_started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="memory is bounded and measured as Linux does it"
    ),
]

MEBIBYTE = 2**20
MEMORY = 3000 * MEBIBYTE
GROWTH = 150 * MEBIBYTE
SECONDS = 30.0
"""Longest time that a request may take, in seconds.

It is generous, because machines that run tests are slow. Without bounds, these requests took from
half a minute to two minutes, and gigabytes of memory.
"""

STALL = 5.0
TOKEN = "of-the-test"

LIMIT = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))\n"
CLUSTER = """
import asyncio, sys
from pathlib import Path
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.resources import bundled

async def main():
    server = ApiServer(Store.open(Path(sys.argv[1]) / "cluster.db"), sys.argv[2])
    for name in ("default", "jupyter-workspaces"):
        server.apply_manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for manifest in [*bundled.crds(), *bundled.samples()]:
        server.apply_manifest(manifest)
    port = await server.start("127.0.0.1", 0)
    (Path(sys.argv[1]) / "port").write_text(str(port))
    await asyncio.Event().wait()

asyncio.run(main())
"""
SERVE = """
import sys
from jupyter_workspaces.server.serve import main
main(port=0, kubeconfig=sys.argv[1], runtime_file=sys.argv[2],\
 trusted_header_auth=sys.argv[3] == "headers")
"""


class Server:
    """A server process under attack: what it costs to ask it something."""

    def __init__(self, program: str, *arguments: str, log: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        with log.open("wb") as written:
            command = [sys.executable, "-c", LIMIT + program, *arguments]
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written
            )
        self.log, self.port, self.health = log, 0, "/healthz"
        self.headers: dict[str, str] = {}

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        timeout: float = SECONDS,
        **headers: str,
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(
                method, path, body, {name: value for name, value in sent.items() if value}
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def peak(self) -> int:
        """Bytes of memory that it held at once, at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return (
            int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
            * 1024
        )

    @contextlib.contextmanager
    def unmoved(self) -> Iterator[None]:
        """While this goes on the server answers others, and takes no memory to speak of."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text(
            "5", encoding="ascii"
        )  # begin to measure anew
        before, over, waits = self.peak, threading.Event(), [0.0]

        def look() -> None:
            while not over.wait(0.02):
                began = time.monotonic()
                assert self.ask("GET", self.health)[0] == 200
                waits.append(time.monotonic() - began)

        others = threading.Thread(target=look)
        others.start()
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            over.set()
            others.join()
            grown = self.peak - before
            print(
                f"took {took:.2f} s, the longest wait of others {max(waits):.3f} s, "
                f"{grown / MEBIBYTE:.0f} MiB more"
            )
        assert took < SECONDS
        assert max(waits) < STALL
        assert grown < GROWTH
        assert self.process.poll() is None

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def read_if_written(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("cluster")
    server = Server(CLUSTER, str(folder), TOKEN, log=folder / "log")
    try:
        server.port = int(
            until_started(lambda: read_if_written(folder / "port"), server.process, server.log)
        )
        server.headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        yield server
    finally:
        server.stop()


def serving(cluster: Server, folder: Path, how: str) -> Iterator[Server]:
    kubeconfig, runtime = folder / "kubeconfig", folder / "runtime.json"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{cluster.port}"}}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    kubeconfig.write_text(json.dumps(document), encoding="utf-8")
    server = Server(SERVE, str(kubeconfig), str(runtime), how, log=folder / "log")
    try:
        told = json.loads(
            until_started(lambda: read_if_written(runtime), server.process, server.log)
        )
        server.port, server.health = (
            int(told["url"].rstrip("/").rpartition(":")[2]),
            "/api/v1/healthcheck",
        )
        server.headers = {"Content-Type": "application/json"}
        server.headers |= (
            {"kubeflow-userid": "nobody"}
            if how == "headers"
            else {"Authorization": f"token {told['token']}"}
        )
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def serve(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serving(cluster, tmp_path_factory.mktemp("serve"), "token")


@pytest.fixture(scope="module")
def behind_proxy(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serving(cluster, tmp_path_factory.mktemp("headers"), "headers")


def workspace(name: str) -> dict[str, Any]:
    template = {
        "podMetadata": {"labels": {}, "annotations": {}},
        "volumes": {"data": []},
        "options": {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"},
    }
    return {"name": name, "kind": "jupyterlab", "paused": True, "podTemplate": template}


ONES = b"a: [" + b"1," * 500_000 + b"1]"
ALIASES = b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n".encode() for level in range(1, 12)
)
EXTRA_VOLUMES = (
    b"""apiVersion: kubeflow.org/v1beta1
kind: WorkspaceKind
metadata: {name: bomb}
spec:
  podTemplate:
    extraVolumes:
    - &v {name: v, hostPath: {path: %s}}
"""
    % (b"x" * 10_000)
    + b"    - *v\n" * 40_000
)
MERGED = (
    b"b: &b {"
    + b",".join(b"k%d: 1" % number for number in range(20_000))
    + b"}\nc:\n"
    + b"- {<<: *b}\n" * 20_000
)
DEEP = b"[" * 500_000
TWICE = (
    b'{"data":{'
    + b",".join(b'"k%d":{}' % number for number in range(100_000))
    + b'},"data":{}' * 100_000
    + b"}"
)
NUMBERS = b'{"data":{"name":' + b"9" * 4_000_000 + b"}}"
BODIES = {
    "ones": ONES,
    "aliases": ALIASES,
    "volumes": EXTRA_VOLUMES,
    "merges": MERGED,
    "deep": DEEP,
}
JSONS = {
    "deep": DEEP,
    "twice": TWICE,
    "digits": NUMBERS,
    "many": b'{"data":[' + b"{}," * 1_300_000 + b"{}]}",
}
DOUBLING = [{"op": "add", "path": "/data", "value": {"k": "x" * 1000}}, *(
    {"op": "copy", "from": "/data", "path": f"/data/k{number}"} for number in range(24)
)]  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_stranger_is_refused_before_the_body_is_read(serve: Server, body: bytes) -> None:
    with serve.unmoved():
        assert _told(
            serve,
            "POST",
            "/api/v1/workspacekinds",
            body,
            Authorization="",
            Content_Type="application/yaml",
        ) in (403, None)


@pytest.mark.parametrize("user", ["", "nobody"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/workspacekinds"), ("PUT", "/api/v1/workspacekinds/jupyterlab")],
)
def test_behind_a_proxy_only_who_may_write_has_a_long_body_read(
    behind_proxy: Server, user: str, method: str, path: str
) -> None:
    with behind_proxy.unmoved():
        wanted = 403 if user else 401
        assert _told(
            behind_proxy, method, path, ONES, kubeflow_userid=user, Content_Type="application/yaml"
        ) in (wanted, None)


def test_a_body_without_end_is_not_kept(serve: Server) -> None:
    with serve.unmoved(), socket.create_connection(("127.0.0.1", serve.port), SECONDS) as sent:
        sent.sendall(
            b"POST /api/v1/workspaces/default HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with contextlib.suppress(OSError):  # closed by the server
            for _ in range(10_000):
                sent.sendall(chunk)
            pytest.fail("the server took 650 MB of a stranger")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_yaml_bombs_of_who_is_signed_in(serve: Server, body: bytes) -> None:
    with serve.unmoved():
        status, answer = serve.ask(
            "POST", "/api/v1/workspacekinds", body, Content_Type="application/yaml"
        )
    assert status in (400, 413)
    assert json.loads(answer)["error"]["message"]


@pytest.mark.parametrize("body", JSONS.values(), ids=JSONS)
def test_json_bombs_of_who_is_signed_in(serve: Server, body: bytes) -> None:
    with serve.unmoved():
        status, answer = serve.ask("POST", "/api/v1/workspaces/default", body)
    assert status in (400, 413, 422)
    assert json.loads(answer)["error"]["message"]


def test_json_patches_that_double_in_the_api(serve: Server) -> None:
    assert (
        serve.ask(
            "POST",
            "/api/v1/workspaces/default",
            json.dumps({"data": workspace("doubled")}).encode(),
        )[0]
        == 201
    )
    patch = [
        {"op": "copy", "from": "/podTemplate", "path": f"/podTemplate/k{number}"}
        for number in range(40)
    ]

    with serve.unmoved():
        status, answer = serve.ask(
            "PATCH",
            "/api/v1/workspaces/default/doubled",
            json.dumps(patch).encode(),
            Content_Type="application/json-patch+json",
        )
    assert status == 413
    assert "copies" in json.loads(answer)["error"]["message"]


def test_json_patches_that_double_in_the_local_cluster(cluster: Server) -> None:
    maps = "/api/v1/namespaces/default/configmaps"
    assert cluster.ask("POST", maps, b'{"metadata":{"name":"doubled"}}')[0] == 201

    with cluster.unmoved():
        status, answer = cluster.ask(
            "PATCH",
            f"{maps}/doubled",
            json.dumps(DOUBLING).encode(),
            Content_Type="application/json-patch+json",
        )
    assert status == 413
    assert json.loads(answer)["reason"] == "RequestEntityTooLarge"
    assert json.loads(cluster.ask("GET", f"{maps}/doubled")[1]).get("data") is None


def test_many_insertions_into_a_long_list(cluster: Server) -> None:
    widget = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "listed", "finalizers": []},
    }
    maps = "/api/v1/namespaces/default/configmaps"
    assert cluster.ask("POST", maps, json.dumps(widget).encode())[0] == 201
    patch: list[Any] = [{"op": "add", "path": "/list", "value": list(range(20_000))}]
    patch += [{"op": "add", "path": "/list/0", "value": 1}] * 9_000

    with cluster.unmoved():
        assert (
            cluster.ask(
                "PATCH",
                f"{maps}/listed",
                json.dumps(patch).encode(),
                Content_Type="application/json-patch+json",
            )[0]
            == 413
        )


def test_long_lists_in_strategic_patches(cluster: Server) -> None:
    pods = "/api/v1/namespaces/default/pods"
    container = {
        "name": "main",
        "image": "x",
        "env": [{"name": f"e{number}", "value": "v"} for number in range(4_000)],
    }
    pod = {"metadata": {"name": "long"}, "spec": {"containers": [container]}}
    assert cluster.ask("POST", pods, json.dumps(pod).encode())[0] == 201
    changed = [{"name": f"n{number}", "value": "v"} for number in range(6_000)]
    patch = {"spec": {"containers": [{"name": "main", "env": changed}]}}

    with cluster.unmoved():
        status, _ = cluster.ask(
            "PATCH",
            f"{pods}/long",
            json.dumps(patch).encode(),
            Content_Type="application/strategic-merge-patch+json",
        )
    assert status == 422  # a pod's variables do not change


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    ("method", "media"),
    [("POST", "application/yaml"), ("PATCH", "application/apply-patch+yaml")],
    ids=["create", "apply"],
)
def test_yaml_bombs_in_the_local_cluster(
    cluster: Server, body: bytes, method: str, media: str
) -> None:
    path = "/api/v1/namespaces/default/configmaps" + (
        "" if method == "POST" else "/a?fieldManager=test"
    )
    with cluster.unmoved():
        assert cluster.ask(method, path, body, Content_Type=media)[0] in (400, 413)


@pytest.mark.parametrize("body", [ONES, TWICE[: 3 * MEBIBYTE]], ids=["ones", "twice"])
def test_a_stranger_of_the_local_cluster(cluster: Server, body: bytes) -> None:
    with cluster.unmoved():
        assert _told(
            cluster, "POST", "/api/v1/namespaces/default/configmaps", body, Authorization=""
        ) in (401, None)


@pytest.mark.parametrize("token", ["", TOKEN])
def test_compressed_bodies_are_not_unpacked(cluster: Server, token: str) -> None:
    body = gzip.compress(b" " * 500 * MEBIBYTE, 1)
    with cluster.unmoved():
        authorization = f"Bearer {token}" if token else ""
        status = _told(
            cluster,
            "POST",
            "/api/v1/namespaces/default/configmaps",
            body,
            Authorization=authorization,
            Content_Encoding="gzip",
        )
    assert status in (415 if token else 401, None)


def test_protobuf_of_many_fields(cluster: Server) -> None:
    kind = b"\x0a\x02v1\x12\x09ConfigMap"
    raw = b"\x20\x01" * 1_400_000
    length = bytes(
        [
            len(raw) & 0x7F | 0x80,
            len(raw) >> 7 & 0x7F | 0x80,
            len(raw) >> 14 & 0x7F | 0x80,
            len(raw) >> 21,
        ]
    )
    body = b"k8s\0" + b"\x0a" + bytes([len(kind)]) + kind + b"\x12" + length + raw

    with cluster.unmoved():
        media = "application/vnd.kubernetes.protobuf"
        assert (
            cluster.ask("POST", "/api/v1/namespaces/default/configmaps", body, Content_Type=media)[
                0
            ]
            == 413
        )


def _told(server: Server, method: str, path: str, body: bytes, **headers: str) -> int | None:
    """The status; None where the connection was closed before all was sent."""
    try:
        return server.ask(method, path, body, **headers)[0]
    except (BrokenPipeError, ConnectionResetError):
        return None
