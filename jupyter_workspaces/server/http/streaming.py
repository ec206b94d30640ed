"""HTTP for live changes."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from http import HTTPStatus

from tornado.iostream import StreamClosedError

from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.server.api.workspaces.feed import TooManySubscribers

from .base import DataHandler
from .checks import TRUE, boolean, dns_label
from .identity import signed_in
from .problems import Problem

PERMITTED_SECONDS = 300.0
"""How long a stream goes on by one answer of the cluster; `Last-Event-ID` takes it up again."""


class StreamHandler(DataHandler):
    """Can answer with Server-Sent Events instead of a list (`?watch=true`), taken up again by `Last-Event-ID`."""

    _task: asyncio.Task[None] | None = None

    @property
    def watches(self) -> bool:
        """Whether changes are asked for. Raises `Problem` 422 for what is neither true nor false."""
        return self.parameter("watch", boolean) in TRUE

    async def stream(self, namespace: str | None, *, kinds: bool) -> None:
        """Until the client leaves; `kinds` tells of workspace kinds too, an empty `namespace` of nothing else."""
        # Also if the cluster is down: the stream sends `stale` and continues when it is back.
        services = await self.services.ready(stale=True)
        feed = services.feed
        loop = asyncio.get_running_loop()
        end = loop.time() + PERMITTED_SECONDS
        self._task = asyncio.current_task()
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("Content-Type", "text/event-stream")
        self.tell_staleness()
        if self.request.connection is not None:
            self.request.connection.stream.set_nodelay(True)  # type: ignore[attr-defined]
        try:
            subscription = feed.subscribe(
                namespace, self.request.headers.get("Last-Event-ID"), kinds=kinds
            )
            with services.cluster.hold(namespace):
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
            if self.request.connection is not None and not self.request.connection.stream.closed():  # type: ignore[attr-defined]
                raise
            return
        await self.finish(set_content_type="text/event-stream")

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._task is not None:
            self._task.cancel()  # a silent stream would notice only at its next keep-alive


class EventStreamHandler(StreamHandler):
    """GET events[?namespace=]: workspaces and kinds."""

    @signed_in
    async def get(self) -> None:
        namespace = self.parameter("namespace", dns_label)
        await self.permit("watch", WORKSPACES, namespace or "")
        # Who may make workspaces somewhere may see what they can be made of (contract §5.2, `namespaceFilter`).
        kinds = await self.may("list", WORKSPACE_KINDS) or await self.may(
            "create", WORKSPACES, namespace or ""
        )
        await self.stream(namespace, kinds=kinds)
