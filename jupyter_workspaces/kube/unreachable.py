"""Reasons why a server does not answer. Texts of the HTTP library may hold URLs and passwords."""

from __future__ import annotations

import asyncio
import ssl

from jupyter_workspaces.common import tls


def why_unreachable(error: Exception) -> str:
    """Return the reason of a failed request, without any part of the request or the response."""
    import aiohttp

    if isinstance(error, asyncio.TimeoutError):
        return "the request timed out"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}{why_proxy(error.status)}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        certificate_error = error.certificate_error
        return (
            tls.failure(certificate_error)
            if isinstance(certificate_error, ssl.SSLError)
            else "its certificate is for another host name"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, ssl.SSLError):
            return tls.failure(cause)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return "its host name cannot be resolved"
        return _of_os(cause)
    if isinstance(error, ssl.SSLError):
        return tls.failure(error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the response ended too early"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the response is not valid HTTP"
    if isinstance(error, OSError):
        return _of_os(error)
    return f"the request failed ({type(error).__name__})"


def why_proxy(status: int) -> str:
    """Return what to do about a proxy's answer, empty if nothing is known."""
    return " (check the user name and password in its URL)" if status == 407 else ""


def _of_os(error: OSError) -> str:
    """Describe an OSError by its errno: asyncio's text lists addresses."""
    import os

    return os.strerror(error.errno).lower() if error.errno else "the connection failed"
