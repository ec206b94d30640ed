"""Probe each server every 10 ms and read its memory, in a process apart from the attacks."""

from __future__ import annotations

import http.client
import multiprocessing
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType

import psutil

PAUSE_SECONDS = 0.01
MEMORY_SECONDS = 0.05
ANSWER_SECONDS = 120.0
SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Server:
    """What is watched: a process and the path that tells its health."""

    name: str
    pid: int
    port: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    tls: bool = False


@dataclass(frozen=True)
class Watched:
    """Slowest response in milliseconds; growth and peak of memory in MB."""

    name: str
    slowest_ms: float
    growth_mb: float
    peak_mb: float
    lost: int

    def words(self) -> str:
        lost = f", {self.lost} unanswered" if self.lost else ""
        return (
            f"{self.name} stalls {self.slowest_ms:.0f} ms, grows {self.growth_mb:.0f} MB, "
            f"at its peak {self.peak_mb:.0f} MB{lost}"
        )


class Watch:
    """Context manager of a process that measures servers between `begin` and `end`."""

    def __init__(self, servers: Sequence[Server]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_watch, args=(list(servers), theirs), daemon=True)

    def __enter__(self) -> Watch:
        self._process.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.join(10)

    def begin(self) -> None:
        self._ask()

    def end(self) -> list[Watched]:
        """Ends a second later, so that what was freed is free."""
        time.sleep(SETTLE_SECONDS)
        return self._ask()

    def _ask(self) -> list[Watched]:
        self._pipe.send(None)
        if not self._pipe.poll(2 * ANSWER_SECONDS):
            raise TimeoutError("the watching process does not answer")
        found: list[Watched] = self._pipe.recv()
        return found


class _One:
    """One server's window so far."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.process = psutil.Process(server.pid)
        self.asked: float | None = None
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> Watched | None:
        with self._lock:
            now = self.process.memory_info().rss if self.process.is_running() else 0
            before = getattr(self, "first", now)
            waiting = 1000 * (time.perf_counter() - self.asked) if self.asked is not None else 0.0
            seen = Watched(
                self.server.name,
                max(getattr(self, "slowest", 0.0), waiting),
                (now - before) / 2**20,
                (max(getattr(self, "peak", now), now) - before) / 2**20,
                getattr(self, "lost", 0),
            )
            self.first = self.peak = now
            self.slowest, self.lost = 0.0, 0
        return seen

    def ask_for_ever(self) -> None:
        context = (
            ssl._create_unverified_context() if self.server.tls else None
        )  # the port was told by our own process
        connection: http.client.HTTPConnection | None = None
        while True:
            began = self.asked = time.perf_counter()
            try:
                if connection is None:
                    connection = (
                        http.client.HTTPSConnection(
                            "127.0.0.1", self.server.port, timeout=ANSWER_SECONDS, context=context
                        )
                        if context is not None
                        else http.client.HTTPConnection(
                            "127.0.0.1", self.server.port, timeout=ANSWER_SECONDS
                        )
                    )
                connection.request("GET", self.server.path, headers=self.server.headers)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection = None
                with self._lock:
                    self.lost += 1
            with self._lock:
                self.slowest = max(self.slowest, 1000 * (time.perf_counter() - began))
            self.asked = None
            time.sleep(PAUSE_SECONDS)

    def weigh_for_ever(self) -> None:
        while self.process.is_running():
            try:
                rss = self.process.memory_info().rss
            except psutil.Error:
                return
            with self._lock:
                self.peak = max(self.peak, rss)
            time.sleep(MEMORY_SECONDS)


def _watch(servers: list[Server], pipe: Connection) -> None:
    ones = [_One(server) for server in servers]
    for one in ones:
        threading.Thread(target=one.ask_for_ever, daemon=True).start()
        threading.Thread(target=one.weigh_for_ever, daemon=True).start()
    while True:
        pipe.recv()
        pipe.send([one.reset() for one in ones])
