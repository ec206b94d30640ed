"""Records of pods on disk, by which a restarted node finds the programs of its pods again.

Each pod has a private directory `pods/<uid>/` with its record, logs, exit codes and volumes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from . import short_paths

RECORD = "record.json"
ENDED = "exit.json"
OUT_OF_MEMORY = "out-of-memory"


@dataclass
class Ended:
    """The end of a run of a container.

    Attributes:
        exit_code: Exit code of the program.
        reason: `Completed`, `Error`, `OOMKilled` or `ContainerCannotRun`.
        started_at: Start, in seconds since the epoch.
        finished_at: End, in seconds since the epoch.
        signal: Number of the signal that ended the program, if one did.
        message: Last lines of the log, or why the program could not run.
        attempt: Number of the run.
    """

    exit_code: int
    reason: str
    started_at: float
    finished_at: float
    signal: int | None = None
    message: str = ""
    attempt: int = 0


@dataclass
class ContainerRecord:
    """The present or last run of a container.

    Attributes:
        attempt: Number of the run, counted from 1.
        pid: Process id of its shim; 0 if none runs.
        birth: Start of the shim, which distinguishes it from later processes with its pid.
        started_at: Start of the run, in seconds since the epoch.
        restarts: Number of restarts.
        pause: Backoff before the next start, in seconds.
        directory: Working directory of commands in the container, as the container sees it.
        leading: Part of `NB_PREFIX` at which the program is not served (`preparation.py`).
        hooked: Number of the run whose `postStart` hook has run.
        check: URL of the readiness check where the pod's spec has no probe.
        any_status: Whether any HTTP response to `check` means ready.
        cgroup: Directory of its control group; empty if it has none.
        ended: End of the last run.
        previous: End of the run before.
        made: Mount points that were created inside volumes.
    """

    attempt: int = 0
    pid: int = 0
    birth: str = ""
    started_at: float = 0.0
    restarts: int = 0
    pause: float = 0.0
    directory: str = ""
    leading: str = ""
    hooked: int = 0
    check: str | None = None
    any_status: bool = False
    cgroup: str = ""
    ended: Ended | None = None
    previous: Ended | None = None
    made: list[str] = field(default_factory=list)


@dataclass
class PodRecord:
    """A pod.

    Attributes:
        uid: Uid of the pod.
        namespace: Its namespace.
        name: Its name.
        address: Its IP address; empty before it has one.
        ports: The port at which the program really listens, for each container port.
        started_at: Start of the pod, in seconds since the epoch.
        containers: Its containers by name.
    """

    uid: str
    namespace: str
    name: str
    address: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    started_at: float = 0.0
    containers: dict[str, ContainerRecord] = field(default_factory=dict)


class PodFiles:
    """The private directory of one pod, `pods/<uid>/`."""

    def __init__(self, directory: Path, uid: str) -> None:
        """Name the files of a pod in the directory of a cluster."""
        self.path = directory / "pods" / uid

    def prepare(self) -> None:
        """Create the directory. Raises `OSError`."""
        for path in (self.path.parent, self.path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove(self) -> None:
        """Remove the directory without following links, so that linked volumes stay."""
        if self._temporary.is_symlink():
            short_paths.remove(self._temporary)
        for path in (self._temporary, self.path):
            shutil.rmtree(path, ignore_errors=True)

    def below(self, *names: str) -> Path:
        """Return a directory in it, which is created."""
        path = self.path.joinpath(*names)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def temporary(self) -> Path:
        """Return a directory for sockets and scratch files, which is created.

        Its path is short, because that of a socket may have 107 bytes (unix(7)).

        Raises:
            OSError: It cannot be created.
        """
        path = self._temporary
        if os.name == "posix" and not short_paths.fits(path):
            return short_paths.ensure(path)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    @property
    def _temporary(self) -> Path:
        return self.path.parent / f".{self.path.name[:8]}"

    def log(self, container: str, attempt: int) -> Path:
        """Return the path of the log of a run."""
        return self.path / "containers" / container / f"{attempt}.log"

    def run(self, container: str, attempt: int, name: str) -> Path:
        """Return the path of a file about a run, such as `ENDED`."""
        return self.path / "containers" / container / f"{attempt}.{name}"

    def forget(self, container: str, attempt: int) -> None:
        """Delete log and exit code of a run."""
        for path in (self.path / "containers" / container).glob(f"{attempt}.*"):
            path.unlink(missing_ok=True)

    def load(self) -> PodRecord | None:
        """Return the record of the pod; None if there is none that can be read."""
        try:
            found = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
            found["containers"] = {
                name: _container(kept) for name, kept in found["containers"].items()
            }
            return PodRecord(**found)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, record: PodRecord) -> None:
        """Replace the record of the pod atomically. Raises `OSError`."""
        temporary = self.path / f".{RECORD}"
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(asdict(record), file)
        os.replace(temporary, self.path / RECORD)

    def ended(self, container: str, attempt: int, started_at: float, now: float) -> Ended:
        """Return the end of a run as its shim wrote it; a shim that was killed wrote nothing."""
        out_of_memory = self.run(container, attempt, OUT_OF_MEMORY).exists()
        try:
            found = json.loads(self.run(container, attempt, ENDED).read_text(encoding="utf-8"))
            ended = Ended(
                found["exitCode"],
                "",
                found["startedAt"],
                found["finishedAt"],
                found["signal"],
                found["message"],
            )
            out_of_memory = out_of_memory or bool(found.get("outOfMemory"))
        except (OSError, ValueError, KeyError):
            lost = "The exit code is unknown because the supervising process was killed."
            ended = Ended(137, "", started_at, now, 9, "" if out_of_memory else lost)
        if out_of_memory:
            ended.reason = "OOMKilled"
        elif ended.message and ended.exit_code == 128:
            ended.reason = "ContainerCannotRun"
        else:
            ended.reason = "Completed" if ended.exit_code == 0 else "Error"
        return ended


def is_final(pod: Mapping[str, Any], container: str, ended: Ended) -> bool:
    """Return whether a container that has ended is not restarted, by its pod's restart policy."""
    policy = pod["spec"].get("restartPolicy", "Always")
    if policy == "Always" and any(
        found["name"] == container for found in pod["spec"].get("initContainers") or ()
    ):
        policy = "OnFailure"
    return not (policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0))


def all_pods(directory: Path) -> Iterator[PodFiles]:
    """Yield the files of every pod in the directory of a cluster."""
    try:
        names = sorted(
            entry.name
            for entry in os.scandir(directory / "pods")
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        )
    except OSError:
        return
    for name in names:
        yield PodFiles(directory, name)


def _container(kept: dict[str, Any]) -> ContainerRecord:
    known = {found.name for found in fields(ContainerRecord)}
    kept = {name: value for name, value in kept.items() if name in known}
    for name in ("ended", "previous"):
        if kept.get(name) is not None:
            kept[name] = Ended(**kept[name])
    return ContainerRecord(**kept)
