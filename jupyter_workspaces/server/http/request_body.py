"""Bodies of requests: kept only after the request is authorized, and only up to a limit."""

from __future__ import annotations

from http import HTTPStatus

from tornado.httputil import HTTPServerRequest

from .problems import Problem

UNAUTHORIZED_BYTES = 16 * 2**10
"""Limit of a body that is read before the request is authorized.

Originals that report errors of the body first do so for bodies up to this size.
"""

SHORT_BYTES = 64 * 2**10
"""A body up to this size is read and discarded before an error response is sent."""

SENT_BYTES = 16 * 2**20
"""Limit of all bytes of a body; those beyond the kept part are discarded."""


class RequestBody:
    """Body of one request. Nothing is kept before `accept`."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self._request = request
        self._chunks: list[bytes] = []
        self._size = self._limit = 0
        if (setter := getattr(request.connection, "set_max_body_size", None)) is not None:
            # Tornado answers 400 to a longer body; the next request has a new limit.
            setter(SENT_BYTES)

    @property
    def content(self) -> bytes:
        """The kept bytes: up to the limit, and one byte more of a longer body."""
        return b"".join(self._chunks)

    @property
    def is_short(self) -> bool:
        """Whether the body is missing, or so short that the client has already sent it."""
        return self.is_at_most(SHORT_BYTES) and "Expect" not in self._request.headers

    def is_at_most(self, size: int) -> bool:
        """Return whether the body has at most `size` bytes according to the headers.

        False for a chunked body, whose size is unknown.
        """
        headers = self._request.headers
        length = headers.get("Content-Length", "0")
        return (
            "Transfer-Encoding" not in headers
            and length.isdecimal()
            and len(length) < 19
            and int(length) <= size
        )

    def accept(self, limit: int) -> None:
        """Keep `limit` bytes, and one more. Raises `Problem` 413 if the body is far longer."""
        if "Content-Length" in self._request.headers and not self.is_at_most(SENT_BYTES):
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {limit} bytes."
            )
        self._limit = limit + 1

    def discard(self) -> None:
        """Drop the kept bytes and all that follow."""
        self._chunks, self._limit = [], 0

    def add(self, chunk: bytes) -> None:
        """Keep a received piece, up to the limit."""
        left = self._limit - self._size
        if left > 0:
            kept = chunk[:left]
            self._chunks.append(kept)
            self._size += len(kept)
