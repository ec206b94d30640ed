"""HTTP for what runs for a workspace: decode, ask the service, encode."""

from __future__ import annotations

import re
from datetime import datetime

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from ...checks import dns_label, dns_subdomain
from ...http import DataHandler
from .progress import CONTAINER
from .service import DEFAULT_LINES, LogQuery

CHUNK_BYTES = 64 * 2**10
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


class _WorkspacePart(DataHandler):
    def named(self, namespace: str, name: str) -> tuple[str, str]:
        return self.checked("namespace", namespace), self.checked("name", name, dns_subdomain)


class DetailsHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/podtemplate/details."""

    @web.authenticated
    @authorized
    async def get(self, namespace: str, name: str) -> None:
        self.answer(await (await self.services.ready()).pods.details(*self.named(namespace, name)))


class EventsHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/events."""

    @web.authenticated
    @authorized
    async def get(self, namespace: str, name: str) -> None:
        self.answer(await (await self.services.ready()).pods.events(*self.named(namespace, name)))


class ProgressHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/progress."""

    @web.authenticated
    @authorized
    async def get(self, namespace: str, name: str) -> None:
        self.answer(await (await self.services.ready()).pods.progress(*self.named(namespace, name)))


class LogHandler(_WorkspacePart):
    """GET workspaces/{namespace}/{name}/podtemplate/logs/batch; with `follow=true` it goes on as long as the client listens."""

    @web.authenticated
    @authorized
    async def get(self, namespace: str, name: str) -> None:
        place = self.named(namespace, name)
        query = LogQuery(
            container=self.parameter("container", dns_label) or CONTAINER,
            tail_lines=int(self.parameter("tailLines", _lines) or DEFAULT_LINES),
            previous=self.parameter("previous", _boolean) in _TRUE,
            since=self.parameter("sinceTime", _time),
            follow=self.parameter("follow", _boolean) in _TRUE,
        )
        async with (await self.services.ready()).pods.log(*place, query) as content:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            try:
                if query.follow:
                    await self.flush()
                async for chunk in content.iter_any():
                    for start in range(0, len(chunk), CHUNK_BYTES):
                        self.write(chunk[start : start + CHUNK_BYTES])
                        await self.flush()
            except StreamClosedError:
                return
        await self.finish(set_content_type="text/plain; charset=utf-8")


def _lines(text: str) -> str | None:
    if re.fullmatch(r"\+?\d{1,18}", text) and int(text) > 0:
        return None
    return "must be a whole number above 0"


def _boolean(text: str) -> str | None:
    return None if text in _TRUE + _FALSE else "must be true or false"


def _time(text: str) -> str | None:
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text):
        try:
            datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00"))
            return None
        except ValueError:
            pass
    return "must be an RFC 3339 time such as 2026-01-02T03:04:05Z"
