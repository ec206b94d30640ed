"""Which handler answers a request: one table says which methods an address has; the rest is redirects, OPTIONS, 405 and 404.

As the original's router does it (contracts/kubeflow-workspaces.md §1.1): paths are decoded first, an address that is nearly right is redirected.
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
    """An address below the API's prefix; `{}` is one segment. `methods` are the original's, `ours` those that we have besides."""

    path: str
    handler: type[RequestHandler]
    methods: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    segments: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.path.split("/")))

    def match(self, parts: Sequence[str]) -> list[str] | None:
        """The values of the open segments, None when the address is another one."""
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

    def nearly(self, parts: Sequence[str]) -> list[str] | None:
        """The address in our own letters when only their case differs."""
        if len(parts) != len(self.segments):
            return None
        pairs = list(zip(self.segments, parts, strict=True))
        if not all(part if segment == "{}" else segment == part.lower() for segment, part in pairs):
            return None
        return [part if segment == "{}" else segment for segment, part in pairs]


@dataclass(frozen=True)
class Others:
    """Who answers what no route does. Each is told by keyword what it needs."""

    redirected: type[RequestHandler]
    """`location`: where to."""
    options: type[RequestHandler]
    """`allow`: the methods that the address has."""
    not_allowed: type[RequestHandler]
    """`allow`, as well."""
    not_found: type[RequestHandler]


class ApiRouter(Router):
    """Routes below `prefix`.

    `to_the_letter` hides our own methods from everyone who does not use them as ours. `whole` means that nothing else is served here:
    then it answers for every address, otherwise only for those below the prefix.
    """

    def __init__(
        self,
        application: Application,
        prefix: str,
        routes: Sequence[Route],
        others: Others,
        *,
        to_the_letter: bool,
        whole: bool,
    ) -> None:
        self._application, self._routes, self._others = application, routes, others
        self._prefix, self._to_the_letter, self._whole = (
            unquote(prefix).strip("/"),
            to_the_letter,
            whole,
        )

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
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
            if method in route.methods or (method in route.ours and self._is_ours(request)):
                arguments = [value.encode() for value in values]
                return self._application.get_handler_delegate(
                    request, route.handler, path_args=arguments
                )
        if (fixed := self._fixed(method, path)) is not None:
            location = quote(fixed, safe=_SAFE) + (f"?{request.query}" if request.query else "")
            return self._other(request, self._others.redirected, location=location)
        allow = {
            known
            for route, _ in found
            for known in (route.methods if self._to_the_letter else (*route.methods, *route.ours))
        }
        if allow:
            answering = self._others.options if method == "OPTIONS" else self._others.not_allowed
            return self._other(request, answering, allow=", ".join(sorted({*allow, "OPTIONS"})))
        return self._other(request, self._others.not_found)

    def _other(
        self, request: HTTPServerRequest, handler: type[RequestHandler], **told: str
    ) -> HTTPMessageDelegate:
        return self._application.get_handler_delegate(request, handler, told)

    def _below(self, path: str) -> list[str] | None:
        """The segments below the prefix; None when it is not below it."""
        start = f"/{self._prefix}/"
        return path[len(start) :].split("/") if path.startswith(start) else None

    def _is_ours(self, request: HTTPServerRequest) -> bool:
        """The original's clients send no patches: to them its routes have no PATCH."""
        return (
            not self._to_the_letter
            or request.method != "PATCH"
            or "patch+json" in request.headers.get("Content-Type", "").lower()
        )

    def _fixed(self, method: str, path: str) -> str | None:
        """The address that this one misspells: a slash too many or too few, another case, dots. Only one that has the same method."""
        parts, head = _cleaned(path), self._prefix.split("/")
        if [part.lower() for part in parts[: len(head)]] != [part.lower() for part in head]:
            return None
        for tail in (parts[len(head) :], [*parts[len(head) :], ""]):
            for route in self._routes:
                if (
                    method in (*route.methods, *route.ours)
                    and (near := route.nearly(tail)) is not None
                ):
                    found = "/" + "/".join([*head, *near])
                    return None if found == path else found
        return None


def _cleaned(path: str) -> list[str]:
    """The segments without doubled slashes and dots."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    return kept
