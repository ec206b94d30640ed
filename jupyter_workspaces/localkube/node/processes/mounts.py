"""Plans how a container's volumes appear at their mount paths.

The shim mounts them in a mount namespace by a plan of steps. Where mount namespaces are not
available, they appear as links below a directory of the pod.
"""

from __future__ import annotations

import os
import posixpath
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from jupyter_workspaces.localkube.node.waiting import READ_ONLY, VOLUME, Waiting

PROBE_SECONDS = 10.0
SHIM = Path(__file__).with_name("shim.py")
_KERNEL = (PurePosixPath("/proc"), PurePosixPath("/sys"))


@dataclass(frozen=True)
class Mount:
    """One volume mount.

    Attributes:
        path: Mount path.
        source: Directory or file that appears there.
        read_only: Whether it must not be written.
        private: Whether the source is a copy, which need not be protected from writing.
    """

    path: str
    source: Path
    read_only: bool = False
    private: bool = False


@dataclass
class Plan:
    """How volumes are mounted.

    Attributes:
        steps: Steps for the shim (`shim.mount`).
        made: Mount points that were created inside volumes, to be removed afterwards.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)


class HidesProgram(Exception):
    """A mount would hide files that the program needs."""

    def __init__(self, mount: Mount, path: Path) -> None:
        """Create the error for a mount that would hide `path`."""
        super().__init__(
            f"A volume cannot be mounted at {mount.path}, because the program needs {path} in it."
        )
        self.mount = mount


def namespaces() -> str | None:
    """Return the type of mount namespaces that this user can create: `root`, `user` or None.

    Blocks for about 0.1 s.
    """
    if not sys.platform.startswith("linux"):
        return None
    with tempfile.TemporaryDirectory() as directory:
        try:
            answer = subprocess.run(
                [sys.executable, "-I", "-S", str(SHIM), "--probe", directory],
                capture_output=True,
                text=True,
                timeout=PROBE_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
    found = answer.stdout.strip()
    return found if found in ("root", "user") else None


def plan(mounts: Sequence[Mount], needed: Iterable[Path]) -> Plan:
    """Return the steps that mount every volume at its path.

    Args:
        mounts: The volume mounts.
        needed: Paths that no mount may hide.

    Raises:
        Waiting: A volume cannot be mounted at its path.
        HidesProgram: A mount would hide a path in `needed`.
    """
    made = Plan()
    visible = {Path(os.path.realpath(path)) for path in needed} | {
        Path(os.path.abspath(path)) for path in needed
    }
    ordered = sorted(mounts, key=lambda mount: len(_parts(mount)))
    shadows: set[str] = set()
    points: list[dict[str, Any]] = []
    binds: list[dict[str, Any]] = []
    placed: list[Mount] = []
    for mount in ordered:
        path = _checked(mount)
        outer = next(
            (
                known
                for known in reversed(placed)
                if PurePosixPath(_checked(known)) in PurePosixPath(path).parents
            ),
            None,
        )
        if outer is not None:
            _point_within(outer, mount, made)
            target = path
        else:
            target, missing = _resolve(path)
            for kept in visible:
                if kept == Path(target) or Path(target) in kept.parents:
                    raise HidesProgram(mount, kept)
            if missing is not None:
                shadows.add(missing)
                points += _points(target, mount.source)
        binds.append(
            {"do": "bind", "source": str(mount.source), "path": target, "readOnly": mount.read_only}
        )
        placed.append(mount)
    made.steps = [
        {"do": "shadow", "path": path}
        for path in sorted(shadows, key=lambda path: (len(PurePosixPath(path).parts), path))
    ]
    made.steps += [*points, *binds]
    return made


def link(mounts: Sequence[Mount], root: Path, home: Mount | None) -> None:
    """Create links to volumes at their paths below `root`, for systems without mount namespaces.

    Args:
        mounts: The volume mounts.
        root: Directory of the links.
        home: The home volume, which needs no link because `HOME` names it.

    Raises:
        Waiting: A volume cannot appear as a link.
        OSError: A link cannot be created.
    """
    for mount in mounts:
        if mount.read_only and not mount.private:
            raise Waiting(
                READ_ONLY,
                f"The volume at {mount.path} is read-only, which this computer cannot enforce. "
                "That requires Linux with user namespaces, or root. Make the volume writable, or "
                "remove it.",
                60.0,
            )
    paths = {mount: _checked(mount) for mount in mounts}
    for mount in mounts:
        inner = [
            other
            for other in mounts
            if PurePosixPath(paths[mount]) in PurePosixPath(paths[other]).parents
        ]
        if inner and mount is home:
            continue  # `HOME` names the home; its path holds links to volumes inside it
        if inner:
            raise Waiting(
                VOLUME,
                f"The volume at {inner[0].path} lies inside the one at {mount.path}. That requires "
                "mount namespaces (Linux with user namespaces, or root). Use another mount path.",
                60.0,
            )
        place = root / paths[mount].lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(mount.source, target_is_directory=mount.source.is_dir())


def _checked(mount: Mount) -> str:
    path = posixpath.normpath(mount.path)
    pure = PurePosixPath(path)
    if not pure.is_absolute() or path.startswith("//") or len(pure.parts) < 2:
        raise Waiting(
            VOLUME,
            f"A volume cannot be mounted at '{mount.path}'. Use an absolute path other than /.",
            60.0,
        )
    if any(pure == kernel or kernel in pure.parents for kernel in _KERNEL):
        raise Waiting(
            VOLUME,
            f"A volume cannot be mounted at {mount.path}, which belongs to the kernel.",
            60.0,
        )
    return path


def _parts(mount: Mount) -> tuple[str, ...]:
    return PurePosixPath(posixpath.normpath(mount.path)).parts


def _resolve(path: str) -> tuple[str, str | None]:
    """Return a path with links resolved, and its deepest existing parent if it does not exist."""
    real = os.path.realpath(path)
    if os.path.exists(real):
        return real, None
    parent = os.path.dirname(real)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    return real, parent


def _points(target: str, source: Path) -> list[dict[str, Any]]:
    if source.is_dir():
        return [{"do": "directory", "path": target}]
    return [{"do": "directory", "path": os.path.dirname(target)}, {"do": "file", "path": target}]


def _point_within(outer: Mount, mount: Mount, made: Plan) -> None:
    """Create a mount point inside another volume, as container runtimes do; removed afterwards."""
    inside = outer.source / PurePosixPath(_checked(mount)).relative_to(_checked(outer))
    real, base = Path(os.path.realpath(inside)), Path(os.path.realpath(outer.source))
    if real != base and base not in real.parents:
        raise Waiting(
            VOLUME,
            f"A volume cannot be mounted at {mount.path}: a link in the volume at {outer.path} "
            "leads out of it. Use another mount path.",
            60.0,
        )
    if real.exists():
        return
    if outer.read_only:
        raise Waiting(
            VOLUME,
            f"{mount.path} does not exist in the read-only volume at {outer.path}. Use another "
            "mount path.",
            60.0,
        )
    for parent in reversed([real, *real.parents]):
        if base in parent.parents and not parent.exists():
            if parent == real and not mount.source.is_dir():
                parent.touch(mode=0o644)
            else:
                parent.mkdir(mode=0o755)
            made.made.append(str(parent))


def clear_points(made: Iterable[str]) -> None:
    """Remove mount points that were created inside volumes if they are empty."""
    for path in reversed(list(made)):
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            elif os.path.isfile(path) and os.path.getsize(path) == 0:
                os.unlink(path)
        except OSError:
            continue
