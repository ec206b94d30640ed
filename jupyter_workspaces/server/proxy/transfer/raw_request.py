"""Requests whose header values are written byte for byte.

Tornado reads header values as Latin-1 text, one character per byte. aiohttp would write that text
as UTF-8; the classes here write it as Latin-1. This module imports aiohttp, so it is imported with
the first request.
"""

from __future__ import annotations

import re
from types import FunctionType

import aiohttp
from aiohttp import client_reqrep
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class RawWriter(StreamWriter):
    """Writer that encodes headers as Latin-1."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Buffer the head. Raises `ValueError` for control characters, as the base class does."""
        lines = [status_line, *(f"{name}: {value}" for name, value in headers.items())]
        if any(map(_FORBIDDEN.search, lines)):
            raise ValueError("Control characters in a header")
        self._headers_written = False
        self._headers_buf = "\r\n".join([*lines, "", ""]).encode("latin-1")


class RawRequest(aiohttp.ClientRequest):
    """Request that uses `RawWriter`, for `aiohttp.ClientSession(request_class=…)`."""

    # `send` creates its writer by a global name. This is the same code with other globals.
    send = FunctionType(
        aiohttp.ClientRequest.send.__code__,
        {**vars(client_reqrep), "StreamWriter": RawWriter},
        "send",
        aiohttp.ClientRequest.send.__defaults__,
    )
