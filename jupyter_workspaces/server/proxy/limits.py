"""Timeouts and size limits of the proxy, from the traits of the server extension."""

from __future__ import annotations

from dataclasses import dataclass

SETTING = "jupyter_workspaces_limits"
"""Name of the web application's setting that holds `Limits`."""

HANDSHAKE_SECONDS = 30.0
"""Seconds to wait for the response to a WebSocket handshake. Browsers retry by themselves."""
PROBE_SECONDS = 2.0
"""Seconds to wait for the response to the HEAD request that probes whether a program responds."""


@dataclass(frozen=True)
class Limits:
    """Limits that administrators can set (`app.JupyterWorkspaces` documents them).

    `page_seconds` and `response_seconds` limit the time from the end of a request to the head of
    its response: the former for documents that a browser opens, the latter for everything else.
    The transfer of a body has no time limit, because streams may be silent for hours.
    """

    page_seconds: float = 15.0
    response_seconds: float = 600.0
    websocket_message_bytes: int = 256 * 2**20
    ping_seconds: float = 30.0
