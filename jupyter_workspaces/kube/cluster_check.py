"""Checks whether the cluster behind silent watches still answers, once for all reflectors.

TCP keepalive (`sockets.py`) detects a dead connection, but not a server behind a proxy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from jupyter_workspaces.common.supervision import SupervisedTask
from jupyter_workspaces.common.timeouts import timeout

from .client import Cluster
from .errors import ClusterError, Unreachable, is_unavailable
from .reflector import Reflector, Times


class ClusterCheck:
    """Requests `/version` while reflectors are silent, and reports the result to them.

    A watch without events does not show whether the server is alive: bookmarks arrive once a
    minute, and not at all without writes. When the cluster recovers, reflectors retry at once.
    """

    def __init__(
        self,
        cluster: Cluster,
        reflectors: Callable[[], Iterable[Reflector]],
        times: Times | None = None,
    ) -> None:
        """Make the checks for the reflectors that `reflectors` returns at each check."""
        self._cluster, self._reflectors, self._times = cluster, reflectors, times or Times()
        self._lost: ClusterError | None = None
        self.task = SupervisedTask("check of the cluster", self._run)

    def start(self) -> None:
        """Start the checks. Does nothing if they are running."""
        self.task.start()

    async def stop(self) -> None:
        """Stop the checks."""
        await self.task.stop()

    async def _run(self) -> None:
        while True:
            times = self._times
            await asyncio.sleep(times.check_after if self._lost is None else times.check_pause)
            if self._lost is None and not any(
                found.silent(times.check_after * 0.9) for found in self._reflectors()
            ):
                continue
            error = await self._request_version()
            if error is not None:
                self._lost = error
                for found in self._reflectors():
                    found.doubt(error)
            elif self._lost is not None:
                self._lost = None
                await asyncio.gather(*(found.renew() for found in self._reflectors()))
            else:
                for found in self._reflectors():
                    found.confirm()

    async def _request_version(self) -> ClusterError | None:
        """Return the failure, None if the cluster answered. An error response is an answer, too."""
        try:
            async with timeout(self._times.check_timeout):
                await self._cluster.raw("GET", "/version")
        except asyncio.TimeoutError:
            return Unreachable(
                f"{self._cluster.endpoint.name} did not answer within "
                f"{self._times.check_timeout:g} s"
            )
        except ClusterError as error:
            return error if is_unavailable(error) else None
        return None
