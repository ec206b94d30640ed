"""How long the proxy waits for a workspace's program, and how much it lets through at once."""

from __future__ import annotations

from dataclasses import dataclass

SETTING = "jupyter_workspaces_limits"

HANDSHAKE_SECONDS = 30.0
"""For the answer to a WebSocket's opening request; browsers try again by themselves."""
PROBE_SECONDS = 2.0
"""For the answer to a HEAD request that asks whether a program answers at all."""


@dataclass(frozen=True)
class Limits:
    """Traits of the server extension (`app.JupyterWorkspaces`), which documents them.

    `page_seconds` and `response_seconds` bound the time between the end of a request and the head of its response, for documents that
    a browser opens and for everything else. A body has no limit, for streams may be silent for hours.
    """

    page_seconds: float = 15.0
    response_seconds: float = 600.0
    websocket_message_bytes: int = 256 * 2**20
    ping_seconds: float = 30.0
