"""Waits for changes of a workspace: until it reaches a state, has stopped, or is deleted.

They poll the server, quickly at first, because most changes happen soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from . import formatting
from .asynchronous import AsyncClient, Object
from .errors import TimedOut, WorkspaceError
from .progress_display import ProgressDisplay

POLL_SECONDS = 0.25
SLOW_POLL_SECONDS = 1.0
SETTLE_SECONDS = 1.0  # after an action the server may still show the old state
PAUSE_SECONDS = 30.0  # limit for the end of a pause, before a resume
STOP_SECONDS = 60.0  # limit for the end of the old pod, in a restart


async def until_state(
    client: AsyncClient, item: Object, state: str, timeout: float | None, shown: ProgressDisplay
) -> AsyncIterator[Object]:
    """Wait until a workspace reaches `state`. Yields its list item each time it was reloaded.

    Args:
        client: Client of the server.
        item: List item of the workspace.
        state: State to wait for.
        timeout: Seconds to wait; None waits without limit.
        shown: Shows the steps.

    Raises:
        TimedOut: The timeout is over.
        WorkspaceError: The workspace failed to start, is paused, or was deleted.
    """
    loop = asyncio.get_running_loop()
    began, pauses = loop.time(), _pauses()
    namespace, name = item["namespace"], item["name"]
    while True:
        # The progress contains the state, so the workspace is only reloaded on a change.
        progress = await _progress(client, namespace, name)
        if (
            progress["state"] in (state, "Error", "")
            or progress["state"] != item["state"]
            or item["paused"]
        ):
            item = await client.get(namespace, name)
            yield item
        current, message = formatting.shown_state(item), str(item.get("stateMessage") or "")
        if current == state:
            return
        waited = loop.time() - began
        if state == "Running" and waited > SETTLE_SECONDS:
            if current == "Error":
                hint = "See ws.events() and ws.logs(); ws.restart() tries again."
                raise WorkspaceError(f"{name} did not start: {message}", hint)
            if item["paused"]:
                raise WorkspaceError(f"{name} is paused.", "ws.resume() starts it.")
        if timeout is not None and waited > timeout:
            word = formatting.state(state).word.lower()
            raise TimedOut(
                f"{name} is not {word} after {timeout:g} s: {message or current}",
                "ws.wait(timeout=None) waits without limit; ws.progress() shows the steps.",
            )
        shown.show(formatting.of_item(item), progress)
        await asyncio.sleep(next(pauses))


async def _progress(client: AsyncClient, namespace: str, name: str) -> Object:
    try:
        return await client.progress(namespace, name)
    except WorkspaceError as error:
        if error.status == 404:
            raise WorkspaceError(
                f"{name} was deleted.", "jw.list() shows all workspaces.", status=404
            ) from error
        raise


async def until_stopped(client: AsyncClient, namespace: str, name: str) -> None:
    """Wait until a stopping workspace has stopped, at most `PAUSE_SECONDS`."""
    end = asyncio.get_running_loop().time() + PAUSE_SECONDS
    for pause in _pauses():
        item = await client.get(namespace, name)
        if item["state"] != "Terminating" or asyncio.get_running_loop().time() > end:
            return
        await asyncio.sleep(pause)


async def until_restarted(client: AsyncClient, namespace: str, name: str, before: int) -> None:
    """Wait until the old pod of a restart no longer counts as running.

    Args:
        client: Client of the server.
        namespace: Namespace of the workspace.
        name: Name of the workspace.
        before: Its `lastRunningTime` before the restart.
    """
    end = asyncio.get_running_loop().time() + STOP_SECONDS
    for pause in _pauses():
        item = await client.get(namespace, name)
        if item["state"] != "Running" and not item["paused"]:
            return
        if item["lastRunningTime"] != before or asyncio.get_running_loop().time() > end:
            return
        await asyncio.sleep(pause)


async def until_deleted(
    client: AsyncClient, namespace: str, name: str, timeout: float | None, shown: ProgressDisplay
) -> None:
    """Wait until a workspace is deleted. A new workspace of the same name does not count.

    Raises `TimedOut` after `timeout` seconds; None waits without limit.
    """
    loop = asyncio.get_running_loop()
    began, pauses = loop.time(), _pauses()
    while True:
        try:
            progress = await client.progress(namespace, name)
            stopping = progress["state"] in ("Terminating", "") and "stopping" in progress
            if not stopping and not formatting.is_being_deleted(await client.get(namespace, name)):
                return
        except WorkspaceError as error:
            if error.status == 404:
                return
            raise
        if timeout is not None and loop.time() - began > timeout:
            raise TimedOut(
                f"{name} is still being deleted after {timeout:g} s: "
                "its programs have not stopped.",
                "ws.stop_now() stops them at once.",
            )
        shown.show(formatting.state("Terminating"), progress)
        await asyncio.sleep(next(pauses))


def _pauses() -> Iterator[float]:
    """Yield seconds between two requests of a wait: short at first, then longer."""
    pause = POLL_SECONDS
    while True:
        yield pause
        pause = min(pause * 1.1, SLOW_POLL_SECONDS)
