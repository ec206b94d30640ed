"""Finds and kills all processes of a pod: by parents, control group and environment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from jupyter_workspaces.localkube.node.records import PodFiles, all_pods

from . import cgroups
from .shims import find, has_ended

KILL_SECONDS = 5.0
STOP_SECONDS = 5.0


def descendants(roots: Iterable[int]) -> dict[int, list[int]]:
    """Return for each root the pids of all processes below it.

    Reads the process table once for all roots; psutil's `children` reads it once for each.
    """
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        if (parent := process.info["ppid"]) is not None:
            children.setdefault(parent, []).append(process.pid)
    trees = {}
    for root in roots:
        tree, waiting = [], list(children.get(root, ()))
        while waiting:
            pid = waiting.pop()
            tree.append(pid)
            waiting += children.get(pid, ())
        trees[root] = tree
    return trees


def kill(shim: psutil.Process, seconds: float = KILL_SECONDS) -> bool:
    """Kill all processes of a shim. The shim writes the exit code and ends by itself.

    Returns:
        Whether all of them have ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if has_ended(shim):
            return True
        try:
            for process in shim.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            shim.wait(0.05)
        except psutil.TimeoutExpired:
            continue
        except psutil.Error:
            pass
        return has_ended(shim)
    try:
        shim.kill()
        shim.wait(1.0)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass
    return has_ended(shim)


def kill_lost(files: PodFiles, variable: str) -> None:
    """Kill processes of a pod that have lost their shim. Blocks.

    They are found by the pod's control groups and by its uid in the environment variable
    `variable`.
    """
    record = files.load()
    if record is None:
        return
    for kept in record.containers.values():
        if kept.cgroup:
            cgroups.end(Path(kept.cgroup))
    deadline = time.monotonic() + KILL_SECONDS
    while kill_marked(record.uid, variable) and time.monotonic() < deadline:
        time.sleep(0.02)


def kill_marked(uid: str, variable: str) -> int:
    """Kill the processes with a pod's uid in an environment variable.

    Returns:
        The number of processes that were killed.
    """
    count = 0
    for process in psutil.process_iter(["uids"] if os.name == "posix" else []):
        try:
            if (
                os.name == "posix"
                and process.info["uids"] is not None
                and process.info["uids"].real != os.getuid()
            ):
                continue
            if process.environ().get(variable) == uid and process.pid != os.getpid():
                process.kill()
                count += 1
        except (psutil.Error, OSError):
            continue
    return count


def stop_pods(directory: Path, variable: str) -> None:
    """Stop all processes of the pods in the directory of a cluster.

    Blocks until they have ended. They get some seconds to save their files, then they are killed.

    Args:
        directory: The cluster's directory.
        variable: Environment variable with the pod's uid.
    """
    found = [shim for files in all_pods(directory) for shim in shims(files)]
    for shim in found:
        try:
            shim.terminate()
        except psutil.Error:
            continue
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and not all(has_ended(shim) for shim in found):
        time.sleep(0.02)
    for shim in found:
        kill(shim)
    for files in all_pods(directory):
        kill_lost(files, variable)


def shims(files: PodFiles) -> list[psutil.Process]:
    """Return the running shims of a pod."""
    record = files.load()
    if record is None:
        return []
    found = (find(kept.pid, kept.birth) for kept in record.containers.values())
    return [process for process in found if process is not None]
