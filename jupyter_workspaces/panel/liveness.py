"""Whether a panel shows what is true: since when it, its server or the cluster behind the server has not been heard from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ..client.errors import WorkspaceError

Message = dict[str, Any]

SILENCE_LIMIT = 20.0
"""Seconds without a byte after which a stream is not live: the server sends a comment every 15 s."""


class Liveness:
    """The panel's word on how fresh it is: connecting, live, stale, lost or failed, since when, and why.

    Belongs to one event loop, but for `message`. A change is sent to `tell`.
    """

    def __init__(self, tell: Callable[[Message], None]) -> None:
        self._tell = tell
        self._heard = 0.0  # ms since 1970
        self._cluster: tuple[int, str] | None = None  # since when the server has not heard from its cluster, and why
        self._problem = ""
        self._timer: asyncio.TimerHandle | None = None
        self.message: Message = {"type": "live", "state": "connecting", "since": 0, "message": "", "hint": "", "problem": ""}

    def connecting(self) -> None:
        """A new connection is being made; nothing is known of the cluster until it says so."""
        self._cluster = None
        self._stop()
        self._say("connecting", 0)

    def begin(self) -> None:
        """A connection begins to be read: what an earlier one said of the cluster is over."""
        self._cluster = None

    def heard(self) -> None:
        """Something came from the server; it may have been silent."""
        self._heard = time.time() * 1000
        self._wait()
        if self.message["state"] == "stale" and self._cluster is None:
            self._say("live", int(self._heard))

    def answered(self, *, tell: bool = True) -> None:
        """A whole answer came: it is live, unless the server's own view is stale."""
        if self._cluster is None:
            self._say("live", int(self._heard), tell=tell)
        else:
            self._say_stale(tell=tell)

    def cluster(self, since: int, reason: str) -> None:
        """The server has not heard from its cluster since a time in ms; 0 when it hears again."""
        self._cluster = (since, reason) if since else None
        if self._cluster is not None:
            self._say_stale()
        elif self.message["state"] == "stale":
            self._say("live", int(self._heard))

    def lost(self, error: WorkspaceError, *, shown: bool) -> None:
        """The connection is gone; with `shown` there are rows on the page that were true before."""
        self._stop()
        self._say("lost" if shown else "failed", int(self._heard) or _now(), error.message, error.hint)

    def problem(self, text: str) -> None:
        """A task of the panel itself fails, in words; empty when all work."""
        if text != self._problem:
            self._problem = text
            self._tell_again({**self.message, "problem": text})

    def close(self) -> None:
        self._stop()

    def _say_stale(self, *, tell: bool = True) -> None:
        assert self._cluster is not None
        since, reason = self._cluster
        self._say("stale", since, reason or "The server does not hear from its cluster.", "It is tried again by itself.", tell=tell)

    def _silent(self) -> None:
        self._timer = None
        if self.message["state"] == "live":
            self._say("stale", int(self._heard), "The server has fallen silent.", "It is tried again by itself.")

    def _wait(self) -> None:
        self._stop()
        self._timer = asyncio.get_running_loop().call_later(SILENCE_LIMIT, self._silent)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(self, state: str, since: int, message: str = "", hint: str = "", *, tell: bool = True) -> None:
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
