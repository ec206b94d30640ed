"""What the node remembers of each pod on disk, so that a later process of ours finds the pod's programs again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .processes import short_paths

RECORD = "record.json"
ENDED = "exit.json"
OUT_OF_MEMORY = "out-of-memory"


@dataclass
class Ended:
    """How a run of a container ended. Times in seconds since the epoch; `reason` is Completed, Error, OOMKilled, ContainerCannotRun."""

    exit_code: int
    reason: str
    started_at: float
    finished_at: float
    signal: int | None = None
    message: str = ""
    attempt: int = 0


@dataclass
class ContainerRecord:
    """One container: its present or last run. `pid` and `birth` name its shim; `pid` is 0 when none runs.

    `directory` is where its commands begin, as it sees it, and `leading` the part of `NB_PREFIX` that was left out (`preparation.py`);
    `hooked` is the attempt whose `postStart` hook has run;
    `check` is the URL that tells readiness where the pod's spec has no probe, with `any_status` by any HTTP response; `pause` the
    back-off before the next start, in seconds; `cgroup` the directory of its control group, if it has one; `ended` and `previous`
    tell of the last two runs that are over.
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
    """One pod. `ports` tells which port really listens for each container port."""

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
        self.path = directory / "pods" / uid

    def prepare(self) -> None:
        """Raises `OSError`."""
        for path in (self.path.parent, self.path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove(self) -> None:
        """Never follows a link out of the directory, so what was mounted or linked stays."""
        if self._temporary.is_symlink():
            short_paths.remove(self._temporary)
        for path in (self._temporary, self.path):
            shutil.rmtree(path, ignore_errors=True)

    def below(self, *names: str) -> Path:
        """A directory in it, made."""
        path = self.path.joinpath(*names)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def temporary(self) -> Path:
        """For sockets and scratch files, made. Its path is short: a socket's may have 107 bytes (unix(7)). Raises `OSError`."""
        path = self._temporary
        if os.name == "posix" and not short_paths.fits(path):
            return short_paths.ensure(path)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    @property
    def _temporary(self) -> Path:
        return self.path.parent / f".{self.path.name[:8]}"

    def log(self, container: str, attempt: int) -> Path:
        return self.path / "containers" / container / f"{attempt}.log"

    def run(self, container: str, attempt: int, name: str) -> Path:
        """A file about one run of a container, such as `ENDED`."""
        return self.path / "containers" / container / f"{attempt}.{name}"

    def forget(self, container: str, attempt: int) -> None:
        """Drop log and exit code of a run."""
        for path in (self.path / "containers" / container).glob(f"{attempt}.*"):
            path.unlink(missing_ok=True)

    def load(self) -> PodRecord | None:
        """None when there is none that can be read."""
        try:
            found = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
            found["containers"] = {
                name: _container(kept) for name, kept in found["containers"].items()
            }
            return PodRecord(**found)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, record: PodRecord) -> None:
        """Whole or not at all. Raises `OSError`."""
        temporary = self.path / f".{RECORD}"
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(asdict(record), file)
        os.replace(temporary, self.path / RECORD)

    def ended(self, container: str, attempt: int, started_at: float, now: float) -> Ended:
        """How a run that is over ended, from what its shim wrote; a shim that was killed itself could write nothing."""
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
            lost = "Its supervising process was killed from outside, so its exit code is not known."
            ended = Ended(137, "", started_at, now, 9, "" if out_of_memory else lost)
        if out_of_memory:
            ended.reason = "OOMKilled"
        elif ended.message and ended.exit_code == 128:
            ended.reason = "ContainerCannotRun"
        else:
            ended.reason = "Completed" if ended.exit_code == 0 else "Error"
        return ended


def is_final(pod: Mapping[str, Any], container: str, ended: Ended) -> bool:
    """Whether a container that ended so is not started again, by its pod's restart policy."""
    policy = pod["spec"].get("restartPolicy", "Always")
    if policy == "Always" and any(
        found["name"] == container for found in pod["spec"].get("initContainers") or ()
    ):
        policy = "OnFailure"
    return not (policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0))


def all_pods(directory: Path) -> Iterator[PodFiles]:
    """Every pod that has a directory here."""
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
