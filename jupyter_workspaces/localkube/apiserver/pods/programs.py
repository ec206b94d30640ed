"""Interface to the node that runs the programs of pods, as the API server uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class NotPossible(Exception):
    """The node cannot do this; the message says why."""


class Execution(Protocol):
    """A command that runs in a container."""

    @property
    def outputs(self) -> Mapping[int, asyncio.StreamReader]:
        """Output streams by channel: stdout and stderr; with a terminal, stdout only."""

    async def write(self, data: bytes) -> None:
        """Write to standard input; returns when the data has been accepted.

        Data after the command closed its input is dropped.
        """

    def end_input(self) -> None:
        """Close standard input."""

    def resize(self, width: int, height: int) -> None:
        """Set the size of the terminal in characters."""

    async def wait(self) -> int:
        """Return the exit code, 128 + n for a signal n.

        Raises:
            NotPossible: if the command could not be started.
        """

    async def stop(self) -> None:
        """Kill the command and all processes that it started."""


class PodPrograms(Protocol):
    """Runs commands in pods and connects to their ports."""

    async def execute(
        self,
        pod: Mapping[str, Any],
        container: str,
        command: Sequence[str],
        *,
        tty: bool,
        stdin: bool,
    ) -> Execution:
        """Start a command in a container.

        Raises:
            NotPossible: if the command cannot be started.
        """

    async def dial(
        self, pod: Mapping[str, Any], port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port of the pod.

        Raises:
            OSError: if the connection fails.
            NotPossible: if the pod is not running.
        """
