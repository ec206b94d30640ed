"""Workspaces server in memory, with changes, errors and lost connections on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_workspaces.client.errors import WorkspaceError

CREATED = "2026-09-21T14:00:00Z"
LOGO = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def option(
    id: str, name: str, labels: Mapping[str, str] | None = None, **other: Any
) -> dict[str, Any]:
    """One value of a kind's option (docs/api.md)."""
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


def kind(name: str = "jupyterlab", **other: Any) -> dict[str, Any]:
    """One item of the kind list: a redirected image, a hidden one, a denied size."""
    images = [
        option(
            "scipy_180",
            "SciPy 1.8",
            redirect={
                "to": "scipy_190",
                "message": {"text": "1.8 goes in May", "level": "Warning"},
            },
        ),
        option("scipy_190", "SciPy 1.9", {"python": "3.11"}, description="The usual stack"),
        option("nightly", "Nightly", hidden=True),
    ]
    sizes = [
        option("tiny_cpu", "Tiny", {"cpu": "100m", "memory": "512Mi"}),
        option("small_cpu", "Small", {"cpu": "2", "memory": "4Gi"}),
        option(
            "big_gpu",
            "Big",
            {"cpu": "8", "gpu": "1"},
            restrictions={"deny": True, "denyMessage": {"text": "ask for GPU access"}},
        ),
    ]
    return {
        "name": name,
        "displayName": "JupyterLab",
        "description": "Notebooks, a terminal and an editor",
        "deprecated": False,
        "deprecationMessage": "",
        "hidden": False,
        "icon": {"url": f"/workspaces/api/v1/workspacekinds/{name}/assets/icon"},
        "logo": {"url": f"/workspaces/api/v1/workspacekinds/{name}/assets/logo"},
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
    """One item of the workspace list (docs/api.md)."""
    image = {"id": "scipy_190", "displayName": "SciPy 1.9", "description": "", "labels": []}
    labels = [{"key": "cpu", "value": "2000m"}, {"key": "memory", "value": "4Gi"}]
    size = {"id": "small_cpu", "displayName": "Small", "description": "", "labels": labels}
    return {
        "name": name,
        "namespace": namespace,
        "workspaceKind": {
            "name": "jupyterlab",
            "missing": False,
            "icon": {"url": ""},
            "logo": {"url": ""},
        },
        "paused": state == "Paused",
        "pausedTime": 0,
        "lastRunningTime": 0,
        "state": state,
        "stateMessage": "",
        "podTemplate": {
            "options": {"imageConfig": {"current": image}, "podConfig": {"current": size}}
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


@dataclass
class Change:
    event: str
    data: Any


@dataclass
class RecordedServer:
    """A `PanelClient` that records requests in `asked`.

    `refuse` maps operations to the errors that they raise, `slow` delays responses.
    """

    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    kinds: list[dict[str, Any]] = field(default_factory=lambda: [kind()])
    namespace: str = "default"
    root: str = "http://127.0.0.1:8888/"
    same_page: bool = True
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    refuse: dict[str, WorkspaceError] = field(default_factory=dict)
    known_claims: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    stale_first: dict[str, Any] | None = None
    """What every new stream says before its snapshot."""
    kernels: list[dict[str, Any]] | None = None
    """Running kernels of every workspace; None where its program is no Jupyter server."""
    listeners: list[asyncio.Queue[Change | None]] = field(default_factory=list)

    def add(self, *items: dict[str, Any]) -> RecordedServer:
        self.items.update({f"{item['namespace']}/{item['name']}": item for item in items})
        return self

    def push(self, item: dict[str, Any], change: str = "MODIFIED") -> None:
        """Something changed in the cluster."""
        key = f"{item['namespace']}/{item['name']}"
        if change == "DELETED":
            self.items.pop(key, None)
        else:
            self.items[key] = item
        for listener in self.listeners:
            listener.put_nowait(Change("workspace", {"type": change, "object": item}))

    def resync(self) -> None:
        """This listener was too slow."""
        for listener in self.listeners:
            listener.put_nowait(Change("resync", {}))

    def stale(self, since: str | None, reason: str = "") -> None:
        """The cluster of the server is stale since then; live with None."""
        self.say("stale", {"since": since, "reason": reason})

    def say(self, event: str, data: Any) -> None:
        """One event to all who listen."""
        for listener in self.listeners:
            listener.put_nowait(Change(event, data))

    def lose(self) -> None:
        """The connection breaks."""
        for listener in self.listeners:
            listener.put_nowait(None)

    async def changes(self, namespace: str | None) -> AsyncIterator[Change]:
        self._note("changes", namespace)
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self.listeners.append(queue)
        try:
            if self.stale_first:
                yield Change("stale", self.stale_first)
            shown = [item for item in self.items.values() if namespace in (None, item["namespace"])]
            yield Change("snapshot", {"workspaces": shown, "workspaceKinds": self.kinds})
            while (change := await queue.get()) is not None:
                yield change
            raise WorkspaceError(
                "The server ended the connection.", "The panel retries automatically."
            )
        finally:
            self.listeners.remove(queue)

    async def cluster(self) -> dict[str, Any]:
        self._note("cluster")
        return {
            "name": "local cluster",
            "embedded": True,
            "user": "local-admin",
            "namespace": "default",
            "version": "1",
        }

    async def namespaces(self) -> list[str]:
        self._note("namespaces")
        return ["default", "team-risk"]

    async def pause(self, namespace: str, name: str, paused: bool) -> None:
        self._note("pause", namespace, name, paused)
        item = self.items[f"{namespace}/{name}"]
        self.push({**item, "paused": paused})

    async def restart(self, namespace: str, name: str) -> None:
        self._note("restart", namespace, name)

    async def stop_now(self, namespace: str, name: str) -> None:
        self._note("stop_now", namespace, name)

    async def delete(self, namespace: str, name: str) -> None:
        self._note("delete", namespace, name)
        self.push(self.items[f"{namespace}/{name}"], "DELETED")

    async def create(self, namespace: str, body: Mapping[str, Any]) -> None:
        self._note("create", namespace, body)
        self.push(workspace(body["name"], "Pending", namespace), "ADDED")

    async def progress(self, namespace: str, name: str) -> dict[str, Any]:
        self._note("progress", namespace, name)
        return {"steps": self.steps, "state": "Pending", "stateMessage": ""}

    async def events(self, namespace: str, name: str) -> list[dict[str, Any]]:
        self._note("events", namespace, name)
        return [
            {
                "time": 1,
                "type": "Normal",
                "reason": "Pulled",
                "message": "The image is there",
                "object": f"Pod/{name}",
                "count": 1,
            }
        ]

    async def details(self, namespace: str, name: str) -> dict[str, Any]:
        self._note("details", namespace, name)
        home = {"pvcName": "home-bella", "mountPath": "/home/jovyan", "readOnly": False}
        return {
            "podMetadata": {},
            "volumes": {"home": home, "data": []},
            "pod": {"name": f"ws-{name}-0", "nodeName": "local"},
        }

    async def logs(self, namespace: str, name: str, tail: int) -> AsyncIterator[str]:
        self._note("logs", namespace, name)
        for line in ("one", "two"):
            yield line

    async def claims(self, namespace: str) -> list[dict[str, Any]]:
        self._note("claims", namespace)
        return self.known_claims

    async def model(self, namespace: str, name: str) -> dict[str, Any]:
        self._note("model", namespace, name)
        return {}

    async def create_claim(self, namespace: str, name: str, size: str) -> None:
        self._note("create_claim", namespace, name, size)

    async def delete_claim(self, namespace: str, name: str) -> None:
        self._note("delete_claim", namespace, name)

    async def connect_request(
        self, method: str, path: str, body: Any = None
    ) -> tuple[int, str, bytes]:
        self._note("connect_request", method, path)
        return (
            (404, "text/html", b"")
            if self.kernels is None
            else (200, "application/json", json.dumps(self.kernels).encode())
        )

    async def picture(self, url: str) -> tuple[str, bytes]:
        self._note("picture", url)
        return "image/svg+xml", LOGO

    def _note(self, operation: str, *arguments: Any) -> None:
        self.asked.append((operation, *arguments))
        if (error := self.refuse.get(operation)) is not None:
            raise error


def claim(name: str, size: str = "5Gi", **other: Any) -> dict[str, Any]:
    """One item of the claim list (docs/api.md)."""
    spec = {
        "requests": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "storageClassName": "local",
    }
    return {
        "name": name,
        "canMount": True,
        "canUpdate": True,
        "pods": [],
        "workspaces": [],
        "pvcSpec": spec,
        **other,
    }
