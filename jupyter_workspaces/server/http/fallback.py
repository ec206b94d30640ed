"""Handlers of the router itself: redirects, OPTIONS, 405 and 404, in the envelope of an API."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from jupyter_server.auth.decorator import allow_unauthenticated

from . import problems
from .authentication import signed_in
from .base import BaseHandler
from .problems import Problem
from .routing import FallbackHandlers


class RedirectHandler(BaseHandler):
    """301 for GET, with a page for people; 307 otherwise, so that the client sends the body."""

    reads_cache = False

    def initialize(self, location: str) -> None:
        """Set where to redirect to."""
        self.location = location

    @allow_unauthenticated
    async def get(self) -> None:
        """Redirect."""
        self.set_header("Location", self.location)
        if self.request.method == "GET":
            self.set_status(HTTPStatus.MOVED_PERMANENTLY)
            link = f'<a href="{escape(self.location)}">Moved Permanently</a>.\n\n'
            self.send(link.encode(), "text/html; charset=utf-8")
        else:
            self.set_status(HTTPStatus.TEMPORARY_REDIRECT)
            self.finish(set_content_type="text/html; charset=utf-8")

    post = put = patch = delete = get


class OptionsHandler(BaseHandler):
    """Methods of a path, without CORS headers."""

    def initialize(self, allow: str) -> None:
        """Set the methods of the path."""
        self.allow = allow

    @allow_unauthenticated
    async def options(self) -> None:  # type: ignore[override]
        """Send `Allow`."""
        self.set_header("Allow", self.allow)
        self.finish(set_content_type="text/plain; charset=utf-8")


class NotAllowedHandler(BaseHandler):
    """405 with the methods of the path."""

    def initialize(self, allow: str) -> None:
        """Set the methods of the path."""
        self.allow = allow

    def set_default_headers(self) -> None:
        """Set `Allow`, again after an error has cleared the headers."""
        super().set_default_headers()
        self.set_header("Allow", getattr(self, "allow", ""))

    @signed_in
    async def get(self) -> None:
        """Answer 405."""
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{self.request.method} is not possible here; there is {self.allow}.",
        )

    head = post = put = patch = delete = get


class NotFoundHandler(BaseHandler):
    """404 for any other path."""

    @signed_in
    async def get(self) -> None:
        """Answer 404."""
        raise problems.not_found("There is nothing at this address.")

    head = post = put = patch = delete = options = get  # type: ignore[assignment]


def fallback_handlers(base: type[BaseHandler]) -> FallbackHandlers:
    """Return the fallback handlers of an API, given its base handler."""

    def made(handler: type[BaseHandler]) -> type[BaseHandler]:
        return type(handler.__name__, (handler, base), {})

    return FallbackHandlers(
        made(RedirectHandler), made(OptionsHandler), made(NotAllowedHandler), made(NotFoundHandler)
    )
