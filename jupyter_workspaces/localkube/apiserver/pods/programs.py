"""What a node does with the programs of its pods, as the API server sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class NotPossible(Exception):
    """The node cannot do this; the text says why."""


class Execution(Protocol):
    """A command that runs in a container. `outputs` are its streams by channel: stdout, stderr, or with a terminal stdout alone."""

    @property
    def outputs(self) -> Mapping[int, asyncio.StreamReader]: ...
    async def write(self, data: bytes) -> None:
        """To its standard input; returns when it has been taken. What nobody reads any more is dropped."""

    def end_input(self) -> None: ...
    def resize(self, width: int, height: int) -> None: ...
    async def wait(self) -> int:
        """Its exit code, 128 + n for a signal n. Raises `NotPossible` when it could not be started."""

    async def stop(self) -> None:
        """Kill it and all that it started."""


class PodPrograms(Protocol):
    """What a node does with the programs of its pods."""

    async def execute(
        self,
        pod: Mapping[str, Any],
        container: str,
        command: Sequence[str],
        *,
        tty: bool,
        stdin: bool,
    ) -> Execution:
        """Raises `NotPossible`."""

    async def dial(
        self, pod: Mapping[str, Any], port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of the pod. Raises `OSError`, `NotPossible`."""
