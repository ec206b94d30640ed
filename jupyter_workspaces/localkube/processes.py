"""Which process a record means: a pid alone may be somebody else's by now, a pid with its time of creation is not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

# psutil reckons from the boot time, which shifts when the clock is set.
CLOCK_SECONDS = 2.0
LOOK_SECONDS = 0.05


def identity(pid: int) -> dict[str, Any]:
    """`{"pid", "createTime"}` of a living process, times in seconds since the epoch. Raises `psutil.NoSuchProcess`."""
    import psutil

    return {"pid": pid, "createTime": psutil.Process(pid).create_time()}


def alive(record: Mapping[str, Any]) -> psutil.Process | None:
    """The process that a record names, if it still runs: not a later one of the same pid, not a zombie."""
    import psutil

    try:
        process = psutil.Process(record["pid"])
        if (
            abs(process.create_time() - float(record["createTime"])) > CLOCK_SECONDS
            or process.status() == psutil.STATUS_ZOMBIE
        ):
            return None
        return process
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None


def wait_ended(process: psutil.Process, seconds: float) -> None:
    """Return when the process has ended, also when its parent has not taken notice yet. Raises `psutil.TimeoutExpired`."""
    import psutil

    deadline = time.monotonic() + seconds
    while True:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return
            process.wait(LOOK_SECONDS)
            return
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            if time.monotonic() > deadline:
                raise psutil.TimeoutExpired(seconds, process.pid) from None


def listener(port: int) -> str | None:
    """Who listens on a TCP port, for people: `python3 (pid 4711)`; None when nobody does or we may not see it."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return None
    return None
