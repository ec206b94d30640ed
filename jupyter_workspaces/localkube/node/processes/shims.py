"""Starts shims, finds them again after a restart of the node, and waits for their end.

A shim may be our child or, after a restart of the node, a process that we adopted.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from .mounts import SHIM

ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.5

_children: dict[int, subprocess.Popen[bytes]] = {}


def launch(
    plan: dict[str, Any],
    record: Callable[[psutil.Process], None],
    cores: Sequence[int] | None = None,
) -> psutil.Process:
    """Start a shim and its program. Blocks until the program runs or could not be started.

    Args:
        plan: The plan for the shim (`shim.py`).
        record: Called with the shim's process before it gets its plan, so that no program runs
            whose shim is not recorded. A shim without a plan ends.
        cores: Cores to which the program is bound; all by default.

    Raises:
        OSError: No new process can be started.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(SHIM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=os.path.abspath(os.sep),
        env={"LANG": "C.UTF-8"},
        start_new_session=True,
    )
    _children[child.pid] = child
    process = psutil.Process(child.pid)
    try:
        if cores:
            process.cpu_affinity(list(cores))
        record(process)
    except (OSError, psutil.Error):
        child.kill()
        child.communicate()
        raise
    watchdog = threading.Timer(ANSWER_SECONDS, child.kill)
    watchdog.start()
    try:
        if child.stdin is not None and child.stdout is not None:
            with child.stdin as plan_file, child.stdout as answer:
                try:
                    plan_file.write(json.dumps(plan).encode())
                    plan_file.close()
                except BrokenPipeError:
                    pass  # it has ended already; its exit code says why
                answer.readline()
    finally:
        watchdog.cancel()
    return process


def birth(process: psutil.Process) -> str:
    """Return what distinguishes a process from later processes with its pid.

    On Linux that is the id of the boot and the clock ticks since then, which do not depend on the
    wall clock; on other systems it is the creation time.
    """
    try:
        with (
            open("/proc/sys/kernel/random/boot_id") as boot,
            open(f"/proc/{process.pid}/stat", "rb") as stat,
        ):
            return f"{boot.read().strip()} {stat.read().rpartition(b')')[2].split()[19].decode()}"
    except OSError:
        return f"{process.create_time():.1f}"


def find(pid: int, expected_birth: str) -> psutil.Process | None:
    """Return the process with a pid and a birth if it still runs."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        return process if birth(process) == expected_birth and not has_ended(process) else None
    except psutil.Error:
        return None


async def wait_ended(process: psutil.Process) -> None:
    """Wait until a shim has ended."""
    descriptor = _watchable(process.pid)
    try:
        if descriptor is not None and has_ended(process):
            return
        if descriptor is not None:
            await _readable(descriptor)
            return
        while not has_ended(process):  # noqa: ASYNC110 - polls on systems without pidfd
            await asyncio.sleep(POLL_SECONDS)
    finally:
        if descriptor is not None:
            os.close(descriptor)
        _reap(process.pid)


def has_ended(process: psutil.Process) -> bool:
    """Return whether a shim has ended.

    Zombies have ended: where process 1 does not reap, adopted shims stay zombies.
    """
    _reap(process.pid)
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _watchable(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: None if over.done() else over.set_result(None))
    try:
        await over
    finally:
        loop.remove_reader(descriptor)


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        _children.pop(pid, None)
