"""A Jupyter server with the extension, in front of an API server without our controller.

Tests write the status of workspaces themselves.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from control_plane import ADMIN
from filled_store import filled_store
from real_api import RealApi
from real_cluster import RealCluster
from requests_and_objects import API, Ask, Object, claim
from shared_cluster import clean
from tornado.httpclient import HTTPClientError, HTTPResponse

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.local.admission import Admission
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.resources import bundled, metadata_keys


def set_up(cluster: ApiServer | RealApi) -> None:
    """Create both CRDs, the sample kinds, namespaces, two storage classes and two claims.

    The claim `locked` cannot be mounted.
    """
    for name in ("default", "jupyter-workspaces", "team-a"):
        cluster.apply_manifest(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )
    for manifest in [*bundled.crds(), *bundled.samples()]:
        cluster.apply_manifest(manifest)
    labels = {metadata_keys.CAN_USE: "true"}
    metadata = {
        "name": "standard",
        "labels": labels,
        "annotations": {metadata_keys.DISPLAY_NAME: "This computer"},
    }
    cluster.apply_manifest(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": metadata,
            "provisioner": "test",
        }
    )
    cluster.apply_manifest(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "fast"},
            "provisioner": "test",
        }
    )
    for name, held in (
        ("home", {metadata_keys.CAN_MOUNT: "true", metadata_keys.CAN_UPDATE: "true"}),
        ("locked", {}),
    ):
        cluster.apply_manifest(claim(name, held))


def collect_what_owns_nothing(server: ApiServer, loop: Any) -> None:
    """Remove the finalizer of a workspace deleted in the foreground, once it has no pod."""
    workspaces, pods = (
        server.engine.registry.get(group, version, plural) for group, version, plural in KINDS
    )
    assert workspaces is not None
    assert pods is not None

    def freed(held: Object) -> Object:
        return held | {"metadata": held["metadata"] | {"finalizers": []}}

    def collect(change: Any) -> None:
        for stored in server.engine.store.list(workspaces.name):
            metadata = stored.decode()["metadata"]
            held = [pod.decode()["metadata"] for pod in server.engine.store.list(pods.name)]
            mine = any(
                (pod.get("labels") or {}).get(metadata_keys.WORKSPACE_NAME) == metadata["name"]
                for pod in held
            )
            if metadata.get("finalizers") == ["foregroundDeletion"] and not mine:
                server.engine.patch(workspaces, metadata["namespace"], metadata["name"], freed)

    for row in (workspaces, pods):
        server.engine.store.listen(
            row.name, lambda change: loop.call_soon_threadsafe(collect, change)
        )


KINDS = (("kubeflow.org", "v1beta1", "workspaces"), ("", "v1", "pods"))


@pytest.fixture
def cluster(
    cluster_kind: str, request: pytest.FixtureRequest, jp_asyncio_loop: Any, tmp_path: Path
) -> Iterator[ApiServer | RealApi]:
    """The embedded API server, or a real one that is emptied before and after."""
    if cluster_kind == "real":
        real: RealCluster = request.getfixturevalue("real_cluster")

        async def empty() -> None:
            async with Cluster(real.endpoint()) as client:
                await clean(client)

        jp_asyncio_loop.run_until_complete(empty())
        found = RealApi(real)
        set_up(found)
        shutil.copy(real.kubeconfig, tmp_path / "kubeconfig")
        yield found
        jp_asyncio_loop.run_until_complete(empty())
        return
    store = filled_store(tmp_path, set_up)
    token = secrets.token_hex(8)
    server = ApiServer(store, token, Admission(store))
    port = jp_asyncio_loop.run_until_complete(server.start("127.0.0.1", 0))
    collect_what_owns_nothing(server, jp_asyncio_loop)
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
    yield server
    jp_asyncio_loop.run_until_complete(server.stop())
    store.close()


@pytest.fixture
def administrator(cluster_kind: str) -> str:
    """As whom the server asks."""
    return ADMIN if cluster_kind == "real" else "local-admin"


@pytest.fixture
def guarded(cluster_kind: str) -> None:
    """Skip tests of admission rules on a real cluster, which gets them by our webhook."""
    if cluster_kind == "real":
        pytest.skip("a real cluster without our webhook does not know our rules")


@pytest.fixture
def jp_server_config(cluster: ApiServer | RealApi, tmp_path: Path) -> Object:
    return {
        "ServerApp": {
            "jpserver_extensions": {
                "jupyter_workspaces": True,
                "jupyter_server_terminals": False,
                "jupyterlab": False,
                "jupyter_lsp": False,
            },
            "allow_unauthenticated_access": False,
            "reraise_server_extension_failures": True,
        },
        "JupyterWorkspaces": {"kubeconfig": str(tmp_path / "kubeconfig")},
    }


@pytest.fixture
def raw(jp_fetch: Any) -> Callable[..., Awaitable[HTTPResponse]]:
    """Ask the API and get the whole answer, whatever its status."""

    async def ask(
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        headers: Object | None = None,
        **more: Any,
    ) -> HTTPResponse:
        sent = dict(headers or {}) | ({"Content-Type": media} if body is not None else {})
        data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        parts = [part for part in path.split("/") if part]
        try:
            answer: HTTPResponse = await jp_fetch(
                *API,
                *parts,
                method=method,
                body=data,
                headers=sent,
                allow_nonstandard_methods=True,
                **more,
            )
        except HTTPClientError as error:
            if error.response is None:
                raise
            answer = error.response
        return answer

    return ask


@pytest.fixture
def ask(raw: Callable[..., Awaitable[HTTPResponse]]) -> Ask:
    """Ask the API: the status and the decoded body."""

    async def asked(method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        answer = await raw(method, path, body, **more)
        return answer.code, json.loads(answer.body) if answer.body else None

    return asked
