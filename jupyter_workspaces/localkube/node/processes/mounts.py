"""Where a container's volumes appear: a plan of steps for the shim, or links where no mount namespace can be made."""

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
    """One volume mount. `private` sources are copies of our own, which need no guard against writing."""

    path: str
    source: Path
    read_only: bool = False
    private: bool = False


@dataclass
class Plan:
    """`steps` for the shim; `made` are mount points that had to be made inside a volume, to be removed afterwards."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)


class Hides(Exception):
    """A mount would hide what the program itself needs."""

    def __init__(self, mount: Mount, path: Path) -> None:
        super().__init__(
            f"{mount.path} cannot be used as a mount path here: {path} lies in it, and the workspace's program needs that"
        )
        self.mount = mount


def namespaces() -> str | None:
    """Which kind of mount namespace this user can make: `root`, `user` or None. Blocks for about 0.1 s."""
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
    """Steps that make every volume appear at exactly its path. Raises `Waiting`, and `Hides` when something `needed` would be covered."""
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
                    raise Hides(mount, kept)
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
    """Links below `root` at the volumes' paths, for systems without mount namespaces. Raises `Waiting`, `OSError`."""
    for mount in mounts:
        if mount.read_only and not mount.private:
            raise Waiting(
                READ_ONLY,
                f"The volume at {mount.path} is read-only, which this computer cannot enforce: it needs Linux with user namespaces "
                "(or root). Make the volume writable, or leave it out.",
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
            continue  # home is reached by HOME; here its place holds the links of what is mounted in it
        if inner:
            raise Waiting(
                VOLUME,
                f"The volume at {inner[0].path} lies inside the one at {mount.path}, which this computer cannot show without mount "
                "namespaces (Linux with user namespaces, or root). Give it a path of its own.",
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
            f"A volume cannot be mounted at {mount.path!r}: the path must be absolute and not the root.",
            60.0,
        )
    if any(pure == kernel or kernel in pure.parents for kernel in _KERNEL):
        raise Waiting(
            VOLUME, f"A volume cannot be mounted at {mount.path}: that belongs to the kernel.", 60.0
        )
    return path


def _parts(mount: Mount) -> tuple[str, ...]:
    return PurePosixPath(posixpath.normpath(mount.path)).parts


def _resolve(path: str) -> tuple[str, str | None]:
    """The path with its links followed, and the deepest directory that is there if the path itself is not."""
    real = os.path.realpath(path)
    if os.path.exists(real):
        return real, None
    there = os.path.dirname(real)
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    return real, there


def _points(target: str, source: Path) -> list[dict[str, Any]]:
    if source.is_dir():
        return [{"do": "directory", "path": target}]
    return [{"do": "directory", "path": os.path.dirname(target)}, {"do": "file", "path": target}]


def _point_within(outer: Mount, mount: Mount, made: Plan) -> None:
    """A mount point inside another volume. Like any container runtime we must make it there when it is missing; it goes again."""
    inside = outer.source / PurePosixPath(_checked(mount)).relative_to(_checked(outer))
    real, base = Path(os.path.realpath(inside)), Path(os.path.realpath(outer.source))
    if real != base and base not in real.parents:
        raise Waiting(
            VOLUME,
            f"{mount.path} cannot be a mount path: a link in the volume at {outer.path} leads out of it.",
            60.0,
        )
    if real.exists():
        return
    if outer.read_only:
        raise Waiting(
            VOLUME,
            f"{mount.path} lies inside the read-only volume at {outer.path} and does not exist there. Take another path.",
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
    """Remove mount points that were made inside volumes, as long as they are empty."""
    for path in reversed(list(made)):
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            elif os.path.isfile(path) and os.path.getsize(path) == 0:
                os.unlink(path)
        except OSError:
            continue
