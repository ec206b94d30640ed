"""Prepares the start of a container: resolves what its spec refers to, and plans it for the shim.

`prepare` finds variables, program and volumes; `Prepared.job` creates the directories of a run and
describes it for the shim.
"""

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
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.localkube.settings import NodeSettings

from . import environment, images, known_programs, limitations
from .limitations import Limitation
from .processes import cgroups, limits, mounts
from .processes.mounts import HidesProgram, Mount, Plan
from .records import ENDED, PodFiles, PodRecord
from .runtimes import Runtime, ServingAddress
from .volumes import Volumes
from .waiting import SIDE_CAR, VOLUME, ProgramMissing, Waiting

DEFAULT_PORT = 8888
SOCKET = "program"
TOKENS = ("JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE")
"""Variables with which a Jupyter server gets its token."""

LAB_FILES = "workspace_files"
LAB_FILES_SOURCE = Path(__file__).with_name("processes") / "lab_files.py"


@dataclass(frozen=True)
class Host:
    """What this computer offers to pods.

    Attributes:
        directory: The cluster's directory.
        namespaces: Type of the mount namespaces that can be created: `root`, `user` or None.
        log_bytes: Maximum size of a log file.
        log_files: Maximum number of log files of a container.
        settings: Names and hints of the node.
        cgroups: Control group in which those of containers are created, if there is one.
    """

    directory: Path
    namespaces: str | None
    log_bytes: int
    log_files: int
    settings: NodeSettings
    cgroups: Path | None = None


