"""Requests whose header values are bytes as Latin-1 text, written as they are. aiohttp itself writes text as UTF-8."""

from __future__ import annotations

import re
from types import FunctionType

import aiohttp
from aiohttp import client_reqrep
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class RawWriter(StreamWriter):
    """Writes headers byte for byte."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Raises `ValueError` for control characters, as the original does."""
        lines = [status_line, *(f"{name}: {value}" for name, value in headers.items())]
        if any(map(_FORBIDDEN.search, lines)):
            raise ValueError("Control characters in a header")
        self._headers_written = False
        self._headers_buf = "\r\n".join([*lines, "", ""]).encode("latin-1")


class RawRequest(aiohttp.ClientRequest):
    """For `aiohttp.ClientSession(request_class=…)`."""

    # `send` makes its writer itself, of the class that its module names: the same code, with another class.
    send = FunctionType(
        aiohttp.ClientRequest.send.__code__,
        {**vars(client_reqrep), "StreamWriter": RawWriter},
        "send",
        aiohttp.ClientRequest.send.__defaults__,
    )
