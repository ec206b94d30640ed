"""A control group for each container, where we may create them.

A process cannot leave its group, whatever it does, and all processes of a group can be killed at
once. Where the parent group delegates the memory controller, the kernel enforces memory limits.
Only control groups v2 are used (Linux kernel documentation, “Control Group v2”).
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
_WAIT_SCRIPT = "import sys; sys.stdin.read()"


def parent(prefix: str) -> Path | None:
    """Return the group in which groups whose names begin with `prefix` can be made, or None.

    Blocks for 0.1 s.
    """
    own = _own()
    if own is None:
        return None
    # With `DelegateSubgroup=`, systemd puts our process into a group below the delegated one, which
    # has the controllers.
    candidates = (
        [own.parent, own] if "memory" in _words(own.parent / "cgroup.subtree_control") else [own]
    )
    return next((found for found in candidates if _works(found, prefix)), None)


def create(parent: Path, name: str, memory_limit: int | None) -> Path | None:
    """Create a control group; return None if that is not possible.

    Args:
        parent: The group in which it is created.
        name: Its name.
        memory_limit: In bytes; enforced where the parent delegates the memory controller.
    """
    group = parent / name
    try:
        end(group)
        group.mkdir(mode=0o755)
    except OSError as error:
        log.warning("Cannot create the control group %s: %s", group, error.strerror)
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
                log.warning(
                    "Cannot set %s of the control group %s: %s", file, group, error.strerror
                )
    return group


def end(group: Path, seconds: float = END_SECONDS) -> bool:
    """Kill all processes in a group and remove it. Blocks for at most `seconds`.

    Returns:
        Whether the group was removed.
    """
    deadline = time.monotonic() + seconds
    while group.exists():
        try:
            (group / "cgroup.kill").write_text("1")
            group.rmdir()
        except FileNotFoundError:
            break
        except OSError as error:
            if time.monotonic() > deadline:
                log.error("Cannot remove the control group %s: %s", group, error.strerror)
                return False
            time.sleep(0.02)
    return True


def _own() -> Path | None:
    """Return the directory of our own group (proc_pid_cgroup(5), proc_pid_mountinfo(5))."""
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
    """Return whether a process can be put into a group below `parent` and killed with it."""
    group = parent / f"{prefix}probe-{os.getpid()}"
    try:
        group.mkdir(mode=0o755)
    except OSError:
        return False
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WAIT_SCRIPT],
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
