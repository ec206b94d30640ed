"""Maps errors of the connection to a workspace to responses for the browser. Pure.

It imports aiohttp, so it is imported with the first request.
"""

from __future__ import annotations

import asyncio
import zlib

import aiohttp

from jupyter_workspaces.server.proxy.transfer.http_checks import BadResponse
from jupyter_workspaces.server.proxy.transfer.port_forward import NotConnected, PortClosed
from jupyter_workspaces.server.proxy.transfer.response_wait import ResponseTimeout
from jupyter_workspaces.server.proxy.unavailable import (
    CLUSTER_IS_SILENT,
    PROGRAM_IS_STARTING,
    Unavailable,
)

from .errors import RequestRefused

UPSTREAM_ERRORS = (
    aiohttp.ClientError,
    BadResponse,
    ResponseTimeout,
    zlib.error,
    asyncio.TimeoutError,
)
"""The errors that `transfer_error` maps."""


def silent(seconds: float) -> Unavailable:
    """Return the error for a program that did not begin its response in time."""
    return Unavailable(
        "silent",
        "Its program received the request and did not respond within"
        f" {seconds:g}\N{NO-BREAK SPACE}s. It may be busy or stopped.",
    )


def transfer_error(error: Exception, name: str, *, forwarded: bool) -> Unavailable | RequestRefused:
    """Return the response to a request whose transfer failed before its response began.

    Args:
        error: One of `UPSTREAM_ERRORS`.
        name: The workspace.
        forwarded: Whether the connection is a port-forward through the API server.
    """
    match error:
        case ResponseTimeout():
            return silent(error.seconds)
        case NotConnected():
            return error.why
        case aiohttp.ConnectionTimeoutError() if forwarded:
            return Unavailable("cluster", CLUSTER_IS_SILENT)
        case aiohttp.ConnectionTimeoutError():
            return Unavailable(
                "starting", "Its program did not accept a connection within 10 s. Trying again."
            )
        case aiohttp.ClientConnectorError() | PortClosed():
            return Unavailable("starting", PROGRAM_IS_STARTING)
        case BadResponse() | aiohttp.ClientResponseError():
            return RequestRefused(
                502,
                f"The response of the program in workspace '{name}' was not forwarded:"
                f" {describe(error)}.",
                "BadResponse",
            )
    return RequestRefused(
        502,
        f"The program in workspace '{name}' closed the connection before it responded. Try again;"
        " its log may show the reason.",
        "BrokenOff",
    )


def handshake_error(error: Exception, name: str, seconds: float) -> Unavailable | RequestRefused:
    """Return the response to a WebSocket handshake that failed.

    Args:
        error: An `aiohttp.ClientError` or a `TimeoutError`.
        name: The workspace.
        seconds: The timeout of the handshake.
    """
    match error:
        case NotConnected():
            return error.why
        case aiohttp.ClientConnectionError():
            return RequestRefused(
                503,
                f"The program in workspace '{name}' does not accept connections yet.",
                "Starting",
            )
        case aiohttp.ClientError():
            return RequestRefused(
                502, f"The program in workspace '{name}' did not respond with HTTP.", "BadResponse"
            )
    return silent(seconds)


def describe(error: Exception) -> str:
    """Return what is wrong with a response, without its contents."""
    if isinstance(error, aiohttp.ClientResponseError):
        return "it is not HTTP"
    return str(error) or type(error).__name__
