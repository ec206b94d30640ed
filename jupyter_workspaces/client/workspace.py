"""`Workspace`: one workspace as an object, with its actions."""

from __future__ import annotations

import contextlib
import json as codec
import sys
from collections.abc import Iterator
from html import escape
from typing import Any

from jupyter_workspaces.common.terminal import log_line, printable

from . import display, formatting, portal, stop_warnings, trust_notice, waiting
from .arguments import checked
from .asynchronous import AsyncClient, Object
from .browser import open_page
from .errors import WorkspaceError
from .progress_display import ProgressDisplay
from .workspace_info import WorkspaceInfo

REQUEST_LIMIT = 60.0  # seconds
GLANCE_LIMIT = 2.0  # seconds for a reload before a card is shown


class Workspace(WorkspaceInfo):
    """A workspace, as last loaded from the server. All actions may raise `WorkspaceError`."""

    def __init__(self, client: AsyncClient, item: Object) -> None:
        """Create the object from a list item of the API."""
        super().__init__(client, item)
        self._client = client
        self.known_home: str | None = None
        """Name of its home volume; empty without one, None until loaded."""
        self._labels: dict[str, str] | None = None

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
        return portal.ask(stop_warnings.of_stopping(self._client, self._item), REQUEST_LIMIT)

    def __repr__(self) -> str:
        """Return state, name and summary."""
        message = f" – {self.message}" if self.message and self.state != "Running" else ""
        label = self.state_words
        return printable(f"{label.glyph} {label.word}  {self.name}  {self.summary}{message}")

    def _repr_html_(self) -> str:
        """Return a card of the current state, or the last known one if the server is slow."""
        if not portal.inside():
            with contextlib.suppress(WorkspaceError):
                self._item = portal.ask(self._client.get(self.namespace, self.name), GLANCE_LIMIT)
                if self.known_home is None:
                    self._load(
                        portal.ask(self._client.model(self.namespace, self.name), GLANCE_LIMIT)
                    )
        return self._card()

    def _card(self) -> str:
        rows = [("kind", escape(self.summary))]
        if self.message and self.state != "Running":
            rows.append(("status", escape(self.message)))
        if self.known_home:
            rows.append(("home", escape(self.known_home)))
        if self.state == "Running" and self.url:
            rows.append(("open", display.link(self.url)))
        cell = '<td style="text-align:left;padding:0'
        lines = "".join(
            f'<tr style="background:none">{cell} 12px 0 0;color:{display.MUTED}">{name}</td>'
            f'{cell}">{text}</td></tr>'
            for name, text in rows
        )
        heading = (
            f'<div style="margin-bottom:4px">{display.sign(self.state_words)} &nbsp;'
            f"<b>{escape(self.name)}</b> {display.muted(f'in {self.namespace}')}</div>"
        )
        table = '<table style="border:none;margin:0;border-collapse:collapse">'
        return display.card(heading, f"{table}{lines}</table>")

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
        reloaded = waiting.until_state(self._client, self._item, state, timeout, shown)
        async for self._item in reloaded:
            pass

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
        open_page(
            self.name, self.url, server, "" if self.opens_apart() else trust_notice.note(self.name)
        )
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
        if not wait or formatting.is_being_deleted(self._item):
            return self
        return self.wait("Paused" if self.paused else "Running", timeout)

    @checked
    def resume(self, wait: bool = True, timeout: float | None = 120) -> Workspace:
        """Start a paused workspace. `timeout` in seconds; None waits without limit."""
        portal.ask(self._resume(), REQUEST_LIMIT)
        return self.wait("Running", timeout) if wait else self.refresh()

    async def _resume(self) -> None:
        # Only a paused workspace can be resumed, so wait for the end of a pause first.
        await waiting.until_stopped(self._client, self.namespace, self.name)
        await self._client.pause(self.namespace, self.name, False)

    @checked
    def restart(self, wait: bool = True, timeout: float | None = 180) -> Workspace:
        """Stop the workspace and start it again, from any state. `timeout` in seconds."""
        before = self._item["lastRunningTime"]
        portal.ask(self._client.restart(self.namespace, self.name), REQUEST_LIMIT)
        if wait:
            stopped = waiting.until_restarted(self._client, self.namespace, self.name, before)
            portal.ask(stopped, waiting.STOP_SECONDS + REQUEST_LIMIT)
            return self.wait("Running", timeout)
        return self.refresh()

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
            shown = ProgressDisplay(self.name, quiet)
            portal.ask(
                waiting.until_deleted(self._client, self.namespace, self.name, timeout, shown)
            )

    async def _stop_if_there(self) -> None:
        try:
            await self._client.stop_now(self.namespace, self.name)
        except WorkspaceError as error:
            if error.status != 404:
                raise

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
