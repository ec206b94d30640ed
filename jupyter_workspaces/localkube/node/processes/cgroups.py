"""A control group for each container, where we may make some: all that is in it ends at once.

Control group v2 only (Linux kernel documentation, "Control Group v2"): a process that starts a new session, gives up its environment
and outlives its parents stays in its group. Where the group's parent hands the memory controller on, its limit is the kernel's too.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

log = logging.getLogger(__name__)

END_SECONDS = 5.0
_WAITS_FOR_ITS_END = "import sys; sys.stdin.read()"


def parent(prefix: str) -> Path | None:
    """Return the group in which groups whose names begin with `prefix` can be made, or None.

    Blocks for 0.1 s.
    """
    own = _own()
    if own is None:
        return None
    # A service whose processes systemd puts into a group below the delegated one (DelegateSubgroup=) has the controllers there.
    candidates = (
        [own.parent, own] if "memory" in _words(own.parent / "cgroup.subtree_control") else [own]
    )
    return next((found for found in candidates if _works(found, prefix)), None)


def create(parent: Path, name: str, memory_limit: int | None) -> Path | None:
    """Make a group for a container. None if it cannot be made.

    `memory_limit` is in bytes; it holds where the parent hands the memory controller on.
    """
    group = parent / name
    try:
        end(group)
        group.mkdir(mode=0o755)
    except OSError as error:
        log.warning("No control group %s could be made: %s", group, error.strerror)
        return None
    limits = (
        {"memory.max": str(memory_limit), "memory.swap.max": "0", "memory.oom.group": "1"}
        if memory_limit is not None
        else {}
    )
    for file, value in limits.items():
        if (group / file).exists():
            try:
                (group / file).write_text(value)
            except OSError as error:
                log.warning("%s could not be set for %s: %s", file, group, error.strerror)
    return group


def end(group: Path, seconds: float = END_SECONDS) -> bool:
    """Kill all that is in a group and remove it. Blocks until it is empty, at most `seconds`; whether it has gone."""
    deadline = time.monotonic() + seconds
    while group.exists():
        try:
            (group / "cgroup.kill").write_text("1")
            group.rmdir()
        except FileNotFoundError:
            break
        except OSError as error:
            if time.monotonic() > deadline:
                log.error("The control group %s could not be ended: %s", group, error.strerror)
                return False
            time.sleep(0.02)
    return True


def _own() -> Path | None:
    """The directory of our own group, by proc_pid_cgroup(5) and proc_pid_mountinfo(5)."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    for fields in (line.split() for line in mounts):
        kind = fields[fields.index("-") + 1]
        if kind == "cgroup2" and own is not None:
            root, point = fields[3], fields[4]
            below = os.path.relpath(own, root)
            return None if below.startswith("..") else Path(point) / below
    return None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []


def _works(parent: Path, prefix: str) -> bool:
    """Whether a process can be put into a group there and killed with it."""
    group = parent / f"{prefix}probe-{os.getpid()}"
    try:
        group.mkdir(mode=0o755)
    except OSError:
        return False
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WAITS_FOR_ITS_END],
        stdin=subprocess.PIPE,
        cwd=os.path.abspath(os.sep),
    ) as tried:
        try:
            (group / "cgroup.procs").write_text(str(tried.pid))
            (group / "cgroup.kill").write_text("1")
            return tried.wait(END_SECONDS) != 0
        except (OSError, subprocess.TimeoutExpired):
            return False
        finally:
            tried.kill()
            tried.wait()
            end(group)
