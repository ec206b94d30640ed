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

from jupyter_workspaces.common.listeners import descriptors
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.localkube.settings import NodeSettings

from . import environment, limitations, runtimes
from .limitations import Limitation
from .processes import cgroups, limits, mounts
from .processes.mounts import Hides, Mount, Plan
from .records import ENDED, PodFiles, PodRecord
from .volumes import Volumes
from .waiting import SIDE_CAR, VOLUME, ProgramMissing, Waiting

Object = Mapping[str, Any]

DEFAULT_PORT = 8888
SOCKET = "program"
TOKENS = ("JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE")
"""Variables by which a Jupyter server gets the token that it asks for."""

LAB_FILES = "workspace_files"
LAB_FILES_SOURCE = Path(__file__).with_name("processes") / "lab_files.py"


@dataclass(frozen=True)
class Place:
    """Where pods live on this computer: the cluster's directory, which mount namespaces can be made (`root`, `user` or None), and where control groups can."""

    directory: Path
    namespaces: str | None
    log_bytes: int
    log_files: int
    settings: NodeSettings
    cgroups: Path | None = None


@dataclass
class Job:
    """A plan for the shim, and what to remember of it.

    `check` is the URL that tells readiness, with `any_status` by any HTTP response; `made` are mount points made inside volumes.
    `directory` is where commands in the container begin, as it sees it.
    """

    plan: dict[str, Any]
    directory: str = ""
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
    services: Mapping[str, str]

    @property
    def sentence(self) -> str:
        return self.runtime.sentence

    @property
    def prefix(self) -> str:
        """The public path, without a slash at its end."""
        return ("/" + (self.variables.get("NB_PREFIX") or "").strip("/")).rstrip("/")

    @property
    def leading(self) -> str:
        """What stands in `NB_PREFIX` before the path at which the proxy asks; empty where nothing does."""
        path = self.place.settings.request_path(self.pod)
        at = -1 if path is None else self.prefix.find(path)
        return self.prefix[:at] if at > 0 else ""

    @property
    def left_out(self) -> str:
        """`leading`, where the program can be served without it."""
        return self.leading if self.runtime.is_lab else ""

    def limitations(self) -> list[Limitation]:
        """What the container asks for and does not get here, for its events."""
        found = [Limitation("CommandNotUsed", self.runtime.unused)] if self.runtime.unused else []
        if self.leading:
            inside = self.prefix[len(self.leading) :]
            served = (
                f"JupyterLab is served at {inside}/ here, without it"
                if self.left_out
                else "a program that serves only there answers 404"
            )
            text = f"NB_PREFIX begins with {self.leading}, but requests to this workspace begin with {inside}/: {served}."
            found.append(
                Limitation(
                    "PrefixNotUsed", f"{text} Take {self.leading} out of the kind's extraEnv."
                )
            )
        return found + limitations.of_container(self.pod, self.spec)

    def job(self, record: PodRecord, files: PodFiles, attempt: int) -> Job:
        """Make the directories of a run and describe it. Raises `Waiting`, `OSError`."""
        name = self.spec["name"]
        private, temporary = files.below("run"), files.temporary()
        files.below("containers", name)
        home, plan = self._mount(files)
        port = port_of(self.spec)
        prefix = self.prefix[len(self.left_out) :]
        socket = temporary / SOCKET
        socket.unlink(missing_ok=True)
        where = runtimes.Place(
            record.address,
            record.ports.get(str(port), port),
            f"{prefix}/",
            home,
            str(private),
            str(socket),
            name,
        )
        for path, text in self.runtime.private_files(
            where, self._show_volumes(home, private)
        ).items():
            Path(path).touch(mode=0o600)
            Path(path).write_text(text, encoding="utf-8")
        root = str(files.path / "root") if self.place.namespaces is None else ""
        needed = environment.base(
            self.pod,
            home,
            root,
            private,
            temporary,
            self.runtime.programs,
            self.place.settings,
        ) | {**self.services}
        home_path = mounted.path if (mounted := self._home()) is not None else ""
        directory = self._directory(home)
        asked = self._check()
        check = None if asked is None else f"http://{where.address}:{where.port}{where.fill(asked)}"
        group = self._cgroup(record, attempt)
        shim_plan = {
            "command": self.runtime.line(where),
            "environment": environment.merged(
                needed,
                self.runtime.environment,
                self.variables,
                home_path,
                environment.fixed(self.place.settings),
            ),
            # In a mount namespace its home does not exist outside; the shim goes there after it has mounted it.
            "directory": directory
            if self.spec.get("workingDir")
            else where.fill(self.runtime.directory),
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
        files.log(name, attempt).touch(
            mode=0o600
        )  # so that whoever asks for the log of this run finds it from now on
        return Job(shim_plan, directory, check, self.runtime.check is None, group, plan.made)

    def _directory(self, home: str) -> str:
        """The container's working directory, as it sees it: its home, where it names none. Made in a volume, as a container runtime does.

        Raises `Waiting`.
        """
        wanted = self.spec.get("workingDir")
        if not wanted:
            return home
        inside = [
            mount for mount in self.volumes if PurePosixPath(wanted).is_relative_to(mount.path)
        ]
        if not inside:
            if not os.path.isdir(wanted):
                text = f"The working directory {wanted} of container {self.spec['name']} does not exist on this computer."
                raise Waiting(
                    VOLUME, f"{text} Make it, mount a volume there, or leave workingDir out.", 10.0
                )
            return str(wanted)
        mount = max(inside, key=lambda found: len(PurePosixPath(found.path).parts))
        real = mount.source / PurePosixPath(wanted).relative_to(mount.path)
        base = Path(os.path.realpath(mount.source))
        if not Path(os.path.realpath(real)).is_relative_to(base):
            raise Waiting(
                VOLUME,
                f"The working directory {wanted} leads out of the volume at {mount.path}.",
                60.0,
            )
        if not mount.read_only:
            real.mkdir(parents=True, exist_ok=True)
        return str(
            wanted if self.place.namespaces is not None and home != str(mount.source) else real
        )

    def _cgroup(self, record: PodRecord, attempt: int) -> str:
        """The directory of a new control group; empty where there can be none."""
        if self.place.cgroups is None:
            return ""
        made = cgroups.create(
            self.place.cgroups,
            f"{self.place.settings.cgroup_prefix}{record.uid}-{self.spec['name']}-{attempt}",
            limits.memory_limit(self.spec),
        )
        return "" if made is None else str(made)

    def _check(self) -> str | None:
        """The path that tells readiness; None where the pod's own probe does, or nothing can."""
        if self.spec.get("readinessProbe"):
            return None
        if self.runtime.check is not None:
            return self.runtime.check
        # The controller names the ports of a kind so, which all speak HTTP: whatever such a program answers, it is alive.
        ports = self.spec.get("ports") or ()
        served = self.place.settings.name_label in (
            self.pod["metadata"].get("labels") or {}
        ) and any(port.get("name") == f"http-{port['containerPort']}" for port in ports[:1])
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
        needed = [
            self.place.directory,
            files.path,
            files.temporary(),
            mounts.SHIM,
            *self.runtime.needs,
        ]
        try:
            plan = mounts.plan(self.volumes, needed)
            return home.path if home is not None else str(files.below("home")), plan
        except Hides as hides:
            if home is None or hides.mount is not home:
                raise Waiting(VOLUME, f"{hides}. Give the volume another path.", 60.0) from hides
            # What runs the workspace lies where its home should appear: the home is used where it is instead.
            return str(home.source), mounts.plan(
                [mount for mount in self.volumes if mount is not home], needed
            )

    def _show_volumes(self, home: str, private: Path) -> list[str]:
        """What a Lab must be told so that its file browser shows claims that do not lie in the home; nothing for other programs."""
        if not self.runtime.is_lab:
            return []
        claims = {
            volume["name"]
            for volume in self.pod["spec"].get("volumes") or ()
            if "persistentVolumeClaim" in volume
        }
        paths = self._home()
        shown = {}
        for described, mount in zip(self.spec.get("volumeMounts") or (), self.volumes, strict=True):
            inside = paths is not None and (
                mount is paths or PurePosixPath(paths.path) in PurePosixPath(mount.path).parents
            )
            if described["name"] in claims and not inside and mount.source.is_dir():
                shown[mount.path.strip("/")] = (
                    mount.path if self.place.namespaces is not None else str(mount.source)
                )
        if not shown:
            return []
        shutil.copyfile(LAB_FILES_SOURCE, private / f"{LAB_FILES}.py")
        (private / f"{LAB_FILES}.json").write_text(json.dumps(shown), encoding="utf-8")
        return [f"--ServerApp.contents_manager_class={LAB_FILES}.WorkspaceFiles"]

    def _home(self) -> Mount | None:
        """The home claim: by its volume's name, else what is mounted as somebody's home."""
        mounted = list(zip(self.spec.get("volumeMounts") or (), self.volumes, strict=True))
        for described, mount in mounted:
            if described["name"] == self.place.settings.home_volume and os.path.isdir(mount.source):
                return mount
        for _, mount in mounted:
            if (
                mount.path.startswith("/home/")
                and mount.path.strip("/").count("/") == 1
                and not mount.read_only
            ):
                return mount
        return None


async def prepare(
    cluster: Cluster, place: Place, pod: Object, spec: Object, files: PodFiles, address: str
) -> Prepared:
    """Find what a container asks for: values, program, volumes. Raises `Waiting` while something is not there."""
    if spec.get("restartPolicy") == "Always" and spec in (pod["spec"].get("initContainers") or ()):
        text = f"The init container {spec['name']} is a side car (restartPolicy: Always), which the local cluster cannot run."
        raise Waiting(SIDE_CAR, f"{text} Move it to `containers`.", 60.0)
    variables = await environment.variables(cluster, pod, spec, address)
    settings = place.settings
    try:
        runtime = await asyncio.to_thread(
            runtimes.resolve, spec["image"], spec, variables, place.directory
        )
    except ProgramMissing as missing:
        raise missing.with_hint(settings.image_hint) from missing
    if runtime.is_lab and not any(variables.get(name) for name in TOKENS):
        runtime = runtimes.behind_gate(runtime, settings.token_hint)
    volumes = await Volumes(cluster, pod, files, place.directory).mounts(spec, variables)
    return Prepared(
        place, pod, spec, variables, runtime, volumes, environment.api_server(cluster.endpoint.url)
    )


def port_of(spec: Object) -> int:
    """The container port that a known program serves at."""
    return int(next((found["containerPort"] for found in spec.get("ports") or ()), DEFAULT_PORT))
