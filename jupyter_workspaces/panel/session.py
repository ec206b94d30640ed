"""Session of a panel: reads the event stream, performs actions and updates the front end.

All code runs on the client's private thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from jupyter_workspaces.client import stop_warnings
from jupyter_workspaces.client.errors import WorkspaceError
from jupyter_workspaces.common.supervision import (
    Backoff,
    SupervisedTask,
    Supervisor,
    TaskHealth,
)
from jupyter_workspaces.common.timestamps import milliseconds

from . import rows
from .liveness import Liveness
from .model import Model
from .protocols import PanelClient, StreamEvent
from .row_details import RowDetails

log = logging.getLogger(__name__)

Message = dict[str, Any]
Tell = Callable[[Message], None]

FLUSH = 0.05  # seconds in which changes are collected into one message
RETRY_FIRST, RETRY_LONGEST = 0.5, 30.0  # seconds between attempts to connect
UNSEEN_LIMIT = 600.0  # seconds until a panel that no page has shown disconnects
CLOSED_LIMIT = 60.0  # seconds until it disconnects after the last page closed it
ACTIONS_AT_ONCE = 16
STARTS_FOLLOWED = 4  # starting workspaces whose steps are shown on their rows
STEP_EVERY = 1.0  # seconds
ALL = "*"

# Label of a starting workspace, by its current step.
DOING = {
    "accepted": "accepting",
    "scheduled": "finding a machine",
    "volumes": "volumes",
    "image": "image",
    "started": "launching",
    "ready": "waiting for {kind}",
}


class Session:
    """Connection of one panel. Created anywhere; only `first` may be called from other threads."""

    def __init__(
        self, connect: Callable[[], Awaitable[PanelClient]], namespace: str | None, tell: Tell
    ) -> None:
        """Create a session.

        Args:
            connect: Returns the client of the server.
            namespace: Namespace to list, `"*"` for all; None for the server's own.
            tell: Sends a message to the page.
        """
        self._connect, self._tell = connect, tell
        self.model = Model()
        self.namespace = namespace
        self.client: PanelClient | None = None
        self.answered = threading.Event()  # set after the first response or failure
        self.on_kinds: Callable[[], None] = lambda: None
        self.on_rows: Callable[[], None] = lambda: None
        self._place: Message = {"cluster": "", "namespaces": []}
        self.liveness = Liveness(tell)
        self._once = Supervisor(log)
        self._stream: SupervisedTask | None = None
        self._starts: SupervisedTask | None = None
        self._has_starting = asyncio.Event()
        self._views: set[str] = set()
        self._leave: asyncio.TimerHandle | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._flushed = 0.0
        self._room = asyncio.Semaphore(ACTIONS_AT_ONCE)
        self._details = RowDetails(self)

    # --- from any thread

    def first(self) -> Message:
        """Return the current state for a new page: rows, cluster, namespaces, liveness."""
        return {
            "rows": self.model.rows(),
            "now": int(time.time() * 1000),
            "namespace": self.namespace or "",
            "base": {"page": self.client.same_page, "url": self.client.root}
            if self.client
            else {"page": True, "url": ""},
            "live": self.liveness.message,
            **self._place,
        }

    # --- on the private thread

    def open(self) -> None:
        """Connect, and stay connected until `close` or until no page shows the panel."""
        if self._stream is None:
            self._listen()
        if not self._views:
            self._disconnect_in(UNSEEN_LIMIT)

    async def close(self) -> None:
        """Stop all tasks and wait for their end."""
        self._stay_connected()
        if self._flush is not None:
            self._flush.cancel()
        tasks = [task for task in (self._stream, self._starts) if task is not None]
        self._stream = self._starts = None
        self.liveness.close()
        await asyncio.gather(self._details.stop(), *(task.stop() for task in tasks))
        await self._once.stop()

    @property
    def health(self) -> list[TaskHealth]:
        """Health of the long-lived tasks of this panel."""
        return [
            task.health
            for task in (self._stream, self._starts, *self._details.tasks)
            if task is not None
        ]

    def handle(self, message: Message) -> None:
        """Handle a message of the page. Ignores unknown ones, from pages of other versions."""
        kind, key = message["type"], str(message.get("key", ""))
        if kind == "mount":
            self._mount(str(message.get("view", "")))
        elif kind == "unmount":
            self._views.discard(str(message.get("view", "")))
            if not self._views:
                self._disconnect_in(CLOSED_LIMIT)
        elif kind == "retry":
            self.reconnect()
        elif kind == "namespace":
            self.go_to(str(message.get("name", "")))
        elif kind == "action":
            self.spawn(self.act(key, str(message.get("id", "")), sure=bool(message.get("sure"))))
        elif kind == "dismiss":
            self.model.note(key, "")
            self.changed()
        elif kind == "ask":
            self.spawn(self._details.explain_delete(key))
        elif kind == "details":
            self._details.toggle(key, bool(message.get("open")))
        elif kind == "logs":
            self._details.follow(key, bool(message.get("follow")))

    def tell(self, message: Message) -> None:
        """Send a message to the page."""
        self._tell(message)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work in the background until the panel closes. Logs and shows exceptions."""
        task = self._once.run_once("A task of the panel", work)
        task.add_done_callback(self._spawned)
        return task

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> SupervisedTask:
        """Start a supervised task: logs and shows failures, and retries."""
        task = SupervisedTask(name, work, log=log, on_change=lambda _health: self.show_health())
        task.start()
        return task

    def drop(self, task: SupervisedTask | None) -> None:
        """Cancel a task of `keep` and wait for its end in the background."""
        if task is not None:
            task.cancel()
            self.spawn(task.stop())

    def show_health(self) -> None:
        """Show the failing tasks on the page."""
        ill = [found for found in self.health if not found.healthy]
        stream = self._stream.health if self._stream is not None else None
        if stream is not None and not stream.healthy:
            text = f"The panel cannot read the server's events ({stream.problem})."
            self.liveness.lost(
                WorkspaceError(text, "The panel retries automatically. See the kernel's log."),
                shown=bool(self.model.rows()),
            )
        others = [f"{found.name} failed ({found.problem})." for found in ill if found is not stream]
        self.liveness.problem(
            " ".join([*others, "The panel retries automatically. See the kernel's log."])
            if others
            else ""
        )

    def changed(self) -> None:
        """Send changes of the model to the page, at most every `FLUSH` seconds."""
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_at(max(loop.time(), self._flushed + FLUSH), self._send_delta)

    def reconnect(self) -> None:
        """Reconnect now, without waiting for the end of the backoff."""
        self.drop(self._stream)
        self.liveness.connecting()
        self._listen()

    def go_to(self, namespace: str) -> None:
        """Show another namespace, or all (`*`)."""
        if (
            namespace
            and namespace != self.namespace
            and namespace in (ALL, *self._place["namespaces"])
        ):
            self.namespace = namespace
            self._details.close()
            self.model.snapshot([])
            self.model.take()
            self.reconnect()

    async def act(self, key: str, action: str, *, sure: bool = False) -> None:
        """Perform an action: update the row at once, and revert it with the reason if it fails.

        Unless `sure`, pause and restart ask for confirmation if something would be lost.
        """
        item, client = self.model.item(key), self.client
        if (
            item is None
            or client is None
            or action not in (rows.PAUSE, rows.RESUME, rows.RESTART, rows.STOP, rows.DELETE)
        ):
            return
        namespace, name = item["namespace"], item["name"]
        if action == rows.STOP:  # the row already shows that it is stopping
            try:
                async with self._room:
                    await client.stop_now(namespace, name)
            except WorkspaceError as error:
                self.model.refused(key, f"Not done: {sentence(error)}")
            self.changed()
            return
        if not self.model.expect(key, action):
            self._resend(key)
            return
        self.changed()
        if (
            action in (rows.PAUSE, rows.RESTART)
            and not sure
            and (lost := await stop_warnings.of_stopping(client, item))
        ):
            self.model.withdraw(key)
            self.changed()
            self.tell({"type": "ask", "key": key, "action": action, "text": lost})
            return
        try:
            async with self._room:
                if action == rows.DELETE:
                    await client.delete(namespace, name)
                elif action == rows.RESTART:
                    await client.restart(namespace, name)
                else:
                    await client.pause(namespace, name, action == rows.PAUSE)
        except WorkspaceError as error:
            self.model.refused(key, f"Not done: {sentence(error)}")
        else:
            self.model.accepted(key)
            asyncio.get_running_loop().call_later(12.0, self._expire)
        self.changed()

    def disconnect(self) -> None:
        """Close the event stream; a page that reconnects opens it again."""
        self._details.close()
        self.liveness.close()
        for task in (self._stream, self._starts):
            self.drop(task)
        self._stream = self._starts = None

    # --- the stream

    def _listen(self) -> None:
        self._stream = self.keep("The panel's event stream", self._follow)
        if self._starts is None:
            self._starts = self.keep("Following starts", self._send_steps)

    async def _follow(self) -> None:
        """Read the event stream, and reconnect with backoff."""
        backoff = Backoff(RETRY_FIRST, RETRY_LONGEST)
        while True:
            try:
                if self.client is None:
                    self.client = await self._connect()
                await self._load_place(self.client)
                began = time.monotonic()
                too_slow = await self._read_events(self.client)
                if time.monotonic() - began > RETRY_LONGEST:
                    backoff.reset()
                if not too_slow:
                    error = WorkspaceError(
                        "The server ended the connection.", "The panel retries automatically."
                    )
                    self.liveness.lost(error, shown=bool(self.model.rows()))
            except WorkspaceError as error:
                self.liveness.lost(error, shown=bool(self.model.rows()))
            finally:
                self.answered.set()
            await asyncio.sleep(backoff.next())

    async def _read_events(self, client: PanelClient) -> bool:
        """Read one connection to its end. Returns True if the server requires a resync."""
        self.liveness.begin()
        async with contextlib.aclosing(
            client.changes(None if self.namespace == ALL else self.namespace)
        ) as changes:  # type: ignore[type-var]
            async for change in changes:
                self.liveness.received()
                if change.event == "resync":
                    return True
                self._apply(change)
        return False

    async def _load_place(self, client: PanelClient) -> None:
        cluster = await client.cluster()
        try:
            names = await client.namespaces()
        except WorkspaceError:  # without permission to list them
            names = []
        if self.namespace is None:
            self.namespace = client.namespace or str(cluster.get("namespace") or "default")
        self._place = {
            "cluster": str(cluster.get("name") or ""),
            "namespaces": sorted({*names, self.namespace} - {ALL}),
            "separate": bool(cluster.get("workspacesUrl")),
        }

    def _apply(self, change: StreamEvent) -> None:
        if change.event == "stale":
            self.liveness.cluster(
                milliseconds(change.data.get("since")), str(change.data.get("reason") or "")
            )
            return
        if change.event == "snapshot":
            self.model.snapshot(change.data["workspaces"], change.data.get("workspaceKinds"))
            self.model.take()
            self.liveness.answered(tell=False)
            self.answered.set()
            self.tell({"type": "snapshot", **self.first()})
            self.on_kinds()
            self.on_rows()
            if self._stream is not None:
                self._stream.progressed()
        elif change.event == "workspace":
            self.model.workspace(change.data["type"], change.data["object"])
            self._details.changed(rows.key(change.data["object"]))
        elif change.event == "workspacekind":
            self.model.kind(change.data["type"], change.data["object"])
            self.on_kinds()
        else:
            return
        self.changed()
        if self._starting():
            self._has_starting.set()

    # --- messages to the page

    def _send_delta(self) -> None:
        self._flush = None
        self._flushed = asyncio.get_running_loop().time()
        if delta := self.model.take():
            self.on_rows()
            self.tell(
                {
                    "type": "delta",
                    "upsert": list(delta.upsert.values()),
                    "remove": delta.remove,
                    "now": int(time.time() * 1000),
                }
            )

    def _resend(self, key: str) -> None:
        known = [row for row in self.model.rows() if row["key"] == key]
        self.tell({"type": "delta", "upsert": known, "remove": []})

    def _expire(self) -> None:
        self.model.expire()
        self.changed()

    def _starting(self) -> list[str]:
        return [row["key"] for row in self.model.rows() if row["state"] == "Pending"][
            :STARTS_FOLLOWED
        ]

    async def _send_steps(self) -> None:
        while True:
            self._has_starting.clear()
            keys = self._starting()
            if not keys or self.client is None:
                await self._has_starting.wait()
                continue
            for key in keys:
                namespace, _, name = key.partition("/")
                with contextlib.suppress(WorkspaceError):  # the stream reports a deletion
                    progress = await self.client.progress(namespace, name)
                    self._show_step(key, progress)
            if self._starts is not None:
                self._starts.progressed()
            self.changed()
            await asyncio.sleep(STEP_EVERY)

    def _show_step(self, key: str, progress: Mapping[str, Any]) -> None:
        now = next(
            (step for step in progress["steps"] if step["state"] in ("current", "failed")), None
        )
        doing = DOING.get(str(now["name"]).lower(), str(now["name"])) if now else ""
        self.model.step(key, doing.format(kind=self.model.kind_title(key)) if now else "")
        self._details.show_steps(key, progress)

    def _spawned(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.liveness.problem(
                f"An action of the panel failed ({type(fault).__name__}). See the kernel's log."
            )

    # --- pages that show the panel

    def _mount(self, view: str) -> None:
        self._views.add(view)
        self._stay_connected()
        if self._stream is None:
            self.reconnect()
        self.tell({"type": "snapshot", **self.first()})

    def _disconnect_in(self, seconds: float) -> None:
        self._stay_connected()
        self._leave = asyncio.get_running_loop().call_later(seconds, self.disconnect)

    def _stay_connected(self) -> None:
        if self._leave is not None:
            self._leave.cancel()
            self._leave = None


def sentence(error: WorkspaceError) -> str:
    """Return message and hint of an error in one line."""
    return f"{error} {error.hint}".strip()
