"""`Workspace`: one workspace as an object, with its properties and actions."""

from __future__ import annotations

import asyncio
import contextlib
import json as codec
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jupyter_workspaces.common import quantities
from jupyter_workspaces.common.terminal import log_line

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
SETTLE_SECONDS = 1.0  # after an action the server may still show the old state
STOP_SECONDS = 30.0
LEFT_SECONDS = 60.0
REQUEST_LIMIT = 60.0
GLANCE_LIMIT = 2.0


class Workspace:
    """A workspace, as last loaded from the server. All actions may raise `WorkspaceError`."""

    def __init__(self, client: AsyncClient, item: Object) -> None:
        """Create the object from a list item of the API."""
        self._client, self._item = client, item
        self.mounts: list[str] | None = None
        """Names of its volumes; None until loaded (`volumes`, `WorkspaceList.learn_volumes`)."""
        self.known_home: str | None = None
        """Name of its home volume; empty without one, None until loaded."""
        self._labels: dict[str, str] | None = None

    # Properties

    @property
    def name(self) -> str:
        """Name."""
        return str(self._item["name"])

    @property
    def namespace(self) -> str:
        """Namespace."""
        return str(self._item["namespace"])

    @property
    def state(self) -> str:
        """State: Running, Pending, Paused, Error, Terminating or Unknown."""
        return words.shown_state(self._item)

    @property
    def state_words(self) -> words.StateWords:
        """How the state is shown, such as Pausing while its programs stop."""
        return words.of_item(self._item)

    @property
    def message(self) -> str:
        """Human-readable reason for the current state; may be empty."""
        return str(self._item.get("stateMessage") or "")

    @property
    def kind(self) -> str:
        """Name of the workspace kind."""
        return str(self._item["workspaceKind"]["name"])

    @property
    def image(self) -> str:
        """Id of the image option."""
        return str(self._option("imageConfig")["id"])

    @property
    def size(self) -> str:
        """Id of the size option."""
        return str(self._option("podConfig")["id"])

    @property
    def image_name(self) -> str:
        """Name of the image option."""
        return words.option(self._option("imageConfig"))

    @property
    def size_words(self) -> str:
        """Size as text, such as `2 CPU · 4 GiB`, else the name of the size option."""
        info = self._option("podConfig")
        return words.size(info.get("labels"), words.option(info))

    @property
    def paused(self) -> bool:
        """Whether it is meant to be paused."""
        return bool(self._item["paused"])

    @property
    def last_activity(self) -> float:
        """Time of the last activity, in ms since 1970; 0 if unknown."""
        return float((self._item.get("activity") or {}).get("lastActivity") or 0)

    @property
    def created(self) -> float:
        """Creation time, in ms since 1970; 0 if unknown."""
        from datetime import datetime

        text = (self._item.get("audit") or {}).get("createdAt")
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000 if text else 0

    @property
    def home(self) -> str:
        """Name of the home volume; empty without one. Loaded on first use."""
        if self.known_home is None:
            self.volumes()
        return self.known_home or ""

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its pods (`spawn(labels=…)`). Loaded on first use."""
        if self._labels is None:
            self.volumes()
        return dict(self._labels or {})

    @property
    def path(self) -> str:
        """Path of its first port; empty if its image option no longer exists."""
        paths = [
            (one.get("httpService") or {}).get("httpPath")
            for one in self._item.get("services") or ()
        ]
        return next((str(path) for path in paths if path), "")

    @property
    def url(self) -> str:
        """URL of its page; only the path if this notebook's server serves it."""
        if not self.path:
            return ""
        from urllib.parse import urlsplit

        root = self._client.root or "/"
        return (urlsplit(root).path if self._client.same_page else root).rstrip("/") + self.path

    @property
    def summary(self) -> str:
        """Kind, image and size as text."""
        return " · ".join(part for part in (self.kind, self.image_name, self.size_words) if part)

    @property
    def resources(self) -> dict[str, float | None]:
        """Requested `cpu` (cores), `memory` (bytes) and `gpu` (count); None if unknown."""
        labels = {
            str(label.get("key")): str(label.get("value"))
            for label in self._option("podConfig").get("labels") or ()
        }
        return {name: _amount(labels.get(name)) for name in ("cpu", "memory", "gpu")}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and YAML (docs/command-line.md).

        Times are RFC 3339 in UTC; unknown values are None.
        """
        names = ("name", "namespace", "state", "message", "kind", "image", "size", "paused")
        return {name: getattr(self, name) for name in names} | {
            "url": self.url,
            "created": _rfc3339(self.created),
            "last_used": _rfc3339(self.last_activity),
            "volumes": self.mounts,
            **self.resources,
        }

    def volumes(self) -> list[str]:
        """Return the names of its volumes, the home first."""
        self._load(portal.ask(self._client.model(self.namespace, self.name), REQUEST_LIMIT))
        return list(self.mounts or ())

    def _load(self, model: Object) -> None:
        self._labels = dict((model["podTemplate"].get("podMetadata") or {}).get("labels") or {})
        volumes = model["podTemplate"]["volumes"]
        self.known_home = str(volumes.get("home") or "")
        self.mounts = [
            *([self.known_home] if self.known_home else []),
            *(data["pvcName"] for data in volumes["data"]),
        ]

    def losses(self) -> str:
        """Return a sentence on what a pause or restart loses, such as kernels; may be empty."""
        return portal.ask(losses.of_stopping(self._client, self._item), REQUEST_LIMIT)

    def __repr__(self) -> str:
        """Return state, name and summary."""
        return display.card_text(self)

    def _repr_html_(self) -> str:
        """Return a card of the current state, or the last known one if the server is slow."""
        if not portal.inside():
            with contextlib.suppress(WorkspaceError):
                self._item = portal.ask(self._client.get(self.namespace, self.name), GLANCE_LIMIT)
                if self.known_home is None:
                    self._load(
                        portal.ask(self._client.model(self.namespace, self.name), GLANCE_LIMIT)
                    )
        return display.card(self)

    # Actions

    def refresh(self) -> Workspace:
        """Reload from the server."""
        self._item = portal.ask(self._client.get(self.namespace, self.name), REQUEST_LIMIT)
        return self

    @checked
    def wait(
        self, state: str = "Running", timeout: float | None = 120, quiet: bool = False
    ) -> Workspace:
        """Wait until the workspace reaches `state`, and show the steps.

        Args:
            state: State to wait for.
            timeout: Seconds to wait; None waits without limit.
            quiet: Show nothing.

        Returns:
            The workspace itself.

        Raises:
            TimedOut: The timeout is over.
            WorkspaceError: The workspace failed to start, or was deleted.
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
            # The progress contains the state, so the workspace is only reloaded on a change.
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
                    hint = "See ws.events() and ws.logs(); ws.restart() tries again."
                    raise WorkspaceError(f"{self.name} did not start: {self.message}", hint)
                if self.paused:
                    raise WorkspaceError(f"{self.name} is paused.", "ws.resume() starts it.")
            if timeout is not None and waited > timeout:
                word, reason = words.state(state).word.lower(), self.message or self.state
                raise TimedOut(
                    f"{self.name} is not {word} after {timeout:g} s: {reason}",
                    "ws.wait(timeout=None) waits without limit; ws.progress() shows the steps.",
                )
            shown.show(self.state_words, progress)
            await asyncio.sleep(next(pauses))

    async def _progress_or_gone(self) -> Object:
        try:
            return await self._client.progress(self.namespace, self.name)
        except WorkspaceError as error:
            if error.status == 404:
                raise WorkspaceError(
                    f"{self.name} was deleted.", "jw.list() shows all workspaces.", status=404
                ) from error
            raise

    def open(self) -> str:
        """Open the workspace in a new browser tab, and show a link in a notebook.

        Returns the workspace's URL.
        """
        if self.state != "Running":
            self.refresh()
        if not self.path:
            raise WorkspaceError(
                f"Cannot open {self.name}: its image option no longer exists.",
                "Choose another image for it.",
            )
        server = portal.ask(self._client.connect(), REQUEST_LIMIT)
        open_page(self.name, self.url, server, "" if self.opens_apart() else trust.note(self.name))
        return self.url

    def opens_apart(self) -> bool:
        """Return whether workspaces have their own origin (`workspaces_url`)."""
        try:
            return bool(portal.ask(self._client.cluster(), REQUEST_LIMIT).get("workspacesUrl"))
        except WorkspaceError as error:
            if error.status in (403, 404):  # users of one workspace may lack this permission
                return False
            raise

    @checked
    def pause(
        self, wait: bool = True, timeout: float | None = 60, *, now: bool = False
    ) -> Workspace:
        """Stop the workspace's programs; files in its volumes are kept.

        Args:
            wait: Wait until it is paused.
            timeout: Seconds to wait; None waits without limit.
            now: Skip the grace period, so programs cannot save anything.
        """
        portal.ask(self._client.pause(self.namespace, self.name, True), REQUEST_LIMIT)
        if now:
            return self.stop_now(wait, timeout)
        return self.wait("Paused", timeout) if wait else self.refresh()

    @checked
    def stop_now(self, wait: bool = True, timeout: float | None = 60) -> Workspace:
        """Stop the programs of a stopping workspace without the rest of their grace period.

        Unsaved work is lost. With `wait`, waits until it is paused, or runs again after a restart.
        Raises `WorkspaceError` if it is not stopping.
        """
        portal.ask(self._client.stop_now(self.namespace, self.name), REQUEST_LIMIT)
        try:
            self.refresh()
        except WorkspaceError as error:
            if error.status == 404:  # it was being deleted, and is deleted now
                return self
            raise
        if not wait or (self._item.get("audit") or {}).get("deletedAt"):
            return self
        return self.wait("Paused" if self.paused else "Running", timeout)

    @checked
    def resume(self, wait: bool = True, timeout: float | None = 120) -> Workspace:
        """Start a paused workspace. `timeout` in seconds; None waits without limit."""
        portal.ask(self._resume(), REQUEST_LIMIT)
        return self.wait("Running", timeout) if wait else self.refresh()

    async def _resume(self) -> None:
        """Start it, after waiting for the end of a pause: only a paused workspace can start."""
        end = asyncio.get_running_loop().time() + STOP_SECONDS
        for pause in _pauses():
            item = await self._client.get(self.namespace, self.name)
            if item["state"] != "Terminating" or asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(pause)
        await self._client.pause(self.namespace, self.name, False)

    @checked
    def restart(self, wait: bool = True, timeout: float | None = 180) -> Workspace:
        """Stop the workspace and start it again, from any state. `timeout` in seconds."""
        before = self._item["lastRunningTime"]
        portal.ask(self._client.restart(self.namespace, self.name), REQUEST_LIMIT)
        if wait:
            portal.ask(self._left(before), LEFT_SECONDS + REQUEST_LIMIT)
            return self.wait("Running", timeout)
        return self.refresh()

    async def _left(self, before: int) -> None:
        """Wait until the old pod has stopped, so that the next wait does not see it as running."""
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
        """Delete the workspace; its volumes are kept.

        Args:
            wait: Wait until its programs have stopped.
            timeout: Seconds to wait; None waits without limit.
            now: Skip the grace period, so programs cannot save anything.
            quiet: Show nothing; False shows how long the programs take to stop.
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
        """Wait until the workspace is deleted. A new workspace of the same name does not count."""
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
                text = (
                    f"{self.name} is still being deleted after {timeout:g} s: "
                    "its programs have not stopped."
                )
                raise TimedOut(text, "ws.stop_now() stops them at once.")
            shown.show(words.state("Terminating"), progress)
            await asyncio.sleep(pause)
            pause = min(pause * 1.1, SLOW_POLL_SECONDS)

    @checked
    def logs(self, tail: int = 100, follow: bool = False, previous: bool = False) -> str:
        """Return the last `tail` lines of the log. `follow` prints new lines until interrupted."""
        if not follow:
            return portal.ask(
                self._client.log(self.namespace, self.name, tail, previous), REQUEST_LIMIT
            )
        for line in self.follow(tail):
            print(log_line(line) if sys.stdout.isatty() else line, flush=True)
        return ""

    def follow(self, tail: int = 100) -> Iterator[str]:
        """Yield the last `tail` lines of the log, then new lines."""
        return portal.iterate(self._client.logs(self.namespace, self.name, tail))

    def events(self) -> list[dict[str, Any]]:
        """Return its events, newest last: time (ms), type, reason, message, object, count."""
        return portal.ask(self._client.events(self.namespace, self.name), REQUEST_LIMIT)

    def progress(self) -> dict[str, Any]:
        """Return its state and the steps of its start, with durations and reasons."""
        return portal.ask(self._client.progress(self.namespace, self.name), REQUEST_LIMIT)

    @checked
    def request(self, method: str, path: str, json: Any = None) -> Any:
        """Send a request to the program in the workspace: `ws.request("GET", "api/status")`.

        Returns the body, decoded if it is JSON. Raises `WorkspaceError` for an error status.
        """
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
            text = f"{self.name} returned status {status} for {method} {path}" + (
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
    """Yield seconds between two requests of a wait: short at first, then longer."""
    pause = POLL_SECONDS
    while True:
        yield pause
        pause = min(pause * 1.1, SLOW_POLL_SECONDS)


def _rfc3339(milliseconds: float) -> str | None:
    """Return a timestamp in ms as RFC 3339 in UTC; None for 0."""
    from datetime import datetime, timezone

    if not milliseconds:
        return None
    return (
        datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z")
    )


def _amount(quantity: str | None) -> float | None:
    """Return the value of a Kubernetes quantity; None if missing or invalid."""
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
