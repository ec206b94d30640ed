"""Read the logs that shims write: tails, from a time on, previous runs, and on as they grow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from jupyter_workspaces.localkube.apiserver.pods.logs import LogOptions, LogsUnavailable

from .records import (
    ENDED,
    ContainerRecord,
    PodFiles,
    is_final,
)

Object = Mapping[str, Any]

FOLLOW_SECONDS = 0.2
PIECE_BYTES = 64 * 1024
OLDEST = 99


class PodLogs:
    """Answers `ApiServer.logs` for the pods of one node."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(
        self, pod: Object, container: str, options: LogOptions
    ) -> AsyncGenerator[bytes, None]:
        return self._pieces(pod, container, options)

    async def _pieces(
        self, pod: Object, container: str, options: LogOptions
    ) -> AsyncGenerator[bytes, None]:
        files = PodFiles(self._directory, pod["metadata"]["uid"])
        record = files.load()
        kept = record.containers.get(container) if record is not None else None
        attempt = 0 if kept is None else _attempt(pod, container, kept, options.previous)
        path = files.log(container, attempt)
        if attempt < 1 or not path.exists():
            raise LogsUnavailable(why_not(pod, container, options.previous))
        over = files.run(container, attempt, ENDED)
        async for piece in read(path, options, lambda: over.exists() or not path.exists()):
            yield piece


def _attempt(pod: Object, container: str, kept: ContainerRecord, previous: bool) -> int:
    """Which run's log is meant, as the kubelet chooses: the previous one is `lastState`'s, which between two runs is the one just over."""
    if not previous:
        return kept.attempt
    if kept.pid == 0 and kept.ended is not None and not is_final(pod, container, kept.ended):
        return kept.attempt
    return kept.attempt - 1


async def read(
    path: Path, options: LogOptions, over: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """What `options` ask of a log in the form `time stream F text`; followed until it is `over`."""
    left = options.limit_bytes
    async for lines in _lines(path, options, over):
        data = b"".join(lines)
        if left is not None:
            data = data[:left]
            left -= len(data)
        if data:
            yield data
        if left == 0:
            return


async def _lines(
    path: Path, options: LogOptions, over: Callable[[], bool]
) -> AsyncGenerator[list[bytes], None]:
    reading = _Reading(path, options)
    for lines in await asyncio.to_thread(lambda: list(reading.whole())):
        yield lines
    while options.follow:
        ended = over()
        lines = reading.more()
        if lines:
            yield lines
        elif ended:
            return
        else:
            await asyncio.sleep(FOLLOW_SECONDS)


@dataclass
class _Reading:
    """One reader's place in a log that is written and rotated meanwhile."""

    path: Path
    options: LogOptions
    _inode: int = 0
    _offset: int = 0
    _broken: bool = False

    def whole(self) -> Iterator[list[bytes]]:
        """What is there now, oldest file first."""
        wanted = self.options.tail_lines
        rotated = [
            older
            for number in range(OLDEST, 0, -1)
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
            yield [_shown(line, self.options.timestamps) for line in found[start : start + 1000]]

    def more(self) -> list[bytes]:
        """What was added since; after a rotation first the rest of the file that was read."""
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
        return [_shown(line, self.options.timestamps) for line in found]

    def _read(self, file: BinaryIO) -> list[bytes]:
        found: list[bytes] = []
        while True:
            start = file.tell()
            line = file.readline()
            if not line.endswith(b"\n"):
                file.seek(start)  # still being written
                return found
            if self._is_asked(line):
                found.append(line)

    def _is_asked(self, line: bytes) -> bool:
        if self.options.stream is not None and line.split(b" ", 2)[1:2] != [
            self.options.stream.encode()
        ]:
            return False
        return self.options.since is None or _time(line) >= self.options.since


def tail(path: Path, limit: int) -> str:
    """The last lines of a log as text, at most `limit` bytes; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - limit * 2))
            lines = file.read().split(b"\n")
    except OSError:
        return ""
    found = [line.split(b" ", 3)[3] for line in lines if line.count(b" ") >= 3]
    return b"\n".join(found)[-limit:].decode(errors="replace").strip()


def _last(lines: list[bytes], wanted: int) -> list[bytes]:
    """The last whole lines; a long one stands in pieces."""
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


def _shown(line: bytes, timestamps: bool) -> bytes:
    moment, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, text = rest.partition(b" ")
    if tag == b"P":
        text = text[:-1]
    return moment + b" " + text if timestamps else text


def _time(line: bytes) -> datetime:
    """To the microsecond, which is what a datetime holds."""
    moment = line.partition(b" ")[0].decode("ascii", errors="replace")
    try:
        return datetime.fromisoformat(moment[:26]).replace(tzinfo=timezone.utc)
    except ValueError:
        return datetime.fromtimestamp(0, timezone.utc)


def why_not(pod: Object, container: str, previous: bool) -> str:
    """Why there is no log, in the words of Kubernetes."""
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
