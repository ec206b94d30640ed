"""Staleness of a panel: since when its server or the cluster has not answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from jupyter_workspaces.client.errors import WorkspaceError

Message = dict[str, Any]

SILENCE_LIMIT = 20.0
"""Seconds without data after which a stream is stale: the server sends a comment every 15 s."""


class Liveness:
    """Connection state of a panel: connecting, live, stale, lost or failed, since when and why.

    Use it on one event loop, except for `message`. Calls `tell` with a message on each change.
    """

    def __init__(self, tell: Callable[[Message], None]) -> None:
        """Create it in the state connecting."""
        self._tell = tell
        self._received_at = 0.0  # ms since 1970
        self._cluster: tuple[int, str] | None = (
            None  # since when the cluster of the server is stale (ms since 1970), and why
        )
        self._problem = ""
        self._timer: asyncio.TimerHandle | None = None
        self.message: Message = {
            "type": "live",
            "state": "connecting",
            "since": 0,
            "message": "",
            "hint": "",
            "problem": "",
        }

    def connecting(self) -> None:
        """Set the state to connecting. Forgets the staleness of the cluster."""
        self._cluster = None
        self._stop()
        self._say("connecting", 0)

    def begin(self) -> None:
        """Start to read a new connection. Forgets the staleness of the cluster."""
        self._cluster = None

    def received(self) -> None:
        """Record data from the server; ends a silence."""
        self._received_at = time.time() * 1000
        self._wait()
        if self.message["state"] == "stale" and self._cluster is None:
            self._say("live", int(self._received_at))

    def answered(self, *, tell: bool = True) -> None:
        """Record a complete response: set live, unless the server's cache is stale."""
        if self._cluster is None:
            self._say("live", int(self._received_at), tell=tell)
        else:
            self._say_stale(tell=tell)

    def cluster(self, since: int, reason: str) -> None:
        """Record since when the server's cache is stale, in ms since 1970; 0 if it is live."""
        self._cluster = (since, reason) if since else None
        if self._cluster is not None:
            self._say_stale()
        elif self.message["state"] == "stale":
            self._say("live", int(self._received_at))

    def lost(self, error: WorkspaceError, *, shown: bool) -> None:
        """Record a lost connection. `shown` says whether the page shows rows that are now stale."""
        self._stop()
        self._say(
            "lost" if shown else "failed",
            int(self._received_at) or _now(),
            error.message,
            error.hint,
        )

    def problem(self, text: str) -> None:
        """Set the message about failing tasks of the panel; empty if all work."""
        if text != self._problem:
            self._problem = text
            self._tell_again({**self.message, "problem": text})

    def close(self) -> None:
        """Stop the timer."""
        self._stop()

    def _say_stale(self, *, tell: bool = True) -> None:
        assert self._cluster is not None
        since, reason = self._cluster
        self._say(
            "stale",
            since,
            reason or "The server cannot reach its cluster.",
            "It retries automatically.",
            tell=tell,
        )

    def _silent(self) -> None:
        self._timer = None
        if self.message["state"] == "live":
            self._say(
                "stale",
                int(self._received_at),
                "The server does not respond.",
                "The panel retries automatically.",
            )

    def _wait(self) -> None:
        self._stop()
        self._timer = asyncio.get_running_loop().call_later(SILENCE_LIMIT, self._silent)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(
        self, state: str, since: int, message: str = "", hint: str = "", *, tell: bool = True
    ) -> None:
        same = self.message["state"] == state and state != "stale"
        said = {
            "type": "live",
            "state": state,
            "since": self.message["since"] if same else since,
            "message": message,
            "hint": hint,
            "problem": self._problem,
        }
        if tell:
            self._tell_again(said)
        else:
            self.message = said

    def _tell_again(self, said: Message) -> None:
        if said != self.message:
            self.message = said
            self._tell(said)


def _now() -> int:
    return int(time.time() * 1000)
