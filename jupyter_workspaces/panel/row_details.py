"""Details below an open row: steps, events, facts, commands and log, updated while it is open."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

from jupyter_workspaces.client import formatting, stop_warnings
from jupyter_workspaces.client.errors import WorkspaceError
from jupyter_workspaces.common.supervision import SupervisedTask

from .model import Model
from .protocols import PanelClient

OPEN_AT_ONCE = 6  # rows that are updated; then the one opened first is no longer
EVENTS_SHOWN = 30
LOG_TAIL = 200  # lines
LOG_EVERY = 0.1  # seconds in which lines are collected into one message
LOG_BATCH = 200  # lines a message
SETTLE = 0.3  # seconds between a change of the workspace and the next requests


class Host(Protocol):
    """What the details need from the panel's session: its state, messages and tasks."""

    model: Model
    client: PanelClient | None

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to the page."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work in the background until the panel closes."""

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> SupervisedTask:
        """Start a supervised task."""

    def drop(self, task: SupervisedTask | None) -> None:
        """Cancel a supervised task."""

    def show_health(self) -> None:
        """Show the failing tasks on the page."""


class RowDetails:
    """Open rows of one panel, with a task for the details and one for the log of each."""

    def __init__(self, session: Host) -> None:
        """Create it for a session, without open rows."""
        self._session = session
        self._open: dict[str, SupervisedTask] = {}
        self._logs: dict[str, asyncio.Task[None]] = {}
        self._changed: dict[str, asyncio.Event] = {}

    @property
    def tasks(self) -> list[SupervisedTask]:
        """Tasks that refresh the details of open rows."""
        return list(self._open.values())

    def toggle(self, key: str, wanted: bool) -> None:
        """Open or close the details of a row."""
        self._stop(key)
        if not wanted or self._session.model.item(key) is None:
            return
        while len(self._open) >= OPEN_AT_ONCE:
            self._stop(next(iter(self._open)))
        self._changed[key] = asyncio.Event()
        self._open[key] = self._session.keep(
            f"Updating the details of {key}", lambda: self._refresh(key)
        )
        self.follow(key, True)

    def follow(self, key: str, wanted: bool) -> None:
        """Follow the log of an open row, or stop following."""
        if (task := self._logs.pop(key, None)) is not None:
            task.cancel()
        if wanted and key in self._open:
            self._logs[key] = self._session.spawn(self._read_log(key))

    def changed(self, key: str) -> None:
        """Reload details and an ended log after a change of the workspace."""
        if key in self._changed:
            self._changed[key].set()

    def show_steps(self, key: str, progress: Mapping[str, Any]) -> None:
        """Show steps that were loaded for the row."""
        if key in self._open:
            self._session.tell({"type": "details", "key": key, "steps": progress["steps"]})

    def close(self) -> None:
        """Close all rows."""
        for key in list(self._open):
            self._stop(key)

    async def stop(self) -> None:
        """Close all rows and wait for the end of their tasks."""
        tasks = self.tasks
        self.close()
        await asyncio.gather(*(task.stop() for task in tasks))

    async def explain_delete(self, key: str) -> None:
        """Show what is deleted together with this workspace, and what is kept."""
        namespace, _, name = key.partition("/")
        item = self._session.model.item(key)
        if self._session.client is None or item is None:
            return
        with contextlib.suppress(WorkspaceError):  # the page shows a general sentence
            details = await self._session.client.details(namespace, name)
            names = [volume["pvcName"] for volume in _volumes(details)]
            lost = (
                "Its programs stop, and files outside its volumes are lost."
                if names
                else "It has no volumes: all its files are lost."
            )
            said = [
                await stop_warnings.of_stopping(self._session.client, item),
                lost,
                stop_warnings.volumes_stay(names),
            ]
            text = " ".join(part for part in said if part)
            self._session.tell({"type": "ask", "key": key, "action": "delete", "text": text})

    def _stop(self, key: str) -> None:
        self.follow(key, False)
        self._changed.pop(key, None)
        self._session.drop(self._open.pop(key, None))
        self._session.show_health()

    async def _refresh(self, key: str) -> None:
        changed = self._changed[key]
        while True:
            changed.clear()
            await self._send_all(key)
            if key in self._open:
                self._open[key].progressed()
            await changed.wait()
            await asyncio.sleep(SETTLE)
            if key not in self._logs or self._logs[key].done():
                self.follow(key, key in self._logs)

    async def _send_all(self, key: str) -> None:
        session, (namespace, _, name) = self._session, key.partition("/")
        item, client = session.model.item(key), session.client
        if item is None or client is None:
            return
        session.tell(
            {
                "type": "details",
                "key": key,
                "commands": commands(namespace, name),
                "raw": json.dumps(item, indent=2),
            }
        )
        for part, ask in (
            ("steps", client.progress),
            ("events", client.events),
            ("facts", client.details),
        ):
            try:
                answer: Any = await ask(namespace, name)
            except WorkspaceError as error:
                session.tell({"type": "details", "key": key, **_unknown(part, str(error))})
                continue
            if part == "steps":
                answer = answer["steps"]
            elif part == "events":
                answer = list(reversed(answer[-EVENTS_SHOWN:]))
            else:
                answer = facts(item, answer)
            session.tell({"type": "details", "key": key, part: answer})

    async def _read_log(self, key: str) -> None:
        session, (namespace, _, name) = self._session, key.partition("/")
        if session.client is None:
            return
        loop, first, sent = asyncio.get_running_loop(), True, 0.0
        lines: list[str] = []
        ended = "End of the log."
        later: asyncio.TimerHandle | None = None

        def send() -> None:
            nonlocal first, sent, later
            session.tell(
                {"type": "log", "key": key, "lines": lines[:], "reset": first, "ended": ""}
            )
            lines.clear()
            first, sent, later = False, loop.time(), None

        try:
            async with contextlib.aclosing(session.client.logs(namespace, name, LOG_TAIL)) as read:  # type: ignore[type-var]
                async for line in read:
                    lines.append(line)
                    if len(lines) >= LOG_BATCH:
                        send()
                        await asyncio.sleep(LOG_EVERY)  # limits the messages to the page
                    elif later is None:
                        later = loop.call_at(max(loop.time(), sent + LOG_EVERY), send)
        except WorkspaceError as error:
            ended = str(error)
        finally:
            if later is not None:
                later.cancel()
        session.tell({"type": "log", "key": key, "lines": lines, "reset": first, "ended": ended})


