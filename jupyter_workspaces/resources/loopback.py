"""`localhost` in commands written for a pod, on the local cluster: its pods share the loopback network of this computer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LOCALHOST = r"(?<![\w.-])(?:localhost|127\.0\.0\.1|\[::1\])"


def at_pod(text: str, address: str, ports: Mapping[str, int]) -> str:
    """Return a command's text with `localhost:PORT` leading to the pod, for each of its container ports.

    The same for `localhost PORT` (netcat) and `/dev/tcp/localhost/PORT` (bash).
    On a cluster a pod has the loopback addresses for itself. Here they are the computer's, and the pod listens at one of its own.
    """
    if not ports:
        return text
    named = "|".join(re.escape(port) for port in ports)
    return re.sub(
        rf"{_LOCALHOST}([:/ ])({named})(?!\d)",
        lambda match: f"{address}{match[1]}{ports[match[2]]}",
        text,
    )
