"""Processes that are recorded in files: identified by pid and creation time, found and awaited.

A pid alone may belong to another process by now.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

# psutil calculates creation times from the boot time, which shifts when the clock is set.
CLOCK_SECONDS = 2.0
LOOK_SECONDS = 0.05


def identity(pid: int) -> dict[str, Any]:
    """Return `{"pid", "createTime"}` of a running process, the time in seconds since the epoch.

    Raises:
        psutil.NoSuchProcess: There is no such process.
    """
    import psutil

    return {"pid": pid, "createTime": psutil.Process(pid).create_time()}


def alive(record: Mapping[str, Any]) -> psutil.Process | None:
    """Return the process of a record if it still runs.

    A later process with the same pid or a zombie does not count.
    """
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
    """Wait until a process has ended, even if its parent has not reaped it yet.

    Raises:
        psutil.TimeoutExpired: It still runs after `seconds`.
    """
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
    """Return the name of the process that listens on a TCP port, such as `python3 (pid 4711)`.

    Returns None if there is none or if its owner cannot be determined.
    """
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
