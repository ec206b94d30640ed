"""A Jupyter server with the extension, in front of a real embedded API server without controllers: tests write the status themselves."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from requests_and_objects import API, Ask, Object, claim
from tornado.httpclient import HTTPClientError, HTTPResponse

from jupyter_workspaces.local.admission import Admission
from jupyter_workspaces.local.apiserver.server import ApiServer
from jupyter_workspaces.local.apiserver.store import Store
from jupyter_workspaces.resources import load, names


@pytest.fixture
def cluster(jp_asyncio_loop: Any, tmp_path: Path) -> Iterator[ApiServer]:
    """The API server with both CRDs, the sample kinds, a namespace, a class and two claims; one of them may not be mounted."""
    store = Store.open(tmp_path / "cluster.db")
    token = secrets.token_hex(8)
    server = ApiServer(store, token, Admission(store))
    port = jp_asyncio_loop.run_until_complete(server.start("127.0.0.1", 0))
    for name in ("default", "jupyter-workspaces", "team-a"):
        server.apply_manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for manifest in [*load.crds(), *load.samples()]:
        server.apply_manifest(manifest)
    labels = {names.CAN_USE: "true"}
    metadata = {"name": "standard", "labels": labels, "annotations": {names.DISPLAY_NAME: "This computer"}}
    server.apply_manifest({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata, "provisioner": "test"})
    server.apply_manifest({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": "test"})
    for name, held in (("home", {names.CAN_MOUNT: "true", names.CAN_UPDATE: "true"}), ("locked", {})):
        server.apply_manifest(claim(name, held))
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
def jp_server_config(cluster: ApiServer, tmp_path: Path) -> Object:
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
        method: str, path: str, body: Any = None, *, media: str = "application/json", headers: Object | None = None, **more: Any
    ) -> HTTPResponse:
        sent = dict(headers or {}) | ({"Content-Type": media} if body is not None else {})
        data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        parts = [part for part in path.split("/") if part]
        try:
            answer: HTTPResponse = await jp_fetch(
                *API, *parts, method=method, body=data, headers=sent, allow_nonstandard_methods=True, **more
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
