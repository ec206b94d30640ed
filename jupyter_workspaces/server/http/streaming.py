"""Responses that are streams of Server-Sent Events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from .base import BaseHandler
from .checks import TRUE, boolean
from .event_feed import EventFeed, TooManySubscribers
from .problems import Problem

if TYPE_CHECKING:
    from jupyter_workspaces.server.cache import Cache

PERMITTED_SECONDS = 300.0
"""How long a stream lasts after the cluster authorized it; `Last-Event-ID` resumes it."""


class EventStreamHandler(BaseHandler):
    """Can answer with Server-Sent Events instead of a list (`?watch=true`)."""

    _task: asyncio.Task[None] | None = None

    @property
    def watches(self) -> bool:
        """Whether the client requests a stream. Raises `Problem` 422 for an invalid value."""
        return self.parameter("watch", boolean) in TRUE

    async def stream_events(
        self, feed: EventFeed, cache: Cache, namespace: str | None, *, cluster_scoped: bool
    ) -> None:
        """Send the events of a feed until the client disconnects.

        Args:
            feed: Where the events come from.
            cache: Keeps watching the namespace while the stream is open.
            namespace: Only events of this namespace; None for all, empty for no namespace.
            cluster_scoped: Whether to send events of cluster-scoped objects.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + PERMITTED_SECONDS
        self._task = asyncio.current_task()
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("Content-Type", "text/event-stream")
        self.set_staleness_header()
        if self.request.connection is not None:
            self.request.connection.stream.set_nodelay(True)  # type: ignore[attr-defined]
        try:
            subscription = feed.subscribe(
                namespace,
                self.request.headers.get("Last-Event-ID"),
                cluster_scoped=cluster_scoped,
            )
            with cache.hold(namespace):
                async with aclosing(subscription) as events:
                    async for event in events:
                        self.write(event)
                        await self.flush()
                        if self.trusts_headers and loop.time() > end:
                            break  # a client that reconnects is authorized again
        except StreamClosedError:
            return
        except TooManySubscribers as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        except asyncio.CancelledError:
            connection = self.request.connection
            if connection is not None and not connection.stream.closed():  # type: ignore[attr-defined]
                raise
            return
        await self.finish(set_content_type="text/event-stream")

    def on_connection_close(self) -> None:
        """End the stream at once: without events it would notice only at its next keep-alive."""
        super().on_connection_close()
        if self._task is not None:
            self._task.cancel()
