"""Trees of processes: who belongs to a pod, found in one look at the process table, and how to end them all."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from jupyter_workspaces.localkube.node.records import PodFiles, all_pods

from . import cgroups
from .programs import find, is_over

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
    """End all that a shim holds; the shim itself follows by itself, having written the exit code. True when nothing is left."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_over(shim):
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
        return is_over(shim)
    try:
        shim.kill()
        shim.wait(1.0)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass
    return is_over(shim)


def kill_lost(files: PodFiles, variable: str) -> None:
    """End what a pod's shims have lost: by its control groups where it has some, and by its mark in the environment. Blocks."""
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
            if process.environ().get(variable) == uid and process.pid != os.getpid():
                process.kill()
                count += 1
        except (psutil.Error, OSError):
            continue
    return count


def stop_pods(directory: Path, variable: str) -> None:
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
        kill_lost(files, variable)


def shims(files: PodFiles) -> list[psutil.Process]:
    """The living shims of a pod."""
    record = files.load()
    if record is None:
        return []
    found = (find(kept.pid, kept.birth) for kept in record.containers.values())
    return [process for process in found if process is not None]
