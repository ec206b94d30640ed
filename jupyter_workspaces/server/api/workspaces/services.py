"""All services of the Workspaces API for one cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_workspaces.common.supervision import TaskHealth
from jupyter_workspaces.server.access_reviews import Access
from jupyter_workspaces.server.cache import Cache

from .about.service import About
from .feed import Feed
from .kinds.service import Kinds
from .pods.service import Pods
from .secrets.service import Secrets
from .volumes.service import Volumes
from .workspaces.restarts import Restarts
from .workspaces.service import Workspaces


class WorkspacesServices:
    """The services that the handlers of the API call.

    Args:
        cache: Cache of the cluster, in sync.
        access: Authorizes users of trusted headers.
        prefix: Path of the API.
        base_url: Base URL of the server, below which started workspaces run.
        publish: Called with each change, for JupyterLab's event bus.
    """

    def __init__(
        self,
        cache: Cache,
        access: Access,
        prefix: str,
        base_url: str = "/",
        publish: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.cluster, self.access = cache, access
        self.about = About(cache)
        self.restarts = Restarts(cache)
        self.workspaces = Workspaces(cache, prefix, base_url)
        self.kinds = Kinds(cache, prefix)
        self.volumes = Volumes(cache)
        self.secrets = Secrets(cache)
        self.pods = Pods(cache, self.workspaces)
        self.feed = Feed(cache, self.workspaces, self.kinds, publish)

    async def prepare(self) -> None:
        """Find out as which user the cluster knows the server."""
        await self.about.identify()

    def start(self) -> None:
        """Start the feed of live changes and the end of recorded restarts."""
        self.feed.start()
        self.restarts.start()

    async def stop(self) -> None:
        """Close the streams of live changes, then stop the tasks."""
        await self.feed.stop()
        await self.restarts.stop()

    @property
    def health(self) -> list[TaskHealth]:
        """Health of the feed's tasks."""
        return self.feed.health

    @property
    def streams(self) -> int:
        """Number of open streams of live changes."""
        return self.feed.subscribers

    def writer(self, user: str | None) -> str | None:
        """Return the user to record for a change: the authenticated one, else the server's own."""
        return user or self.about.user
