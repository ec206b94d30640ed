"""A small server of the Workspaces API over real HTTP, on a thread of its own.

It can lose responses and become unreachable.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

TOKEN = "open-sesame"
CREATED = "2026-09-21T14:00:00Z"
STEPS = ("accepted", "scheduled", "volumes", "image", "started", "ready")


def option(
    id: str, name: str, labels: dict[str, str] | None = None, **other: Any
) -> dict[str, Any]:
    tags = [{"key": key, "value": value} for key, value in (labels or {}).items()]
    return {
        "id": id,
        "displayName": name,
        "description": "",
        "labels": tags,
        "hidden": False,
        "restrictions": {"deny": False},
        **other,
    }


def kind(
    name: str = "jupyterlab", display_name: str = "JupyterLab", **other: Any
) -> dict[str, Any]:
    """A default that moved on, two images of one name, a size that is denied."""
    images = [
        option("scipy_180", "SciPy 1.8", hidden=True, redirect={"to": "scipy_190"}),
        option("scipy_190", "SciPy 1.9"),
        option("torch_cpu", "PyTorch"),
        option("torch_gpu", "PyTorch"),
    ]
    sizes = [
        option("tiny_cpu", "Tiny", {"cpu": "100m", "memory": "512Mi"}),
        option(
            "big_gpu",
            "Big",
            {"gpu": "1"},
            restrictions={"deny": True, "denyMessage": {"text": "ask for GPU access"}},
        ),
    ]
    return {
        "name": name,
        "displayName": display_name,
        "description": "Notebooks <b>and</b> files",
        "deprecated": False,
        "hidden": False,
        "logo": {"url": f"/api/v1/workspacekinds/{name}/assets/logo"},
        "clusterMetrics": {"workspacesCount": 0},
        "podTemplate": {
            "volumeMounts": {"home": "/home/jovyan"},
            "options": {
                "imageConfig": {"default": "scipy_180", "values": images},
                "podConfig": {"default": "tiny_cpu", "values": sizes},
            },
        },
        "restrictions": {"deny": False},
        **other,
    }


def workspace(
    name: str = "dora", state: str = "Running", namespace: str = "default", **other: Any
) -> dict[str, Any]:
    labels = [{"key": "cpu", "value": "100m"}, {"key": "memory", "value": "512Mi"}]
    return {
        "name": name,
        "namespace": namespace,
        "workspaceKind": {"name": "jupyterlab", "missing": False},
        "paused": state == "Paused",
        "pausedTime": 0,
        "lastRunningTime": 0,
        "state": state,
        "stateMessage": "",
        "podTemplate": {
            "options": {
                "imageConfig": {"current": option("scipy_190", "SciPy 1.9")},
                "podConfig": {"current": {**option("tiny_cpu", "Tiny"), "labels": labels}},
            }
        },
        "activity": {"lastActivity": 0, "lastUpdate": 0},
        "services": [
            {
                "httpService": {
                    "displayName": "JupyterLab",
                    "httpPath": f"/workspace/connect/{namespace}/{name}/jupyterlab/",
                }
            }
        ],
        "audit": {
            "createdAt": CREATED,
            "createdBy": "bella",
            "updatedAt": None,
            "updatedBy": None,
            "deletedAt": None,
        },
        **other,
    }


def claim(name: str) -> dict[str, Any]:
    spec = {
        "requests": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "storageClassName": "standard",
    }
    return {
        "name": name,
        "canMount": True,
        "canUpdate": True,
        "pods": [],
        "workspaces": [],
        "pvcSpec": spec,
    }


class Served:
    """The server. `asked` has the requests as (method, path, body)."""

    def __init__(self, api: str = "/api/v1", port: int = 0, base: str = "/") -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.models: dict[tuple[str, str], dict[str, Any]] = {}
        self.claims: dict[str, dict[str, Any]] = {}
        self.kinds = [kind(), kind("rstudio", "RStudio")]
        self.namespace = "default"
        self.cluster: dict[str, Any] = {
            "name": "local cluster",
            "embedded": True,
            "user": "me",
            "version": "1",
        }
        self.asked: list[tuple[str, str, Any]] = []
        self.lose: dict[
            str, int
        ] = {}  # how many answers to a "METHOD path" are lost after they took effect
        self.refuse: dict[str, tuple[int, dict[str, Any]]] = {}  # "METHOD path" to status and error
        self.slow_to_stop = False
        self.progress: Callable[[str, str], dict[str, Any]] = self._progress
        self.events: list[str | None] = []  # what each new stream says first; None ends that stream
        self.listed: list[int] = []  # how many workspaces each list had
        self.stale_since = ""
        self.kernels: list[dict[str, Any]] = []  # of every workspace
        self.log = b""  # instead of numbered lines
        self._api, self._base, self._port = api, base, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{self._base}"

    def start(self) -> Served:
        self._thread.start()
        self._on_loop(self._start())
        return self

    def stop(self) -> None:
        self._on_loop(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def add(self, *items: dict[str, Any]) -> Served:
        for item in items:
            self.items[(item["namespace"], item["name"])] = item
        return self

    def change(self, name: str, namespace: str = "default", **fields: Any) -> None:
        self.items[(namespace, name)] = {**self.items[(namespace, name)], **fields}

    def count(self, method: str, path: str) -> int:
        return sum(1 for asked in self.asked if asked[:2] == (method, path))

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        prefix = self._base.rstrip("/") + self._api
        raw = await request.read()
        body = json.loads(raw) if raw else None
        if request.path == f"{prefix}/healthcheck":
            return web.json_response({"status": "Healthy", "systemInfo": {"version": "1"}})
        if request.headers.get("Authorization") != f"token {TOKEN}":
            return self._error(401, "Sign in first.")
        if request.path.startswith(self._base.rstrip("/") + "/workspace/connect/"):
            self.asked.append((request.method, request.path, body))
            return self._inside(request, body)
        if not request.path.startswith(prefix + "/"):
            return web.Response(status=404)
        path = request.path.removeprefix(prefix + "/")
        self.asked.append((request.method, path, body))
        key = f"{request.method} {path}"
        if key in self.refuse:
            status, error = self.refuse[key]
            if status < 300:
                return self._data(error, status)  # it says yes and does nothing
            return web.json_response({"error": {"code": str(status), **error}}, status=status)
        answer = await self._route(request, path.split("/"), body)
        if self.stale_since:
            answer.headers["Jupyter-Workspaces-Stale-Since"] = self.stale_since
        if self.lose.get(key, 0) > 0:
            self.lose[key] -= 1
            assert request.transport is not None
            request.transport.close()
        return answer

    async def _route(self, request: web.Request, path: list[str], body: Any) -> web.StreamResponse:
        match (request.method, *path):
            case ("GET", "cluster"):
                return self._data({**self.cluster, "namespace": self.namespace})
            case ("GET", "namespaces"):
                return self._data([{"name": "default"}, {"name": "team"}])
            case ("GET", "workspacekinds"):
                return self._data(self.kinds)
            case ("GET", "storageclasses"):
                return self._data(
                    [{"name": "secret", "canUse": False}, {"name": "standard", "canUse": True}]
                )
            case ("GET", "workspaces"):
                return self._data(list(self.items.values()))
            case ("GET", "workspaces", namespace):
                wanted = request.query.get("filter", "").removeprefix("name=")
                found_items = [
                    item
                    for (where, name), item in self.items.items()
                    if where == namespace and wanted in ("", name)
                ]
                self.listed.append(len(found_items))
                return self._data(found_items)
            case ("POST", "workspaces", namespace):
                return self._create(namespace, body["data"])
            case ("GET", "workspaces", namespace, name):
                found = self.models.get((namespace, name))
                return (
                    self._data(found)
                    if found
                    else self._error(404, f"There is no workspace {name} in {namespace}.")
                )
            case ("DELETE", "workspaces", namespace, name):
                if self.slow_to_stop:
                    self.change(
                        name,
                        namespace,
                        state="Terminating",
                        audit={**self.items[namespace, name]["audit"], "deletedAt": CREATED},
                    )
                else:
                    self.items.pop((namespace, name), None)
                return web.Response(status=204)
            case ("POST", "workspaces", namespace, name, "actions", "pause"):
                paused = body["data"]["paused"]
                stopped = "Terminating" if self.slow_to_stop else "Paused"
                self.change(name, namespace, paused=paused, state=stopped if paused else "Running")
                return self._data({"paused": paused})
            case ("POST", "workspaces", namespace, name, "actions", "stop"):
                if (namespace, name) not in self.items:
                    return self._error(404, f"There is no workspace {name} in {namespace}.")
                if self.items[namespace, name]["audit"]["deletedAt"]:
                    del self.items[namespace, name]
                else:
                    self.change(name, namespace, state="Paused")
                return self._data({}, 202)
            case ("POST", "workspaces", namespace, name, "actions", "restart"):
                self.change(name, namespace, lastRunningTime=1)
                return self._data({})
            case ("GET", "workspaces", namespace, name, "progress"):
                if (namespace, name) not in self.items:
                    return self._error(404, f"There is no workspace {name} in {namespace}.")
                return self._data(self.progress(namespace, name))
            case ("GET", "workspaces", _, _, "podtemplate", "logs", "batch"):
                lines = [
                    f"{CREATED} line {number}\n"
                    for number in range(int(request.query["tailLines"]))
                ]
                return web.Response(body=self.log or "".join(lines).encode())
            case ("GET", "persistentvolumeclaims", _):
                return self._data(list(self.claims.values()))
            case ("POST", "persistentvolumeclaims", _):
                self.claims[body["data"]["name"]] = claim(body["data"]["name"])
                return self._data(body["data"], 201)
            case ("DELETE", "persistentvolumeclaims", _, name):
                self.claims.pop(name, None)
                return web.Response(status=204)
            case ("GET", "events"):
                return await self._stream(request)
        return self._error(404, "There is nothing at this address.")

    def _create(self, namespace: str, model: dict[str, Any]) -> web.Response:
        key = (namespace, model["name"])
        if key in self.items:
            return self._error(409, f"There is a workspace {model['name']} already.")
        self.models[key] = {**model, "revision": "1"}
        self.add(workspace(model["name"], "Paused" if model["paused"] else "Running", namespace))
        return self._data(model, 201)

    def _progress(self, namespace: str, name: str) -> dict[str, Any]:
        item = self.items[(namespace, name)]
        steps = [
            {
                "id": step,
                "name": step.title(),
                "state": "done",
                "startedAt": 1,
                "seconds": 0.5,
                "message": "",
            }
            for step in STEPS
        ]
        return {"steps": steps, "state": item["state"], "stateMessage": item["stateMessage"]}

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        self.asked.append(("STREAM", request.headers.get("Last-Event-ID", ""), None))
        while self.events:
            text = self.events.pop(0)
            if text is None:
                return stream
            await stream.write(text.encode())
        await asyncio.sleep(30)
        return stream

    def _inside(self, request: web.Request, body: Any) -> web.Response:
        """What runs in a workspace: it says what it was asked."""
        if request.path.endswith("/api/kernels"):
            return web.json_response(self.kernels)
        if request.path.endswith("/missing"):
            return web.json_response({"message": "No such file"}, status=404)
        return web.json_response({"method": request.method, "path": request.path, "body": body})

    @staticmethod
    def _data(data: Any, status: int = 200) -> web.Response:
        return web.json_response({"data": data}, status=status)

    @staticmethod
    def _error(status: int, message: str) -> web.Response:
        return web.json_response(
            {"error": {"code": str(status), "message": message}}, status=status
        )


def event(kind: str, data: Any, id: str = "") -> str:
    """As it stands in a stream (WHATWG HTML, Server-sent events)."""
    return (f"id: {id}\n" if id else "") + f"event: {kind}\ndata: {json.dumps(data)}\n\n"
