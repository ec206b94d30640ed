"""Answers of the router itself: a better address, the methods of an address, and that there is nothing."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from jupyter_server.auth.decorator import allow_unauthenticated

from . import problems
from .base import DataHandler
from .identity import signed_in
from .problems import Problem


class RedirectedHandler(DataHandler):
    """301 for GET, with a page for people; 307 otherwise, so that the body goes along."""

    reads_cache = False

    def initialize(self, location: str) -> None:
        self.location = location

    @allow_unauthenticated
    async def get(self) -> None:
        self.set_header("Location", self.location)
        if self.request.method == "GET":
            self.set_status(HTTPStatus.MOVED_PERMANENTLY)
            self.send(
                f'<a href="{escape(self.location)}">Moved Permanently</a>.\n\n'.encode(),
                "text/html; charset=utf-8",
            )
        else:
            self.set_status(HTTPStatus.TEMPORARY_REDIRECT)
            self.finish(set_content_type="text/html; charset=utf-8")

    post = put = patch = delete = get


class OptionsHandler(DataHandler):
    """Which methods an address has, and nothing about other origins."""

    def initialize(self, allow: str) -> None:
        self.allow = allow

    @allow_unauthenticated
    async def options(self) -> None:  # type: ignore[override]
        self.set_header("Allow", self.allow)
        self.finish(set_content_type="text/plain; charset=utf-8")


class NotAllowedHandler(DataHandler):
    """405, naming the methods that the address has."""

    def initialize(self, allow: str) -> None:
        self.allow = allow

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header(
            "Allow", getattr(self, "allow", "")
        )  # again once an error has cleared the headers

    @signed_in
    async def get(self) -> None:
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{self.request.method} is not possible here; there is {self.allow}.",
        )

    head = post = put = patch = delete = get


class NotFoundHandler(DataHandler):
    """Everything that is not routed: 404 in the envelope."""

    @signed_in
    async def get(self) -> None:
        raise problems.not_found("There is nothing at this address.")

    head = post = put = patch = delete = options = get  # type: ignore[assignment]
