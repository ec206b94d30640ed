"""Handlers for the pod of a workspace."""

from __future__ import annotations

import re
from datetime import datetime

from tornado.iostream import StreamClosedError

from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.resources.views import MAIN_CONTAINER
from jupyter_workspaces.server.api.workspaces.base import DataHandler
from jupyter_workspaces.server.http import problems
from jupyter_workspaces.server.http.authentication import signed_in
from jupyter_workspaces.server.http.checks import TRUE, boolean, dns_label

from .service import DEFAULT_LINES, LogQuery, Pods

CHUNK_BYTES = 64 * 2**10
MOST_LINES = 2**63 - 1
"""Largest value that Kubernetes accepts; more answers 400, as on the original server."""
PLAIN = "text/plain"


class _WorkspacePart(DataHandler):
    """Handler for users who may get the workspace."""

    async def pods(self, namespace: str, name: str) -> Pods:
        """Authorize the request, and return the service."""
        await self.permit("get", WORKSPACES, namespace, name)
        return (await self.services.ready()).pods


class DetailsHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/podtemplate/details."""

    @signed_in
    async def get(self, namespace: str, name: str) -> None:
        """Send details of the pod."""
        self.named(namespace=namespace, name=name)
        self.answer(await (await self.pods(namespace, name)).details(namespace, name))


class ResourcesHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/podtemplate/resources."""

    @signed_in
    async def get(self, namespace: str, name: str) -> None:
        """Send requests, limits and usage."""
        self.named(namespace=namespace, name=name)
        self.answer(await (await self.pods(namespace, name)).resources(namespace, name))


class EventsHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/events."""

    @signed_in
    async def get(self, namespace: str, name: str) -> None:
        """List events."""
        self.named(namespace=namespace, name=name)
        self.answer(await (await self.pods(namespace, name)).events(namespace, name))


class ProgressHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/progress."""

    @signed_in
    async def get(self, namespace: str, name: str) -> None:
        """Send the steps of the start."""
        self.named(namespace=namespace, name=name)
        self.answer(await (await self.pods(namespace, name)).progress(namespace, name))


class LogHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/podtemplate/logs/batch.

    With `follow=true`, the response continues until the client disconnects.
    """

    follows = False

    @signed_in
    async def get(self, namespace: str, name: str) -> None:
        """Send the log."""
        self.named(namespace=namespace, name=name)
        asked = self.parameters(
            {
                "container": dns_label,
                "tailLines": _lines,
                "previous": boolean,
                "sinceTime": _time,
                "follow": boolean,
            }
        )
        lines = (asked["tailLines"] or str(DEFAULT_LINES)).lstrip("+0")
        if len(lines) > len(str(MOST_LINES)) or int(lines) > MOST_LINES:
            raise problems.bad_request(f"tailLines is at most {MOST_LINES}.")
        query = LogQuery(
            container=asked["container"] or MAIN_CONTAINER,
            tail_lines=int(lines),
            previous=asked["previous"] in TRUE,
            since=asked["sinceTime"],
            follow=self.follows or asked["follow"] in TRUE,
        )
        async with (await self.pods(namespace, name)).log(namespace, name, query) as content:
            try:
                await self.send_stream(
                    content.iter_chunked(CHUNK_BYTES) if not query.follow else content.iter_any(),
                    PLAIN,
                    at_once=query.follow,
                )
            except StreamClosedError:
                return


class LogStreamHandler(LogHandler):
    """GET workspaces/{namespace}/{name}/podtemplate/logs/stream: follows the log."""

    follows = True


def _lines(text: str) -> str | None:
    if re.fullmatch(r"\+?[0-9]*[1-9][0-9]*", text):
        return None
    return "must be a whole number above 0"


def _time(text: str) -> str | None:
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text, re.ASCII):
        try:
            datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00"))
            return None
        except ValueError:
            pass
    return "must be an RFC 3339 time such as 2026-01-02T03:04:05Z"
