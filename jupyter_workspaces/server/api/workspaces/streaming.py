"""Streams of live changes of workspaces and kinds."""

from __future__ import annotations

from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.server.http import streaming
from jupyter_workspaces.server.http.authentication import signed_in
from jupyter_workspaces.server.http.checks import dns_label

from .base import DataHandler


class StreamHandler(streaming.EventStreamHandler, DataHandler):
    """Can answer with a stream of changes instead of a list (`?watch=true`)."""

    async def stream(self, namespace: str | None, *, kinds: bool) -> None:
        """Send changes of workspaces, and of kinds if `kinds`, until the client disconnects.

        An empty namespace means no workspaces.
        """
        # Also if the cluster is down: the stream sends `stale` and continues when it is back.
        services = await self.services.ready(stale=True)
        await self.stream_events(services.feed, services.cluster, namespace, cluster_scoped=kinds)


class ChangesHandler(StreamHandler):
    """GET events[?namespace=]: workspaces and kinds."""

    @signed_in
    async def get(self) -> None:
        """Send changes that the user may see."""
        namespace = self.parameter("namespace", dns_label)
        await self.permit("watch", WORKSPACES, namespace or "")
        # Users who may create workspaces need the kinds to choose from.
        kinds = await self.may("list", WORKSPACE_KINDS) or await self.may(
            "create", WORKSPACES, namespace or ""
        )
        await self.stream(namespace, kinds=kinds)
