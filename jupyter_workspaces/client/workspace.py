"""One workspace, as an object to work with."""

from __future__ import annotations

import asyncio
import contextlib
import json as codec
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jupyter_workspaces.common.terminal import log_line
from jupyter_workspaces.kube import quantities

from . import (
    display,
    losses,
    portal,
    trust,
    words,
)
from .arguments import checked
from .asynchronous import AsyncClient
from .errors import TimedOut, WorkspaceError
from .opening import open_page
from .waiting import ProgressDisplay

if TYPE_CHECKING:
    from .asynchronous import Object

POLL_SECONDS = 0.25
SLOW_POLL_SECONDS = 1.0
SETTLE_SECONDS = 1.0  # after an action the old state may still stand for a moment
STOP_SECONDS = 30.0
LEFT_SECONDS = 60.0
REQUEST_LIMIT = 60.0
GLANCE_LIMIT = 2.0


class Workspace:
    """A workspace as last seen; actions ask the server and look again. Everything may raise `WorkspaceError`."""

    def __init__(self, client: AsyncClient, item: Object) -> None:
        self._client, self._item = client, item
        self.mounts: list[str] | None = None
        """Names of the claims that it mounts; None until that was asked for (`volumes`, `WorkspaceList.learn_volumes`)."""
        self.known_home: str | None = None
        self._labels: dict[str, str] | None = None

    # What it is

    @property
    def name(self) -> str:
        return str(self._item["name"])

    @property
    def namespace(self) -> str:
        return str(self._item["namespace"])

    @property
    def state(self) -> str:
        """Running, Pending, Paused, Error, Terminating or Unknown."""
        return words.shown_state(self._item)

    @property
    def state_words(self) -> words.StateWords:
        """The state as it is shown: sign, glyph and word, such as Pausing while its programs end."""
        return words.of_item(self._item)

    @property
    def message(self) -> str:
        """Why it is so, in one sentence."""
        return str(self._item.get("stateMessage") or "")

    @property
    def kind(self) -> str:
        return str(self._item["workspaceKind"]["name"])

    @property
    def image(self) -> str:
        """The image option's id."""
        return str(self._option("imageConfig")["id"])

    @property
    def size(self) -> str:
        """The size option's id."""
        return str(self._option("podConfig")["id"])

    @property
    def image_name(self) -> str:
        return words.option(self._option("imageConfig"))

    @property
    def size_words(self) -> str:
        """`2 CPU · 4 GiB`, or the size's name."""
        info = self._option("podConfig")
        return words.size(info.get("labels"), words.option(info))

    @property
    def paused(self) -> bool:
        return bool(self._item["paused"])

    @property
    def last_activity(self) -> float:
        """When it was last used, in ms since 1970; 0 when that is not known."""
        return float((self._item.get("activity") or {}).get("lastActivity") or 0)

    @property
    def created(self) -> float:
        """In ms since 1970."""
        from datetime import datetime

        text = (self._item.get("audit") or {}).get("createdAt")
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000 if text else 0

    @property
    def home(self) -> str:
        """The claim of its home, empty without one. Asks the server the first time."""
        if self.known_home is None:
            self.volumes()
        return self.known_home or ""

    @property
    def labels(self) -> dict[str, str]:
        """The labels that its pods get (`spawn(labels=…)`). Asks the server the first time."""
        if self._labels is None:
            self.volumes()
        return dict(self._labels or {})

    @property
    def path(self) -> str:
        """The public path of its first port; empty when its image is not known."""
        paths = [
            (one.get("httpService") or {}).get("httpPath")
            for one in self._item.get("services") or ()
        ]
        return next((str(path) for path in paths if path), "")

    @property
    def url(self) -> str:
        """Where it opens; a path on the page's own server, else a whole address."""
        if not self.path:
            return ""
        from urllib.parse import urlsplit

        root = self._client.root or "/"
        return (urlsplit(root).path if self._client.same_page else root).rstrip("/") + self.path

    @property
    def summary(self) -> str:
        return " · ".join(part for part in (self.kind, self.image_name, self.size_words) if part)

    @property
    def resources(self) -> dict[str, float | None]:
        """What its size asks for: `cpu` in cores, `memory` in bytes, `gpu` as a count; None where the kind does not say."""
        labels = {
            str(label.get("key")): str(label.get("value"))
            for label in self._option("podConfig").get("labels") or ()
        }
        return {name: _amount(labels.get(name)) for name in ("cpu", "memory", "gpu")}

    def to_dict(self) -> dict[str, Any]:
        """For JSON, YAML and scripts (docs/command-line.md). Times as RFC 3339 in UTC; what is not known is None."""
        names = ("name", "namespace", "state", "message", "kind", "image", "size", "paused")
        return {name: getattr(self, name) for name in names} | {
            "url": self.url,
            "created": _rfc3339(self.created),
            "last_used": _rfc3339(self.last_activity),
            "volumes": self.mounts,
            **self.resources,
        }

    def volumes(self) -> list[str]:
        """Names of the claims that it mounts, its home first."""
        self._learn(portal.ask(self._client.model(self.namespace, self.name), REQUEST_LIMIT))
        return list(self.mounts or ())

    def _learn(self, model: Object) -> None:
        self._labels = dict((model["podTemplate"].get("podMetadata") or {}).get("labels") or {})
        volumes = model["podTemplate"]["volumes"]
        self.known_home = str(volumes.get("home") or "")
        self.mounts = [
            *([self.known_home] if self.known_home else []),
            *(data["pvcName"] for data in volumes["data"]),
        ]

    def losses(self) -> str:
        """One sentence on what is lost when it is paused or restarted, such as running kernels; empty when nothing is."""
        return portal.ask(losses.of_stopping(self._client, self._item), REQUEST_LIMIT)

    def __repr__(self) -> str:
        return display.card_text(self)

    def _repr_html_(self) -> str:
        """A card of how it is now; of how it was, where the server does not answer soon."""
        if not portal.inside():
            with contextlib.suppress(WorkspaceError):
                self._item = portal.ask(self._client.get(self.namespace, self.name), GLANCE_LIMIT)
                if self.known_home is None:
                    self._learn(
                        portal.ask(self._client.model(self.namespace, self.name), GLANCE_LIMIT)
                    )
        return display.card(self)

    # What can be done

    def refresh(self) -> Workspace:
        """Look again."""
        self._item = portal.ask(self._client.get(self.namespace, self.name), REQUEST_LIMIT)
        return self

    @checked
    def wait(
        self, state: str = "Running", timeout: float | None = 120, quiet: bool = False
    ) -> Workspace:
        """Wait until it is in a state, showing the steps and their reasons. `timeout` in seconds, None waits for ever.

        Raises `WorkspaceError` when it needs attention, when it was deleted, and when the time is over.
        """
        shown = ProgressDisplay(self.name, quiet)
        try:
            portal.ask(self._wait(state, timeout, shown))
        except WorkspaceError:
            shown.finish(self.state_words, self.state, self.message)
            raise
        shown.finish(self.state_words, self.state, self.message)
        return self

    async def _wait(self, state: str, timeout: float | None, shown: ProgressDisplay) -> None:
        loop = asyncio.get_running_loop()
        began, pauses = loop.time(), _pauses()
        while True:
            # The progress has the state, too: the workspace itself is requested only when the state changed.
            progress = await self._progress_or_gone()
            if (
                progress["state"] in (state, "Error", "")
                or progress["state"] != self._item["state"]
                or self._item["paused"]
            ):
                self._item = await self._client.get(self.namespace, self.name)
            if self.state == state:
                return
            waited = loop.time() - began
            if state == "Running" and waited > SETTLE_SECONDS:
                if self.state == "Error":
                    hint = "ws.events() and ws.logs() tell more; ws.restart() tries again."
                    raise WorkspaceError(f"{self.name} did not start: {self.message}", hint)
                if self.paused:
                    raise WorkspaceError(f"{self.name} is paused.", "ws.resume() starts it.")
            if timeout is not None and waited > timeout:
                text = f"{self.name} is not {words.state(state).word.lower()} after {timeout:g} s: {self.message or self.state}"
                raise TimedOut(
                    text,
                    "ws.wait(timeout=None) waits as long as it takes; ws.progress() shows the steps.",
                )
            shown.show(self.state_words, progress)
            await asyncio.sleep(next(pauses))

    async def _progress_or_gone(self) -> Object:
        try:
            return await self._client.progress(self.namespace, self.name)
        except WorkspaceError as error:
            if error.status == 404:
                raise WorkspaceError(
                    f"{self.name} was deleted.", "jw.list() shows what there is.", status=404
                ) from error
            raise

    def open(self) -> str:
        """Open it: in a notebook a link that opens it in a new tab, elsewhere the system's browser. Gives its address."""
        if self.state != "Running":
            self.refresh()
        if not self.path:
            raise WorkspaceError(
                f"{self.name} has nothing to open: its image is not known any more.",
                "Choose another image.",
            )
        server = portal.ask(self._client.connect(), REQUEST_LIMIT)
        open_page(self.name, self.url, server, "" if self.opens_apart() else trust.note(self.name))
        return self.url

    def opens_apart(self) -> bool:
        """Whether the server opens workspaces at an origin of their own (`workspaces_url`)."""
        try:
            return bool(portal.ask(self._client.cluster(), REQUEST_LIMIT).get("workspacesUrl"))
        except WorkspaceError as error:
            if error.status in (
                403,
                404,
            ):  # who may open one workspace need not be told about the cluster
                return False
            raise

    @checked
    def pause(
        self, wait: bool = True, timeout: float | None = 60, *, now: bool = False
    ) -> Workspace:
        """Stop its programs; the volumes keep their files. With `now` they get no time to save anything."""
        portal.ask(self._client.pause(self.namespace, self.name, True), REQUEST_LIMIT)
        if now:
            return self.stop_now(wait, timeout)
        return self.wait("Paused", timeout) if wait else self.refresh()

    @checked
    def stop_now(self, wait: bool = True, timeout: float | None = 60) -> Workspace:
        """End its programs without the rest of their grace period, while it pauses, restarts or is deleted.

        What they have not saved is lost. Waits until it is paused, or runs again after a restart. Raises `WorkspaceError`
        when it is not stopping.
        """
        portal.ask(self._client.stop_now(self.namespace, self.name), REQUEST_LIMIT)
        try:
            self.refresh()
        except WorkspaceError as error:
            if error.status == 404:  # it was being deleted, and is gone
                return self
            raise
        if not wait or (self._item.get("audit") or {}).get("deletedAt"):
            return self
        return self.wait("Paused" if self.paused else "Running", timeout)

    @checked
    def resume(self, wait: bool = True, timeout: float | None = 120) -> Workspace:
        """Start it again."""
        portal.ask(self._resume(), REQUEST_LIMIT)
        return self.wait("Running", timeout) if wait else self.refresh()

    async def _resume(self) -> None:
        """Start it; one that is still stopping is waited for, because only a paused one can be started."""
        end = asyncio.get_running_loop().time() + STOP_SECONDS
        for pause in _pauses():
            item = await self._client.get(self.namespace, self.name)
            if item["state"] != "Terminating" or asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(pause)
        await self._client.pause(self.namespace, self.name, False)

    @checked
    def restart(self, wait: bool = True, timeout: float | None = 180) -> Workspace:
        """Pause, wait, start; from any state."""
        before = self._item["lastRunningTime"]
        portal.ask(self._client.restart(self.namespace, self.name), REQUEST_LIMIT)
        if wait:
            portal.ask(self._left(before), LEFT_SECONDS + REQUEST_LIMIT)
            return self.wait("Running", timeout)
        return self.refresh()

    async def _left(self, before: int) -> None:
        """Until the old run has ended, so that waiting for the new one does not meet the old."""
        end = asyncio.get_running_loop().time() + LEFT_SECONDS
        for pause in _pauses():
            item = await self._client.get(self.namespace, self.name)
            if item["state"] != "Running" and not item["paused"]:
                return
            if item["lastRunningTime"] != before or asyncio.get_running_loop().time() > end:
                return
            await asyncio.sleep(pause)

    @checked
    def delete(
        self,
        wait: bool = True,
        timeout: float | None = None,
        *,
        now: bool = False,
        quiet: bool = True,
    ) -> None:
        """Delete it; its volumes stay. Returns when its programs have ended, unless `wait` is false.

        Args:
            wait: False returns as soon as the cluster has accepted the deletion.
            timeout: seconds to wait; None waits as long as it takes.
            now: give its programs no time to save anything.
            quiet: False shows how long the programs take to end.
        """
        portal.ask(self._client.delete(self.namespace, self.name), REQUEST_LIMIT)
        if now:
            portal.ask(self._stop_if_there(), REQUEST_LIMIT)
        if wait:
            portal.ask(self._gone(timeout, ProgressDisplay(self.name, quiet)))

    async def _stop_if_there(self) -> None:
        try:
            await self._client.stop_now(self.namespace, self.name)
        except WorkspaceError as error:
            if error.status != 404:
                raise

    async def _gone(self, timeout: float | None, shown: ProgressDisplay) -> None:
        """Until the cluster no longer has it, which is when its programs have ended; a new one of its name is not it."""
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), POLL_SECONDS
        while True:
            try:
                progress = await self._client.progress(self.namespace, self.name)
                if progress["state"] not in ("Terminating", "") or "stopping" not in progress:
                    item = await self._client.get(self.namespace, self.name)
                    if not (item.get("audit") or {}).get("deletedAt"):
                        return
            except WorkspaceError as error:
                if error.status == 404:
                    return
                raise
            if timeout is not None and loop.time() - began > timeout:
                text = f"{self.name} is still being deleted after {timeout:g} s: its programs have not ended."
                raise TimedOut(text, "ws.stop_now() ends them at once.")
            shown.show(words.state("Terminating"), progress)
            await asyncio.sleep(pause)
            pause = min(pause * 1.1, SLOW_POLL_SECONDS)

    @checked
    def logs(self, tail: int = 100, follow: bool = False, previous: bool = False) -> str:
        """The last lines of its log. With `follow` they are printed as they come, until interrupted."""
        if not follow:
            return portal.ask(
                self._client.log(self.namespace, self.name, tail, previous), REQUEST_LIMIT
            )
        for line in self.follow(tail):
            print(log_line(line) if sys.stdout.isatty() else line, flush=True)
        return ""

    def follow(self, tail: int = 100) -> Iterator[str]:
        """The last lines of its log, then the new ones as they come."""
        return portal.iterate(self._client.logs(self.namespace, self.name, tail))

    def events(self) -> list[dict[str, Any]]:
        """What happened to it, newest last: time (ms), type, reason, message, object, count."""
        return portal.ask(self._client.events(self.namespace, self.name), REQUEST_LIMIT)

    def progress(self) -> dict[str, Any]:
        """The steps of its start, each with its time and, while it lasts, its reason."""
        return portal.ask(self._client.progress(self.namespace, self.name), REQUEST_LIMIT)

    @checked
    def request(self, method: str, path: str, json: Any = None) -> Any:
        """Ask the program in the workspace itself, through the server: `ws.request("GET", "api/status")`. JSON comes back decoded."""
        status, media, body = portal.ask(
            self._client.connect_request(method, self.path + path.lstrip("/"), json), REQUEST_LIMIT
        )
        answer = (
            codec.loads(body)
            if media == "application/json" and body
            else body.decode(errors="replace")
        )
        if status >= 300:
            said = str(answer.get("message") or "") if isinstance(answer, dict) else ""
            text = f"{self.name} answered {status} to {method} {path}" + (
                f": {said}" if said else "."
            )
            raise WorkspaceError(
                text,
                ""
                if self.state == "Running"
                else f"{self.name} is not running; ws.resume() starts it.",
                status=status,
            )
        return answer

    def _option(self, dimension: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._item["podTemplate"]["options"][dimension]["current"]
        return found


def _pauses() -> Iterator[float]:
    """Seconds between two looks at one workspace: short at first, for what happens at once."""
    pause = POLL_SECONDS
    while True:
        yield pause
        pause = min(pause * 1.1, SLOW_POLL_SECONDS)


def _rfc3339(milliseconds: float) -> str | None:
    from datetime import datetime, timezone

    if not milliseconds:
        return None
    return (
        datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z")
    )


def _amount(quantity: str | None) -> float | None:
    """Cores, bytes or a count of a Kubernetes quantity; None where there is none."""
    try:
        exact = quantities.parse(quantity) if quantity else None
    except quantities.QuantityError:
        return None
    return (
        None
        if exact is None
        else int(exact)
        if exact == exact.to_integral_value()
        else float(exact)
    )
