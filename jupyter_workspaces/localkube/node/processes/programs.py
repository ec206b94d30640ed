"""Start a shim, and learn of its end whether it is our child or was adopted."""

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
    """Start a program by a plan for the shim. Blocks until it runs or has failed to, which its exit code tells.

    `record` is called with the shim's process before the plan is sent: a shim that nobody remembers gets none and ends.
    Raises `OSError` when there can be no new process.
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
    impatient = threading.Timer(ANSWER_SECONDS, child.kill)
    impatient.start()
    try:
        if child.stdin is not None and child.stdout is not None:
            with child.stdin as plan_file, child.stdout as answer:
                try:
                    plan_file.write(json.dumps(plan).encode())
                    plan_file.close()
                except BrokenPipeError:
                    pass  # it has ended already; its exit says why
                answer.readline()
    finally:
        impatient.cancel()
    return process


def birth(process: psutil.Process) -> str:
    """What tells a process from a later one of the same pid.

    Linux: boot and clock ticks since then, which stay when somebody sets the clock; elsewhere the time of creation.
    """
    try:
        with (
            open("/proc/sys/kernel/random/boot_id") as boot,
            open(f"/proc/{process.pid}/stat", "rb") as stat,
        ):
            return f"{boot.read().strip()} {stat.read().rpartition(b')')[2].split()[19].decode()}"
    except OSError:
        return f"{process.create_time():.1f}"


def find(pid: int, born: str) -> psutil.Process | None:
    """The process that a record means, if it still runs."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        return process if birth(process) == born and not is_over(process) else None
    except psutil.Error:
        return None


async def ended(process: psutil.Process) -> None:
    """Return once a shim has ended."""
    descriptor = _watchable(process.pid)
    try:
        if descriptor is not None and is_over(process):
            return
        if descriptor is not None:
            await _readable(descriptor)
            return
        while not is_over(process):  # noqa: ASYNC110 - systems without pidfd cannot tell of it
            await asyncio.sleep(POLL_SECONDS)
    finally:
        if descriptor is not None:
            os.close(descriptor)
        _reap(process.pid)


def is_over(process: psutil.Process) -> bool:
    """Whether a shim has ended. A zombie has: where process 1 reaps nobody, adopted ones stay so for ever."""
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
