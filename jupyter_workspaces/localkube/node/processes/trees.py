"""Trees of processes: who belongs to a pod, found in one look at the process table, and how to end them all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from jupyter_workspaces.localkube.node.records import PodFiles, all_pods

from . import cgroups
from .programs import find, is_over

MARK = "JUPYTER_WORKSPACE_POD"
"""Environment variable with the pod's uid: finds a pod's processes that lost their shim."""

KILL_SECONDS = 5.0
STOP_SECONDS = 5.0


def parents() -> dict[int, int]:
    """Pid → parent's pid of every process."""
    found = {}
    for process in psutil.process_iter(["ppid"]):
        if (parent := process.info["ppid"]) is not None:
            found[process.pid] = parent
    return found


def descendants(roots: Iterable[int], table: dict[int, int] | None = None) -> dict[int, list[int]]:
    """Root → pids of all processes below it, the root left out."""
    children: dict[int, list[int]] = {}
    for pid, parent in (parents() if table is None else table).items():
        children.setdefault(parent, []).append(pid)
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
    """End all that a shim holds; the shim itself follows by itself, having written the exit code. True when nothing is left."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_over(shim):
            return True
        for pid in descendants([shim.pid])[shim.pid]:
            _signal_kill(pid)
        try:
            shim.wait(0.05)
        except psutil.TimeoutExpired:
            continue
        return True
    try:
        shim.kill()
        shim.wait(1.0)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass
    return is_over(shim)


def kill_lost(files: PodFiles) -> None:
    """End what a pod's shims have lost: by its control groups where it has some, and by its mark in the environment. Blocks."""
    record = files.load()
    if record is None:
        return
    for kept in record.containers.values():
        if kept.cgroup:
            cgroups.end(Path(kept.cgroup))
    deadline = time.monotonic() + KILL_SECONDS
    while kill_marked(record.uid) and time.monotonic() < deadline:
        time.sleep(0.02)


def kill_marked(uid: str) -> int:
    """Kill processes of a pod whose shim is gone, known by their environment. How many there were."""
    count = 0
    for process in psutil.process_iter(["uids"] if os.name == "posix" else []):
        try:
            if (
                os.name == "posix"
                and process.info["uids"] is not None
                and process.info["uids"].real != os.getuid()
            ):
                continue
            if process.environ().get(MARK) == uid and process.pid != os.getpid():
                process.kill()
                count += 1
        except (psutil.Error, OSError):
            continue
    return count


def stop_pods(directory: Path) -> None:
    """End all processes of the pods recorded in a cluster's directory, found by pid and time of birth, control group and mark.

    Blocks until they are gone: they get some seconds to save their files, then they are killed.
    """
    found = [shim for files in all_pods(directory) for shim in shims(files)]
    for shim in found:
        try:
            shim.terminate()
        except psutil.Error:
            continue
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and not all(is_over(shim) for shim in found):
        time.sleep(0.02)
    for shim in found:
        kill(shim)
    for files in all_pods(directory):
        kill_lost(files)


def shims(files: PodFiles) -> list[psutil.Process]:
    """The living shims of a pod."""
    record = files.load()
    if record is None:
        return []
    found = (find(kept.pid, kept.birth) for kept in record.containers.values())
    return [process for process in found if process is not None]


def _signal_kill(pid: int) -> None:
    try:
        psutil.Process(pid).kill()
    except psutil.Error:
        return
