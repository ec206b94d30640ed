"""Router of an HTTP API: a table of paths and methods, and fallbacks for everything else.

Paths are decoded first, and a path that is almost right is redirected, as in httprouter, the Go
router of the original servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, RequestHandler

_SAFE = "/:!$&'()*+,;=~-._"


@dataclass(frozen=True)
class Route:
    """A path below the prefix of an API; `{}` is one segment.

    `methods` are those of the original server; `native` are those that only this server has.
    """

    path: str
    handler: type[RequestHandler]
    methods: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    segments: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.path.split("/")))

    def match(self, parts: Sequence[str]) -> list[str] | None:
        """Return the values of the `{}` segments; None if the path does not match."""
        if len(parts) != len(self.segments):
            return None
        values = []
        for segment, part in zip(self.segments, parts, strict=True):
            if segment == "{}":
                if not part:
                    return None
                values.append(part)
            elif segment != part:
                return None
        return values

    def almost(self, parts: Sequence[str]) -> list[str] | None:
        """Return the correct path if only upper and lower case differ."""
        if len(parts) != len(self.segments):
            return None
        pairs = list(zip(self.segments, parts, strict=True))
        if not all(part if segment == "{}" else segment == part.lower() for segment, part in pairs):
            return None
        return [part if segment == "{}" else segment for segment, part in pairs]


@dataclass(frozen=True)
class FallbackHandlers:
    """Handlers for requests without a route, each with its keyword argument."""

    redirect: type[RequestHandler]
    """`location`: where to redirect to."""
    options: type[RequestHandler]
    """`allow`: methods of the path."""
    not_allowed: type[RequestHandler]
    """`allow`: methods of the path."""
    not_found: type[RequestHandler]


class ApiRouter(Router):
    """Routes below `prefix`.

    Args:
        compatible: Hide the methods that the original server does not have from its clients.
        whole: Answer every path, not only those below the prefix.
    """

    def __init__(
        self,
        application: Application,
        prefix: str,
        routes: Sequence[Route],
        fallback: FallbackHandlers,
        *,
        compatible: bool,
        whole: bool,
    ) -> None:
        self._application, self._routes, self._fallback = application, routes, fallback
        self._prefix, self._compatible, self._whole = (
            unquote(prefix).strip("/"),
            compatible,
            whole,
        )

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        """Return the handler of a request."""
        path, method = unquote_to_bytes(request.path).decode(errors="replace"), request.method or ""
        parts = self._below(path)
        if parts is None and not self._whole:
            return None
        found = [
            (route, values)
            for route in self._routes
            if parts is not None and (values := route.match(parts)) is not None
        ]
        for route, values in found:
            if method in route.methods or (method in route.native and self._uses_native(request)):
                arguments = [value.encode() for value in values]
                return self._application.get_handler_delegate(
                    request, route.handler, path_args=arguments
                )
        if (fixed := self._fixed(method, path)) is not None:
            location = quote(fixed, safe=_SAFE) + (f"?{request.query}" if request.query else "")
            return self._delegate(request, self._fallback.redirect, location=location)
        allow = {
            known
            for route, _ in found
            for known in (route.methods if self._compatible else (*route.methods, *route.native))
        }
        if allow:
            answering = (
                self._fallback.options if method == "OPTIONS" else self._fallback.not_allowed
            )
            return self._delegate(request, answering, allow=", ".join(sorted({*allow, "OPTIONS"})))
        return self._delegate(request, self._fallback.not_found)

    def _delegate(
        self, request: HTTPServerRequest, handler: type[RequestHandler], **arguments: str
    ) -> HTTPMessageDelegate:
        return self._application.get_handler_delegate(request, handler, arguments)

    def _below(self, path: str) -> list[str] | None:
        """Return the segments below the prefix; None if the path is not below it."""
        start = f"/{self._prefix}/"
        return path[len(start) :].split("/") if path.startswith(start) else None

    def _uses_native(self, request: HTTPServerRequest) -> bool:
        """Clients of the original send no patches: for them its routes have no PATCH."""
        return (
            not self._compatible
            or request.method != "PATCH"
            or "patch+json" in request.headers.get("Content-Type", "").lower()
        )

    def _fixed(self, method: str, path: str) -> str | None:
        """Return the correct path for one with extra or missing slashes, dots, or other case.

        Only if it has the same method.
        """
        parts, head = _cleaned(path), self._prefix.split("/")
        if [part.lower() for part in parts[: len(head)]] != [part.lower() for part in head]:
            return None
        for tail in (parts[len(head) :], [*parts[len(head) :], ""]):
            for route in self._routes:
                if (
                    method in (*route.methods, *route.native)
                    and (near := route.almost(tail)) is not None
                ):
                    found = "/" + "/".join([*head, *near])
                    return None if found == path else found
        return None


def _cleaned(path: str) -> list[str]:
    """Return the segments without doubled slashes and dots."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    return kept
