"""A Jupyter server with the proxy, a small app behind it, and what the cluster says of that app."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.http.problems import conflict
from jupyter_workspaces.server.proxy import close, routes

ADDRESS = "127.83.7.1"
PATH = "workspace/connect/team-a/small/web/"
INNER_TOKEN = "the-token-of-the-workspace"
PORT = 8888


at_both_bases = pytest.mark.parametrize("jp_base_url", ["/", "/user/x%40y/"])


class Cluster:
    """Client with the only read that the proxy makes itself."""

    def __init__(self, view: View) -> None:
        self.endpoint = SimpleNamespace(embedded=True, in_cluster=False, name="local cluster")
        self.view, self.tokens, self.asked = view, {"small-token": INNER_TOKEN}, 0
        self.owners: dict[
            str, dict[str, Any]
        ] = {}  # of Secrets that do not belong to the workspace

    async def get(self, resource: Any, name: str, namespace: str) -> dict[str, Any]:
        self.asked += 1
        if name not in self.tokens:
            raise NotFound(f'secrets "{name}" not found')
        owner = self.owners.get(name, self.view.there)
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
        reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
        labels = {"notebooks.kubeflow.org/workspace-name": owner["metadata"]["name"]}
        metadata = {
            "namespace": namespace,
            "name": name,
            "labels": labels,
            "ownerReferences": [reference],
        }
        return {
            "metadata": metadata,
            "type": "Opaque",
            "data": {"token": base64.b64encode(self.tokens[name].encode()).decode()},
        }


class View:
    """A cluster with one workspace `small` in `team-a`, whose pod is the small program."""

    def __init__(self, port: int) -> None:
        self.cluster = Cluster(self)
        self.problem: Exception | None = None
        self.unreachable: Exception | None = None
        self.restarted: list[str] = []
        self.listeners: list[Any] = []
        self.steps = [
            SimpleNamespace(name=name, state="done", seconds=0.5)
            for name in ("Accepted", "Scheduled", "Started", "Ready")
        ]
        self.service: dict[str, Any] | None = None
        self.there: dict[str, Any] | None = {
            "apiVersion": WORKSPACES.api_version,
            "kind": WORKSPACES.kind,
            "metadata": {"namespace": "team-a", "name": "small", "uid": "the-uid-of-small"},
            "spec": {
                "kind": "app",
                "paused": False,
                "podTemplate": {"options": {"imageConfig": "one", "podConfig": "tiny"}},
            },
            "status": {
                "state": "Running",
                "stateMessage": "Running.",
                "podTemplatePod": {"name": "ws-small-0"},
            },
        }
        self.proxy: dict[str, Any] = {}
        image = {"id": "one", "spec": {"image": "app", "ports": [{"id": "web", "port": PORT}]}}
        ports = [
            {"id": "web", "protocol": "HTTP", "defaultDisplayName": "Web", "httpProxy": self.proxy}
        ]
        template = {"ports": ports, "options": {"imageConfig": {"values": [image]}}}
        self.kind = {"metadata": {"name": "app"}, "spec": {"podTemplate": template}}
        self.pod = {
            "metadata": {
                "namespace": "team-a",
                "name": "ws-small-0",
                "uid": "1",
                "labels": {"notebooks.kubeflow.org/workspace-name": "small"},
                "annotations": {
                    f"jupyter-workspaces/local-port.{PORT}": str(port),
                    "jupyter-workspaces/token-secret": "small-token",
                },
            },
            "spec": {"nodeName": "local"},
            "status": {
                "phase": "Running",
                "podIP": ADDRESS,
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }

    def workspace(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.there if (namespace, name) == ("team-a", "small") else None

    def kind_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None:
        return self.kind

    def pod_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None:
        return self.pod

    def service_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None:
        return self.service

    def strangers_of(
        self, workspace: dict[str, Any], service: dict[str, Any]
    ) -> list[dict[str, Any]]:
        return []

    async def reach(self, namespace: str) -> None:
        if self.unreachable is not None:
            raise self.unreachable

    @property
    def workspaces(self) -> View:
        return self

    def listen(self, listener: Any) -> Any:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def delete(self) -> None:
        """Return the workspace, as a watch event contains it."""
        gone, self.there = self.there, None
        for listener in list(self.listeners):
            listener("DELETED", gone, gone)

    async def ready(self, seconds: float = 20, *, stale: bool = False) -> SimpleNamespace:
        if self.problem is not None:
            raise self.problem
        return SimpleNamespace(cluster=self, workspaces=self, pods=self)

    async def pause(self, namespace: str, name: str, paused: bool) -> None:
        if self.there["status"]["state"] != "Paused":
            raise conflict(f"{name} is not paused.")
        self.there["spec"]["paused"] = paused
        self.unready()

    async def restart(self, namespace: str, name: str) -> None:
        self.restarted.append(name)

    async def progress(self, namespace: str, name: str) -> SimpleNamespace:
        return SimpleNamespace(steps=self.steps)

    def paused(self) -> None:
        self.there["spec"]["paused"], self.pod = True, None
        self.there["status"].update(state="Paused", stateMessage="Paused.")

    def without_token(self) -> None:
        del self.pod["metadata"]["annotations"]["jupyter-workspaces/token-secret"]

    def unready(self) -> None:
        self.there["status"].update(
            state="Pending", stateMessage="Started; waiting until it answers."
        )
        if self.pod is not None:
            self.pod["status"]["conditions"] = []


@contextmanager
def small_app(address: str, port: int = 0) -> Iterator[int]:
    """Run the small program as a process. Yields its port."""
    command = [sys.executable, str(Path(__file__).with_name("upstream.py")), address, str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


@pytest.fixture(scope="session")
def upstream() -> Iterator[int]:
    """Run the small program at an address of its own. Yields its port."""
    with small_app(ADDRESS) as port:
        yield port


@pytest.fixture
def view(upstream: int) -> View:
    return View(upstream)


@pytest.fixture
def jp_base_url() -> str:
    """A base URL other than `/`. Tests that may differ at `/` use `at_both_bases`."""
    return "/user/x%40y/"


@pytest.fixture
def server(jp_serverapp: Any, http_server: Any, view: View, jp_asyncio_loop: Any) -> Iterator[Any]:
    """A Jupyter server with the proxy."""
    web_app = jp_serverapp.web_app
    web_app.settings["allow_unauthenticated_access"] = (
        False  # then a route that anybody may use is an error
    )
    web_app.settings["jupyter_workspaces"] = SimpleNamespace(ready=view.ready)
    web_app.add_handlers(".*$", routes(jp_serverapp.base_url))
    yield jp_serverapp
    jp_asyncio_loop.run_until_complete(close(web_app.settings))


class Browser:
    """Client of the server. Its headers authenticate; `get` and others request the workspace."""

    def __init__(self, server: Any, session: aiohttp.ClientSession) -> None:
        self.session, self.base = session, server.base_url
        self.host = f"127.0.0.1:{server.port}"
        self.origin = f"http://{self.host}"
        self.token = server.identity_provider.token
        self.signed = {"Authorization": f"token {self.token}"}

    def url(self, rest: str = "", path: str = PATH) -> Any:
        from yarl import URL

        return URL(f"{self.origin}{self.base}{path}{rest}", encoded=True)

    def request(
        self,
        method: str,
        rest: str = "",
        *,
        path: str = PATH,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Any:
        sent = self.signed if headers is None else headers
        return self.session.request(
            method, self.url(rest, path), headers=sent, allow_redirects=False, **more
        )

    def socket(
        self, rest: str = "socket", *, headers: dict[str, str] | None = None, **more: Any
    ) -> Any:
        return self.session.ws_connect(
            self.url(rest), headers=self.signed if headers is None else headers, **more
        )

    async def cookie(self) -> str:
        """Return the `Cookie` header of a signed-in user."""
        async with self.session.get(self.url(path="api/me"), headers=self.signed) as answer:
            assert answer.status == 200
            return "; ".join(
                f"{name}={morsel.coded_value}" for name, morsel in answer.cookies.items()
            )


@pytest.fixture
def browser(server: Any, jp_asyncio_loop: Any) -> Iterator[Browser]:
    async def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, max_line_size=2**16
        )

    session = jp_asyncio_loop.run_until_complete(open_session())
    yield Browser(server, session)
    jp_asyncio_loop.run_until_complete(session.close())
