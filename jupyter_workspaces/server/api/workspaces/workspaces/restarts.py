"""Finishes restarts that are recorded in workspaces, unless our controller does it first.

Kubeflow's controller does not know the annotation (`resources/restarts.py`). There, any of our
servers with the permission to update the workspace starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timezone

from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
)
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import restarts
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.resources.views import WorkspaceView
from jupyter_workspaces.server.cache import Cache

log = logging.getLogger(__name__)


CONTROLLER_SECONDS = (0.3, 1.0)
"""Delay before a server acts, so that our controller acts first. Random within this range."""
RETRY_SECONDS = 2.0
FORBIDDEN_SECONDS = 300.0
LOOK_SECONDS = 5.0


class Restarts:
    """Finishes pending restarts of a cache. Its only lasting state is in the cluster."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._due: dict[Key, float | None] = {}  # None: it has not stopped yet
        self._changed = asyncio.Event()
        self._tasks = Supervisor(log)
        self._silence: list[Callable[[], None]] = []

    def start(self) -> None:
        """Check all cached workspaces, then listen to changes."""
        self._silence = [
            self._cache.workspaces.listen(self._seen),
            self._cache.pods.listen(self._pod_seen),
        ]
        for workspace in self._cache.workspaces.items():
            self._seen("ADDED", workspace, None)
        self._tasks.start("restarts of workspaces", self._run)

    async def stop(self) -> None:
        """Stop. Other servers and later starts finish pending restarts."""
        for silence in self._silence:
            silence()
        self._silence = []
        await self._tasks.stop()

    def _seen(self, change: str, workspace: Object, previous: Object | None) -> None:
        key = key_of(workspace)
        if change == "DELETED" or restarts.id_of(workspace) is None:
            self._due.pop(key, None)
        else:
            self._due.setdefault(key, None)
            self._changed.set()

    def _pod_seen(self, change: str, pod: Object, previous: Object | None) -> None:
        if self._due:
            self._changed.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            for key in list(self._due):
                await self._look_at(key)
            times = [time for time in self._due.values() if time is not None]
            # No event arrives when the time limit of a stop is over.
            pause = (
                max(0.0, min([*times, loop.time() + LOOK_SECONDS]) - loop.time())
                if self._due
                else None
            )
            try:
                async with timeout(pause):
                    await self._changed.wait()
            except asyncio.TimeoutError:
                continue

    async def _look_at(self, key: Key) -> None:
        workspace = self._cache.workspace(*key)
        if workspace is None or restarts.id_of(workspace) is None:
            self._due.pop(key, None)
            return
        if not self._is_to_start(workspace):
            self._due[key] = None
            return
        now = asyncio.get_running_loop().time()
        due = self._due.get(key)
        if due is None:
            self._due[key] = now + random.uniform(*CONTROLLER_SECONDS)
        elif due <= now:
            await self._finish(key, workspace)

    def _is_to_start(self, workspace: Object) -> bool:
        if (
            not restarts.is_paused(workspace)
            or restarts.seconds_left(workspace, datetime.now(timezone.utc)) <= 0
        ):
            return True
        state = WorkspaceView(workspace).state
        return state in ("Paused", "Error") and self._cache.pod_of(workspace) is None

    async def _finish(self, key: Key, workspace: Object) -> None:
        pause = RETRY_SECONDS
        try:
            changed = await self._cache.cluster.patch(
                WORKSPACES, key[1], restarts.finished(workspace), key[0]
            )
            self._cache.workspaces.apply(changed)
            log.info("Restarting workspace %s/%s", *key)
        except Conflict:
            log.debug("Workspace %s/%s has changed in the meantime", *key)
        except NotFound:
            self._due.pop(key, None)
        except Forbidden:
            log.debug(
                "Not permitted to restart workspace %s/%s; leaving it to another server", *key
            )
            pause = FORBIDDEN_SECONDS
        except ClusterError as error:
            log.warning("Cannot restart workspace %s/%s, retrying: %s", *key, error)
        if key in self._due:
            self._due[key] = asyncio.get_running_loop().time() + pause
