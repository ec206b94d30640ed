"""Reads the logs that shims write: the end of a log, a previous run, and new lines as they come.

Logs have the format of the container runtime interface: `time stream F text`, or `P` for a piece
of a long line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.localkube.apiserver.pods.logs import LogOptions, LogsUnavailable

from .records import (
    ENDED,
    ContainerRecord,
    PodFiles,
    is_final,
)

FOLLOW_SECONDS = 0.2
PIECE_BYTES = 64 * 1024
MOST_ROTATED = 99


class PodLogs:
    """Logs of the pods of one node, as `ApiServer.logs` needs them."""

    def __init__(self, directory: Path) -> None:
        """Read the logs of pods in the directory of a cluster."""
        self._directory = directory

    def __call__(
        self, pod: ObjectView, container: str, options: LogOptions
    ) -> AsyncGenerator[bytes, None]:
        """Return the pieces of a container's log. See `ApiServer.logs`."""
        return self._pieces(pod, container, options)

    async def _pieces(
        self, pod: ObjectView, container: str, options: LogOptions
    ) -> AsyncGenerator[bytes, None]:
        files = PodFiles(self._directory, pod["metadata"]["uid"])
        record = files.load()
        kept = record.containers.get(container) if record is not None else None
        attempt = 0 if kept is None else _attempt(pod, container, kept, options.previous)
        path = files.log(container, attempt)
        if attempt < 1 or not path.exists():
            raise LogsUnavailable(unavailable_reason(pod, container, options.previous))
        end = files.run(container, attempt, ENDED)
        async for piece in read(path, options, lambda: end.exists() or not path.exists()):
            yield piece


def _attempt(pod: ObjectView, container: str, kept: ContainerRecord, previous: bool) -> int:
    """Return the number of the run whose log is requested, chosen as the kubelet does.

    The previous run is that of `lastState`: between two runs, it is the one that ended last.
    """
    if not previous:
        return kept.attempt
    if kept.pid == 0 and kept.ended is not None and not is_final(pod, container, kept.ended):
        return kept.attempt
    return kept.attempt - 1


async def read(
    path: Path, options: LogOptions, is_complete: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """Yield the part of a log that `options` select.

    Args:
        path: The log.
        options: Which lines to read, and whether to follow the log.
        is_complete: Returns whether the log is complete, which ends following it.
    """
    left = options.limit_bytes
    async for lines in _lines(path, options, is_complete):
        data = b"".join(lines)
        if left is not None:
            data = data[:left]
            left -= len(data)
        if data:
            yield data
        if left == 0:
            return


async def _lines(
    path: Path, options: LogOptions, is_complete: Callable[[], bool]
) -> AsyncGenerator[list[bytes], None]:
    reading = _Reading(path, options)
    for lines in await asyncio.to_thread(lambda: list(reading.whole())):
        yield lines
    while options.follow:
        ended = is_complete()
        lines = reading.more()
        if lines:
            yield lines
        elif ended:
            return
        else:
            await asyncio.sleep(FOLLOW_SECONDS)


@dataclass
class _Reading:
    """The position of a reader in a log that is written and rotated meanwhile."""

    path: Path
    options: LogOptions
    _inode: int = 0
    _offset: int = 0
    _broken: bool = False

    def whole(self) -> Iterator[list[bytes]]:
        """Yield the lines that exist now, from the oldest file on."""
        wanted = self.options.tail_lines
        rotated = [
            older
            for number in range(MOST_ROTATED, 0, -1)
            if (older := self.path.with_name(f"{self.path.name}.{number}")).exists()
        ]
        found: list[bytes] = []
        for path in (*rotated, self.path):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                found += self._read(file)
                if path == self.path:
                    self._inode, self._offset = os.fstat(file.fileno()).st_ino, file.tell()
        if wanted is not None:
            found = _last(found, wanted)
        for start in range(0, len(found), 1000):
            yield [
                _formatted(line, self.options.timestamps) for line in found[start : start + 1000]
            ]

    def more(self) -> list[bytes]:
        """Return the lines that were added; after a rotation also the rest of the former file."""
        found: list[bytes] = []
        for path in (self.path.with_name(f"{self.path.name}.1"), self.path):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                inode = os.fstat(file.fileno()).st_ino
                if path == self.path and inode != self._inode:
                    self._inode, self._offset = inode, 0
                if inode == self._inode:
                    file.seek(self._offset)
                    found += self._read(file)
                    self._offset = file.tell()
        return [_formatted(line, self.options.timestamps) for line in found]

    def _read(self, file: BinaryIO) -> list[bytes]:
        found: list[bytes] = []
        while True:
            start = file.tell()
            line = file.readline()
            if not line.endswith(b"\n"):
                file.seek(start)  # still being written
                return found
            if self._is_selected(line):
                found.append(line)

    def _is_selected(self, line: bytes) -> bool:
        if self.options.stream is not None and line.split(b" ", 2)[1:2] != [
            self.options.stream.encode()
        ]:
            return False
        return self.options.since is None or _time(line) >= self.options.since


def tail(path: Path, limit: int) -> str:
    """Return the last lines of a log as text, at most `limit` bytes; empty if there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - limit * 2))
            lines = file.read().split(b"\n")
    except OSError:
        return ""
    found = [line.split(b" ", 3)[3] for line in lines if line.count(b" ") >= 3]
    return b"\n".join(found)[-limit:].decode(errors="replace").strip()


def _last(lines: list[bytes], wanted: int) -> list[bytes]:
    """Return the last lines; a long line consists of several pieces."""
    if wanted == 0:
        return []
    count, start = 0, len(lines)
    for index in range(len(lines) - 1, -1, -1):
        if _is_whole(lines[index]):
            count += 1
            if count > wanted:
                break
        start = index
    return lines[start:]


def _is_whole(line: bytes) -> bool:
    return line.split(b" ", 3)[2:3] == [b"F"]


def _formatted(line: bytes, timestamps: bool) -> bytes:
    moment, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, text = rest.partition(b" ")
    if tag == b"P":
        text = text[:-1]
    return moment + b" " + text if timestamps else text


def _time(line: bytes) -> datetime:
    """Return the time of a line, to the microsecond."""
    moment = line.partition(b" ")[0].decode("ascii", errors="replace")
    try:
        return datetime.fromisoformat(moment[:26]).replace(tzinfo=timezone.utc)
    except ValueError:
        return datetime.fromtimestamp(0, timezone.utc)


def unavailable_reason(pod: ObjectView, container: str, previous: bool) -> str:
    """Return why there is no log, with the message of Kubernetes."""
    name = pod["metadata"]["name"]
    if previous:
        return f'previous terminated container "{container}" in pod "{name}" not found'
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    waiting = next(
        (found["state"].get("waiting") or {} for found in statuses if found["name"] == container),
        {},
    )
    why = waiting.get("message") or waiting.get("reason") or "ContainerCreating"
    return f'container "{container}" in pod "{name}" is waiting to start: {why}'
