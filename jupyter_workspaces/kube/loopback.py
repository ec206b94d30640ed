"""Replaces `localhost` in commands written for a pod by the pod's own loopback address.

In a real cluster a pod has the loopback addresses for itself. On the local cluster they belong to
the computer that all pods share, and each pod listens at a loopback address of its own. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_LOCALHOST = r"(?<![\w.-])(?:localhost|127\.0\.0\.1|\[::1\])"


def at_pod(text: str, address: str, ports: Mapping[str, int]) -> str:
    """Return a command's text with `localhost:PORT` replaced by the pod's address and port.

    Replaces `localhost:PORT` (URLs), `localhost PORT` (netcat) and `/dev/tcp/localhost/PORT` (bash)
    for each of the pod's container ports.

    Args:
        text: The command, or one word of it.
        address: The pod's IP address.
        ports: For each container port, the port at which the program really listens.
    """
    if not ports:
        return text
    named = "|".join(re.escape(port) for port in ports)
    return re.sub(
        rf"{_LOCALHOST}([:/ ])({named})(?!\d)",
        lambda match: f"{address}{match[1]}{ports[match[2]]}",
        text,
    )
