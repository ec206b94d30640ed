"""Bodies of requests as they come in: none is kept before it is decided who may, and none beyond a bound."""

from __future__ import annotations

from http import HTTPStatus

from tornado.httputil import HTTPServerRequest

from .problems import Problem

STRANGER_BYTES = 16 * 2**10
"""A body that is read of somebody who may not send it, where the original tells what is wrong with it before it asks who it is."""

SOON_READ_BYTES = 64 * 2**10
"""A refused body up to this size is read, and dropped, before the refusal is sent."""

PASSED_BYTES = 16 * 2**20
"""What may follow the part of a body that counts, in all; it is dropped as it comes."""


class Received:
    """One request's body. At first nothing of it is kept."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self._request = request
        self._chunks: list[bytes] = []
        self._size = self._limit = 0
        if (setter := getattr(request.connection, "set_max_body_size", None)) is not None:
            setter(
                PASSED_BYTES
            )  # Tornado refuses a longer one with 400; the connection's next request begins anew

    @property
    def body(self) -> bytes:
        """What was kept: as much as was taken, and one byte more of what is longer."""
        return b"".join(self._chunks)

    @property
    def soon_read(self) -> bool:
        """Whether there is no body, or so little that it is sent already."""
        return self.announces_at_most(SOON_READ_BYTES) and "Expect" not in self._request.headers

    def announces_at_most(self, size: int) -> bool:
        """Whether the headers say that the body is no longer than this; a chunked one does not say it."""
        headers = self._request.headers
        length = headers.get("Content-Length", "0")
        return (
            "Transfer-Encoding" not in headers
            and length.isdecimal()
            and len(length) < 19
            and int(length) <= size
        )

    def take(self, limit: int) -> None:
        """Keep up to this many bytes, and one more. Raises `Problem` 413 for a body that announces far more than that."""
        if "Content-Length" in self._request.headers and not self.announces_at_most(PASSED_BYTES):
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {limit} bytes."
            )
        self._limit = limit + 1

    def drop(self) -> None:
        """Keep nothing, from now on."""
        self._chunks, self._limit = [], 0

    def put(self, chunk: bytes) -> None:
        left = self._limit - self._size
        if left > 0:
            kept = chunk[:left]
            self._chunks.append(kept)
            self._size += len(kept)
