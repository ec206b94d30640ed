"""Warnings for confirmations: what is lost when a workspace stops, and which volumes are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jupyter_workspaces.common.timeouts import timeout

from .errors import WorkspaceError

ANSWER_SECONDS = 3.0
_NOT_ANSWERED = (502, 503, 504)


class Connects(Protocol):
    """Sends requests to programs in workspaces: `AsyncClient` or a test double."""

    async def connect_request(
        self, method: str, path: str, body: Any = None
    ) -> tuple[int, str, bytes]:
        """Return status, media type and body."""


async def running_kernels(client: Connects, item: Mapping[str, Any]) -> int | None:
    """Count the kernels of a running workspace.

    Returns 0 if it is not a Jupyter server, None if it does not answer.

    Source: Jupyter Server REST API, `GET /api/kernels`.
    """
    services = [one.get("httpService") or {} for one in item.get("services") or ()]
    path = next((str(http["httpPath"]) for http in services if http.get("httpPath")), "")
    if not path:
        return 0
    try:
        async with timeout(ANSWER_SECONDS):
            status, _, body = await client.connect_request("GET", f"{path.rstrip('/')}/api/kernels")
    except (WorkspaceError, asyncio.TimeoutError):
        return None
    if status in _NOT_ANSWERED:
        return None
    if status != 200:
        return 0
    try:
        found = json.loads(body)
    except ValueError:
        return 0  # another program's page
    return (
        sum(isinstance(one, dict) and "execution_state" in one for one in found)
        if isinstance(found, list)
        else 0
    )


async def of_stopping(client: Connects, item: Mapping[str, Any]) -> str:
    """Return a sentence on what is lost when the workspace stops; empty if nothing is."""
    if item.get("state") != "Running":
        return ""
    count = await running_kernels(client, item)
    if count is None:
        return "It does not respond, so running kernels are unknown. Unsaved work is lost."
    if not count:
        return ""
    return (
        "1 kernel is running; its variables are lost."
        if count == 1
        else f"{count} kernels are running; their variables are lost."
    )


def volumes_stay(names: Sequence[str]) -> str:
    """Return a sentence such as “The volume home-x1 stays.”; empty without volumes."""
    if not names:
        return ""
    if len(names) == 1:
        return f"The volume {names[0]} stays."
    return f"The volumes {', '.join(names[:-1])} and {names[-1]} stay."
