"""Everything that a container's start needs: what it asks for is gathered first, then laid out for the shim."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ...cluster.client import Cluster
from ...listening import descriptors
from ...resources.names import WORKSPACE_NAME
from . import cgroups, environment, limits, mounts, runtimes
from .mounts import Hides, Mount, Plan
from .records import ENDED, PodFiles, PodRecord
from .volumes import Volumes
from .waiting import VOLUME, Waiting

Object = Mapping[str, Any]

HOME_VOLUME = "home-volume"
DEFAULT_PORT = 8888
SOCKET = "program"
LAB_FILES = "workspace_files"
LAB_FILES_SOURCE = Path(__file__).with_name("lab_files.py")


@dataclass(frozen=True)
class Place:
    """Where pods live on this computer: the cluster's directory, which mount namespaces can be made (`root`, `user` or None), and where control groups can."""

    directory: Path
    namespaces: str | None
    log_bytes: int
    log_files: int
    cgroups: Path | None = None


@dataclass
class Job:
    """A plan for the shim, and what to remember of it.

    `check` is the URL that tells readiness, with `any_status` by any HTTP response; `made` are mount points made inside volumes.
    """

    plan: dict[str, Any]
    check: str | None = None
    any_status: bool = False
    cgroup: str = ""
    made: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Prepared:
    """What a container asks for, found. `sentence` tells what stands for its image."""

    place: Place
    pod: Object
    spec: Object
    variables: Mapping[str, str]
    runtime: runtimes.Runtime
    volumes: list[Mount]

    @property
    def sentence(self) -> str:
        ignored = self.spec.get("command") and self.runtime.check is not None
        return self.runtime.sentence + ("; the container's own command is not used" if ignored else "")

    def job(self, record: PodRecord, files: PodFiles, attempt: int) -> Job:
        """Make the directories of a run and describe it. Raises `Waiting`, `OSError`."""
        name = self.spec["name"]
        private, temporary = files.below("run"), files.temporary()
        files.below("containers", name)
        home, plan = self._mount(files)
        port = port_of(self.spec)
        prefix = "/" + (self.variables.get("NB_PREFIX") or "").strip("/")
        socket = temporary / SOCKET
        socket.unlink(missing_ok=True)
        where = runtimes.Place(
            record.address, record.ports.get(str(port), port), prefix.rstrip("/") + "/", home, str(private), str(socket), name
        )
        for path, text in self.runtime.private_files(where, self._show_volumes(home, private)).items():
            Path(path).touch(mode=0o600)
            Path(path).write_text(text, encoding="utf-8")
        root = str(files.path / "root") if self.place.namespaces is None else ""
        needed = environment.base(self.pod, home, root, private, temporary, self.runtime.programs)
        asked = self._check()
        check = None if asked is None else f"http://{where.address}:{where.port}{where.fill(asked)}"
        group = self._cgroup(record, attempt)
        shim_plan = {
            "command": self.runtime.line(where),
            "environment": {**needed, **self.runtime.environment, **self.variables, **{kept: needed[kept] for kept in environment.FIXED}},
            # In a mount namespace its home does not exist outside; the shim goes there after it has mounted it.
            "directory": self.spec.get("workingDir") or where.fill(self.runtime.directory),
            "log": str(files.log(name, attempt)),
            "logBytes": self.place.log_bytes,
            "logFiles": self.place.log_files,
            "exit": str(files.run(name, attempt, ENDED)),
            "namespace": self.place.namespaces if self.volumes else None,
            "steps": plan.steps,
            "openFiles": descriptors.former_limit(),
            "staging": str(files.below("staging")),
            "cgroup": group,
        }
        files.log(name, attempt).touch(mode=0o600)  # so that whoever asks for the log of this run finds it from now on
        return Job(shim_plan, check, self.runtime.check is None, group, plan.made)

    def _cgroup(self, record: PodRecord, attempt: int) -> str:
        """The directory of a new control group; empty where there can be none."""
        if self.place.cgroups is None:
            return ""
        made = cgroups.create(self.place.cgroups, f"{record.uid}-{self.spec['name']}-{attempt}", limits.memory_limit(self.spec))
        return "" if made is None else str(made)

    def _check(self) -> str | None:
        """The path that tells readiness; None where the pod's own probe does, or nothing can."""
        if self.spec.get("readinessProbe"):
            return None
        if self.runtime.check is not None:
            return self.runtime.check
        # The controller names the ports of a kind so, which all speak HTTP: whatever such a program answers, it is alive.
        ports = self.spec.get("ports") or ()
        served = WORKSPACE_NAME in (self.pod["metadata"].get("labels") or {}) and any(
            port.get("name") == f"http-{port['containerPort']}" for port in ports[:1]
        )
        return "{prefix}" if served else None

    def _mount(self, files: PodFiles) -> tuple[str, Plan]:
        """The home directory, and the steps that bring the volumes to their paths."""
        home = self._home()
        if self.place.namespaces is None:
            root = files.path / "root"
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(mode=0o700)
            mounts.link(self.volumes, root, home)
            return str(home.source if home is not None else files.below("home")), Plan()
        needed = [self.place.directory, files.path, mounts.SHIM, *self.runtime.needs]
        try:
            plan = mounts.plan(self.volumes, needed)
            return home.path if home is not None else str(files.below("home")), plan
        except Hides as hides:
            if home is None or hides.mount is not home:
                raise Waiting(VOLUME, f"{hides}. Give the volume another path.", 60.0) from hides
            # What runs the workspace lies where its home should appear: the home is used where it is instead.
            return str(home.source), mounts.plan([mount for mount in self.volumes if mount is not home], needed)

    def _show_volumes(self, home: str, private: Path) -> list[str]:
        """What a Lab must be told so that its file browser shows claims that do not lie in the home; nothing for other programs."""
        if not self.runtime.is_lab:
            return []
        claims = {volume["name"] for volume in self.pod["spec"].get("volumes") or () if "persistentVolumeClaim" in volume}
        paths = self._home()
        shown = {}
        for described, mount in zip(self.spec.get("volumeMounts") or (), self.volumes, strict=True):
            inside = paths is not None and (mount is paths or PurePosixPath(paths.path) in PurePosixPath(mount.path).parents)
            if described["name"] in claims and not inside and mount.source.is_dir():
                shown[mount.path.strip("/")] = mount.path if self.place.namespaces is not None else str(mount.source)
        if not shown:
            return []
        shutil.copyfile(LAB_FILES_SOURCE, private / f"{LAB_FILES}.py")
        (private / f"{LAB_FILES}.json").write_text(json.dumps(shown), encoding="utf-8")
        return [f"--ServerApp.contents_manager_class={LAB_FILES}.WorkspaceFiles"]

    def _home(self) -> Mount | None:
        """The home claim: by its volume's name, else what is mounted as somebody's home."""
        mounted = list(zip(self.spec.get("volumeMounts") or (), self.volumes, strict=True))
        for described, mount in mounted:
            if described["name"] == HOME_VOLUME and os.path.isdir(mount.source):
                return mount
        for _, mount in mounted:
            if mount.path.startswith("/home/") and mount.path.strip("/").count("/") == 1 and not mount.read_only:
                return mount
        return None


async def prepare(cluster: Cluster, place: Place, pod: Object, spec: Object, files: PodFiles, address: str) -> Prepared:
    """Find what a container asks for: values, program, volumes. Raises `Waiting` while something is not there."""
    variables = await environment.variables(cluster, pod, spec, address)
    runtime = await asyncio.to_thread(runtimes.resolve, spec["image"], spec, variables, place.directory)
    volumes = await Volumes(cluster, pod, files, place.directory).mounts(spec)
    return Prepared(place, pod, spec, variables, runtime, volumes)


def port_of(spec: Object) -> int:
    """The container port that a known program serves at."""
    return int(next((found["containerPort"] for found in spec.get("ports") or ()), DEFAULT_PORT))