@dataclass
class Job:
    """A plan for the shim, and what to record of it.

    Attributes:
        plan: The plan for the shim (`shim.py`).
        directory: Working directory of commands in the container, as the container sees it.
        check: URL of the readiness check, if there is one.
        any_status: Whether any HTTP response to `check` means ready.
        cgroup: Directory of the control group; empty if there is none.
        made: Mount points that were created inside volumes.
    """

    plan: dict[str, Any]
    directory: str = ""
    check: str | None = None
    any_status: bool = False
    cgroup: str = ""
    made: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Prepared:
    """The resolved spec of a container."""

    host: Host
    pod: ObjectView
    spec: ObjectView
    variables: Mapping[str, str]
    runtime: Runtime
    volumes: list[Mount]
    services: Mapping[str, str]

    @property
    def description(self) -> str:
        """Which program runs for the container's image."""
        return self.runtime.description

    @property
    def prefix(self) -> str:
        """Path at which the program serves (`NB_PREFIX`), without a slash at its end."""
        return ("/" + (self.variables.get("NB_PREFIX") or "").strip("/")).rstrip("/")

    @property
    def leading(self) -> str:
        """The part of `NB_PREFIX` before the path with which requests begin; mostly empty."""
        path = self.host.settings.request_path(self.pod)
        at = -1 if path is None else self.prefix.find(path)
        return self.prefix[:at] if at > 0 else ""

    @property
    def left_out(self) -> str:
        """The part of `leading` without which the program is served."""
        return self.leading if self.runtime.is_lab else ""

    def limitations(self) -> list[Limitation]:
        """Return the fields of the container's spec that have no effect on this computer."""
        found = [Limitation("CommandNotUsed", self.runtime.unused)] if self.runtime.unused else []
        if self.leading:
            inside = self.prefix[len(self.leading) :]
            served = (
                f"JupyterLab is served at {inside}/"
                if self.left_out
                else "a program that only serves there answers 404"
            )
            found.append(
                Limitation(
                    "PrefixNotUsed",
                    f"NB_PREFIX begins with {self.leading}, but requests to this pod begin with "
                    f"{inside}/: {served}. Remove {self.leading} from NB_PREFIX.",
                )
            )
        return found + limitations.of_container(self.pod, self.spec)

    def job(self, record: PodRecord, files: PodFiles, attempt: int) -> Job:
        """Create the directories of a run and plan it for the shim.

        Raises:
            Waiting: The run is not possible at present.
            OSError: A directory or file cannot be written.
        """
        name = self.spec["name"]
        private, temporary = files.below("run"), files.temporary()
        files.below("containers", name)
        home, plan = self._mount(files)
        port = port_of(self.spec)
        prefix = self.prefix[len(self.left_out) :]
        socket = temporary / SOCKET
        socket.unlink(missing_ok=True)
        where = ServingAddress(
            record.address,
            record.ports.get(str(port), port),
            f"{prefix}/",
            home,
            str(private),
            str(socket),
            name,
        )
        for file, text in self.runtime.private_files(
            where, self._lab_volume_arguments(home, private)
        ).items():
            Path(file).touch(mode=0o600)
            Path(file).write_text(text, encoding="utf-8")
        root = str(files.path / "root") if self.host.namespaces is None else ""
        needed = environment.base(
            self.pod,
            home,
            root,
            private,
            temporary,
            self.runtime.programs,
            self.host.settings,
        ) | {**self.services}
        home_path = mounted.path if (mounted := self._home()) is not None else ""
        directory = self._directory(home)
        path = self._check_path()
        check = None if path is None else f"http://{where.address}:{where.port}{where.fill(path)}"
        group = self._cgroup(record, attempt)
        shim_plan = {
            "command": self.runtime.command_line(where),
            "environment": environment.merged(
                needed,
                self.runtime.environment,
                self.variables,
                home_path,
                environment.fixed(self.host.settings),
            ),
            # The shim changes to it after mounting volumes: a home may only exist in the namespace.
            "directory": directory
            if self.spec.get("workingDir")
            else where.fill(self.runtime.directory),
            "log": str(files.log(name, attempt)),
            "logBytes": self.host.log_bytes,
            "logFiles": self.host.log_files,
            "exit": str(files.run(name, attempt, ENDED)),
            "namespace": self.host.namespaces if self.volumes else None,
            "steps": plan.steps,
            "openFiles": descriptors.former_limit(),
            "staging": str(files.below("staging")),
            "cgroup": group,
        }
        files.log(name, attempt).touch(mode=0o600)  # the log of this run can be read from now on
        return Job(shim_plan, directory, check, self.runtime.check is None, group, plan.made)

    def _directory(self, home: str) -> str:
        """Return the working directory of a container as the container sees it.

        By default that is its home. A directory in a volume is created, as container runtimes do.

        Raises:
            Waiting: The directory does not exist.
        """
        wanted = self.spec.get("workingDir")
        if not wanted:
            return home
        inside = [
            mount for mount in self.volumes if PurePosixPath(wanted).is_relative_to(mount.path)
        ]
        if not inside:
            if not os.path.isdir(wanted):
                raise Waiting(
                    VOLUME,
                    f"Working directory {wanted} of container '{self.spec['name']}' does not exist "
                    "on this computer. Create it, mount a volume there, or remove workingDir.",
                    10.0,
                )
            return str(wanted)
        mount = max(inside, key=lambda found: len(PurePosixPath(found.path).parts))
        real = mount.source / PurePosixPath(wanted).relative_to(mount.path)
        base = Path(os.path.realpath(mount.source))
        if not Path(os.path.realpath(real)).is_relative_to(base):
            raise Waiting(
                VOLUME,
                f"Working directory {wanted} leads out of the volume at {mount.path}.",
                60.0,
            )
        if not mount.read_only:
            real.mkdir(parents=True, exist_ok=True)
        return str(
            wanted if self.host.namespaces is not None and home != str(mount.source) else real
        )

    def _cgroup(self, record: PodRecord, attempt: int) -> str:
        """Create a control group and return its directory; empty if that is not possible."""
        if self.host.cgroups is None:
            return ""
        made = cgroups.create(
            self.host.cgroups,
            f"{self.host.settings.cgroup_prefix}{record.uid}-{self.spec['name']}-{attempt}",
            limits.memory_limit(self.spec),
        )
        return "" if made is None else str(made)

    def _check_path(self) -> str | None:
        """Return the path of the readiness check; None if the pod has a probe or no HTTP port."""
        if self.spec.get("readinessProbe"):
            return None
        if self.runtime.check is not None:
            return self.runtime.check
        # The workspace controller names ports like this, and all of them serve HTTP: any response
        # means that the program runs.
        ports = self.spec.get("ports") or ()
        served = self.host.settings.name_label in (
            self.pod["metadata"].get("labels") or {}
        ) and any(port.get("name") == f"http-{port['containerPort']}" for port in ports[:1])
        return "{prefix}" if served else None

    def _mount(self, files: PodFiles) -> tuple[str, Plan]:
        """Return the home directory, and the steps by which volumes get to their paths."""
        home = self._home()
        if self.host.namespaces is None:
            root = files.path / "root"
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(mode=0o700)
            mounts.link(self.volumes, root, home)
            return str(home.source if home is not None else files.below("home")), Plan()
        needed = [
            self.host.directory,
            files.path,
            files.temporary(),
            mounts.SHIM,
            *self.runtime.needs,
        ]
        try:
            plan = mounts.plan(self.volumes, needed)
            return home.path if home is not None else str(files.below("home")), plan
        except HidesProgram as hides:
            if home is None or hides.mount is not home:
                raise Waiting(VOLUME, f"{hides} Use another mount path.", 60.0) from hides
            # The home would hide the program: it is used at the directory of its volume instead.
            return str(home.source), mounts.plan(
                [mount for mount in self.volumes if mount is not home], needed
            )

    def _lab_volume_arguments(self, home: str, private: Path) -> list[str]:
        """Return arguments with which a Lab's file browser shows volumes outside the home."""
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
                    mount.path if self.host.namespaces is not None else str(mount.source)
                )
        if not shown:
            return []
        shutil.copyfile(LAB_FILES_SOURCE, private / f"{LAB_FILES}.py")
        (private / f"{LAB_FILES}.json").write_text(json.dumps(shown), encoding="utf-8")
        return [f"--ServerApp.contents_manager_class={LAB_FILES}.WorkspaceFiles"]

    def _home(self) -> Mount | None:
        """Return the home volume: by its name, else by a mount path like /home/USER."""
        mounted = list(zip(self.spec.get("volumeMounts") or (), self.volumes, strict=True))
        for described, mount in mounted:
            if described["name"] == self.host.settings.home_volume and os.path.isdir(mount.source):
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
    cluster: Cluster, host: Host, pod: ObjectView, spec: ObjectView, files: PodFiles, address: str
) -> Prepared:
    """Resolve variables, program and volumes of a container.

    Raises:
        Waiting: Something that the container needs does not exist at present.
    """
    if spec.get("restartPolicy") == "Always" and spec in (pod["spec"].get("initContainers") or ()):
        raise Waiting(
            SIDE_CAR,
            f"Init container '{spec['name']}' is a sidecar (restartPolicy: Always), which the "
            "local cluster cannot run. Move it to `containers`.",
            60.0,
        )
    variables = await environment.variables(cluster, pod, spec, address)
    settings = host.settings
    try:
        runtime = await asyncio.to_thread(
            images.resolve, spec["image"], spec, variables, host.directory
        )
    except ProgramMissing as missing:
        raise missing.with_hint(settings.image_hint) from missing
    if runtime.is_lab and not any(variables.get(name) for name in TOKENS):
        runtime = known_programs.lab_without_token(runtime, settings.token_hint)
    volumes = await Volumes(cluster, pod, files, host.directory).mounts(spec, variables)
    return Prepared(
        host, pod, spec, variables, runtime, volumes, environment.api_server(cluster.endpoint.url)
    )


def port_of(spec: ObjectView) -> int:
    """Return the container port at which a known program serves: the first one."""
    return int(next((found["containerPort"] for found in spec.get("ports") or ()), DEFAULT_PORT))