def commands(namespace: str, name: str) -> list[dict[str, str]]:
    """Return commands for the workspace. Its names are DNS labels, so they need no quoting."""
    return [
        {"label": "Python", "text": f'jw.get("{name}", namespace="{namespace}")'},
        {"label": "Shell", "text": f"jupyter workspaces open {name} --namespace {namespace}"},
        {"label": "kubectl", "text": f"kubectl describe workspace {name} --namespace {namespace}"},
    ]


def facts(item: Mapping[str, Any], details: Mapping[str, Any]) -> list[list[str]]:
    """Return terms and values about a workspace."""
    options, pod = item["podTemplate"]["options"], details.get("pod") or {}
    size = options["podConfig"]["current"]
    found = [
        ["Kind", item["workspaceKind"]["name"]],
        ["Image", formatting.option(options["imageConfig"]["current"])],
        [
            "Size",
            " · ".join(
                part
                for part in (formatting.option(size), formatting.size(size.get("labels")))
                if part
            ),
        ],
    ]
    found += [
        [
            "Volume",
            f"{volume['pvcName']} at {volume['mountPath']}"
            + (", read-only" if volume.get("readOnly") else ""),
        ]
        for volume in _volumes(details)
    ]
    if creator := (item.get("audit") or {}).get("createdBy"):
        found.append(["Created by", str(creator)])
    if pod.get("name"):
        found.append(
            ["Pod", f"{pod['name']}" + (f" on {pod['nodeName']}" if pod.get("nodeName") else "")]
        )
    return found


def _volumes(details: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    volumes = details.get("volumes") or {}
    return [volume for volume in (volumes.get("home"), *(volumes.get("data") or ())) if volume]


def _unknown(part: str, why: str) -> dict[str, Any]:
    if part == "steps":
        return {"steps": [{"name": why, "state": "waiting", "seconds": None, "message": ""}]}
    return {"facts": [["Unknown", why]]} if part == "facts" else {"events": []}
