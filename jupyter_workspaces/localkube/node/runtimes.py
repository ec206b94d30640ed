"""From an image's name to a program of this computer that does the same."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jupyter_workspaces.common.documents import yaml_text
from jupyter_workspaces.common.documents.bounds import DocumentError
from jupyter_workspaces.common.patterns import PatternError, wildcards

from .environment import user
from .references import expand
from .waiting import IMAGE, ProgramMissing, Waiting

Object = Mapping[str, Any]

MAPPING = "images.yaml"
"""In the cluster's directory, the administrator's own answers: `images: [{image: PATTERN, runtime: … | command: […]}]`, first match wins."""

LOCAL = "local"
"""The image of a container that names a program of this computer itself, by `command`."""

ENVIRONMENT = "env:"
"""Before a path: the image is the Python environment there."""

GATE = Path(__file__).with_name("processes") / "gate.py"
LAUNCHER = Path(__file__).with_name("processes") / "launcher.py"

CHECK_SECONDS = 20.0
_FIND_LAB = "import importlib.util as u, sys; s = u.find_spec('jupyterlab'); print(s.origin if s else ''); print(sys.prefix); print(sys.base_prefix)"


@dataclass(frozen=True)
class Place:
    """Where a program shall serve. `prefix` is its public path, with a slash at the end; `private` a directory of the pod's own.

    `socket` is for programs that ask nobody who they are: they listen there and the gate at `address` and `port` (`gate.py`).
    `container` is the name of its container, which is unique in its pod.
    """

    address: str
    port: int
    prefix: str
    home: str
    private: str = ""
    socket: str = ""
    container: str = "main"

    def fill(self, text: str) -> str:
        for name in ("address", "port", "prefix", "home", "private", "socket"):
            text = text.replace("{" + name + "}", str(getattr(self, name)))
        return text


@dataclass(frozen=True)
class Runtime:
    """A program that stands for an image. The names of a `Place` in its texts, as `{address}`, are filled in.

    A command with `{socket}` gets the gate before it; one that `is_lab` can show volumes in its file browser. The `arguments` of a
    Python `module`, which the command then runs, are given to it in a private file: other users can read command lines.
    `needs` must stay visible whatever is mounted; `check` is the path that answers when it is ready. `unused` says what of the
    container's own command line is left aside, and why.
    """

    sentence: str
    command: tuple[str, ...]
    module: str = ""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    needs: tuple[Path, ...] = ()
    check: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    directory: str = "{home}"
    is_lab: bool = False
    unused: str = ""

    @property
    def gated(self) -> bool:
        return any("{socket}" in part for part in (*self.command, *self.arguments))

    def line(self, place: Place) -> list[str]:
        """The command line. It tells nobody at which address and port the program is going to listen."""
        gate = [sys.executable, "-I", "-S", str(GATE), _file(place, "gate")] if self.gated else []
        launcher = [str(LAUNCHER), _file(place, "command")] if self.module else []
        return gate + [place.fill(part) for part in self.command] + launcher

    def private_files(self, place: Place, more_arguments: Sequence[str] = ()) -> dict[str, str]:
        """Path → text of the files that the command line refers to; they belong into the pod's private directory."""
        found = {f"{place.private}/{name}": place.fill(text) for name, text in self.files.items()}
        if self.gated:
            found[_file(place, "gate")] = json.dumps(
                {"address": place.address, "port": place.port, "socket": place.socket}
            )
        if self.module:
            arguments = [*(place.fill(part) for part in self.arguments), *more_arguments]
            found[_file(place, "command")] = json.dumps(
                {"module": self.module, "arguments": arguments, "directory": place.private}
            )
        return found


def resolve(
    image: str, container: Object, variables: Mapping[str, str], directory: Path
) -> Runtime:
    """The program for a container. Raises `Waiting` saying what to install or what to take instead. May block for 0.1 s."""
    mapped = _mapped(image, directory)
    if image.partition(":")[0] == LOCAL and mapped is None:
        return _own_command(image, container, variables)
    found = (
        _by_name(image, container, directory)
        if mapped is None
        else _from_mapping(image, mapped, directory / MAPPING)
    )
    if found is None:
        return _own_command(image, container, variables)
    chosen = mapped is not None and mapped.get("command") is not None
    return _overridden(
        found,
        image,
        container,
        variables,
        f"{directory / MAPPING} names another one for its image" if chosen else "",
    )


def _by_name(image: str, container: Object, directory: Path) -> Runtime:
    """Raises `Waiting`."""
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()
    if image.startswith(ENVIRONMENT):
        return jupyterlab(image, image[len(ENVIRONMENT) :])
    if name.startswith(("codeserver", "code-server")):
        return code_server(image)
    if name.startswith("rstudio") or name.endswith("-rstudio"):
        return rstudio(image)
    if "jupyter" in name or name.endswith("-notebook") or name == "base-lab":
        return jupyterlab(image)
    own = (
        f" To run the container's own command, map the image to `runtime: local` in {MAPPING}."
        if container.get("command")
        else ""
    )
    raise ProgramMissing(
        f"No program on this computer is known for image '{image}'. The local cluster runs "
        "JupyterLab, code-server and RStudio images with the programs that are installed here. "
        f"Name a program for the image in {directory / MAPPING}.{own}",
        30.0,
    )


def jupyterlab(image: str, environment: str | None = None) -> Runtime:
    """JupyterLab of this Python, or of the environment at a path."""
    if environment is None:
        python, words = sys.executable, "this Python environment"
        importlib.invalidate_caches()
        spec = importlib.util.find_spec("jupyterlab")
        origin = spec.origin if spec is not None else None
        prefixes = (sys.prefix, sys.base_prefix)
    else:
        python, words = _python(image, environment), f"the environment {environment}"
        origin, *prefixes_found = _ask(image, python)
        prefixes = (prefixes_found[0], prefixes_found[1])
    if not origin:
        raise Waiting(
            IMAGE,
            f"The image {image} stands for JupyterLab, which is not installed in {words}. "
            f"Install it with `{python} -m pip install jupyterlab`; the workspace then starts by itself.",
            10.0,
        )
    package = Path(origin).parent
    extra: dict[str, str] = {}
    if not any(_below(package, Path(prefix)) for prefix in prefixes):
        extra["PYTHONPATH"] = str(
            package.parent
        )  # installed for the user alone, below a HOME that the workspace does not have
    arguments = [
        "--no-browser",
        *("--ServerApp.ip={address}", "--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(
            "--ServerApp.base_url={prefix}",
            "--ServerApp.root_dir={home}",
            "--ServerApp.allow_remote_access=True",
        ),
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    return Runtime(
        f'Image "{image}" stands for JupyterLab of {words}',
        (python,),
        "jupyterlab",
        tuple(arguments),
        extra,
        (str(Path(python).parent),),
        (Path(python), *(Path(prefix) for prefix in prefixes), package, LAUNCHER),
        "{prefix}api",
        # Not the home, where programs look for modules first: a user's own `random.py` must not keep the Lab from starting.
        directory="{private}",
        is_lab=True,
    )


def behind_gate(lab: Runtime, token_hint: str) -> Runtime:
    """Return a Lab without a token, as Kubeflow's images run it, protected by the gate.

    Raises `Waiting`, with `token_hint` as what to do, where other users could reach it.

    A Lab that makes up a token of its own shows a login page that nobody can pass.
    """
    if not sys.platform.startswith("linux"):
        raise Waiting(
            IMAGE,
            f"{lab.sentence}, and it has no token. Other users of this computer can only be kept "
            f"out of such a Lab on Linux. {token_hint}",
            60.0,
        )
    kept = (
        part
        for part in lab.arguments
        if not part.startswith(("--ServerApp.ip=", "--ServerApp.port"))
    )
    open_to_us = (
        "--ServerApp.sock={socket}",
        "--ServerApp.sock_mode=0600",
        "--IdentityProvider.token=",
    )
    return _gated(replace(lab, arguments=(*kept, *open_to_us)))


def code_server(image: str) -> Runtime:
    program = _program(
        image, "code-server", "code-server", "https://coder.com/docs/code-server/install"
    )
    command = (
        *(program, "--auth", "none", "--socket", "{socket}", "--socket-mode", "600"),
        *("--disable-telemetry", "--disable-update-check", "{home}"),
    )
    return _gated(
        Runtime(
            f'Image "{image}" stands for {program}',
            command,
            needs=(Path(program),),
            check="/healthz",
        )
    )


def rstudio(image: str) -> Runtime:
    program = _program(
        image,
        "rserver",
        "RStudio Server",
        "https://posit.co/download/rstudio-server/",
        ("/usr/lib/rstudio-server/bin",),
    )
    command = (
        *(program, "--server-daemonize=0", "--auth-none=1", "--www-socket={socket}"),
        *(
            "--www-root-path={prefix}",
            f"--server-user={user()}",
            "--www-frame-origin=same",
            "--www-verify-user-agent=0",
        ),
        *(
            "--server-working-dir={home}",
            "--server-data-dir={private}",
            "--database-config-file={private}/rstudio-database.conf",
        ),
        *(
            "--secure-cookie-key-file={private}/rstudio-cookie-key",
            "--server-pid-file={private}/rstudio.pid",
        ),
    )
    database = (
        "provider=sqlite\ndirectory={private}\n"  # its default is a directory of the system's
    )
    return _gated(
        Runtime(
            f'Image "{image}" stands for {program}',
            command,
            needs=(Path(program),),
            check="/",  # its first page, or a redirect: no session is started for either
            files={"rstudio-database.conf": database},
        )
    )


def _file(place: Place, name: str) -> str:
    return f"{place.private}/{place.container}.{name}.json"


def _gated(runtime: Runtime) -> Runtime:
    """Raises `Waiting` where the gate cannot tell who connects."""
    if runtime.gated and not sys.platform.startswith("linux"):
        raise ProgramMissing(
            f"{runtime.sentence}, which does not authenticate its users. Other users of this "
            "computer can only be kept out of it on Linux. Run it there, or use another image.",
            60.0,
        )
    return replace(runtime, needs=(*runtime.needs, GATE)) if runtime.gated else runtime


def _program(image: str, name: str, title: str, where: str, beside: Sequence[str] = ()) -> str:
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(beside))
    if found is None:
        raise ProgramMissing(
            f"Image '{image}' needs {title}, which is not installed on this computer: '{name}' is "
            f"not on the PATH. Install it ({where}); the container then starts automatically."
        )
    return os.path.realpath(found)


def _python(image: str, environment: str) -> str:
    root = Path(environment).expanduser()
    for python in (root / "bin" / "python", root / "python.exe", root / "Scripts" / "python.exe"):
        if python.exists():
            return str(python)
    raise Waiting(
        IMAGE,
        f"The image {image} names a Python environment, and there is none at {root}. Make it, or take another image.",
        10.0,
    )


def _ask(image: str, python: str) -> list[str]:
    """Where JupyterLab is in another environment, that environment's prefix and its base."""
    try:
        answer = subprocess.run(
            [python, "-I", "-c", _FIND_LAB],
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Waiting(
            IMAGE, f"The Python environment of the image {image} does not work: {error}", 30.0
        ) from error
    return answer.stdout.split("\n")[:3]


def _mapped(image: str, directory: Path) -> Object | None:
    path = directory / MAPPING
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Waiting(IMAGE, f"{path} cannot be read: {error.strerror}", 30.0) from error
    try:
        found = yaml_text.load(text) or {}
    except DocumentError as error:
        raise Waiting(IMAGE, f"{path} is not YAML: {error}", 30.0) from error
    entries = found.get("images") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("image"), str) for entry in entries
    ):
        raise Waiting(
            IMAGE,
            f"{path} must hold a list `images` of entries with `image` and either `runtime` or `command`.",
            30.0,
        )
    try:
        return next((entry for entry in entries if wildcards(entry["image"])(image)), None)
    except PatternError as error:
        raise Waiting(IMAGE, f"{path}: an `image` {error}", 30.0) from error


def _from_mapping(image: str, entry: Object, path: Path) -> Runtime | None:
    """None when the entry lets the container's own command run."""
    command, runtime = entry.get("command"), entry.get("runtime")
    if command is not None:
        if (
            not isinstance(command, list)
            or not command
            or not all(isinstance(part, str) for part in command)
        ):
            raise Waiting(
                IMAGE, f"In {path} the command for {entry['image']} must be a list of texts.", 30.0
            )
        program = shutil.which(command[0])
        if program is None:
            raise Waiting(
                IMAGE,
                f"The program {command[0]}, which {path} names for the image {image}, is not there.",
                10.0,
            )
        sentence = f'Image "{image}" stands for {program} ({MAPPING})'
        return _gated(
            Runtime(
                sentence, (program, *command[1:]), needs=(Path(program),), check=entry.get("check")
            )
        )
    if runtime == "jupyterlab":
        return jupyterlab(image, entry.get("environment"))
    if runtime == "code-server":
        return code_server(image)
    if runtime == "rstudio":
        return rstudio(image)
    if runtime == LOCAL:
        return None
    raise Waiting(
        IMAGE,
        f"In {path} the runtime of {entry['image']} must be jupyterlab, code-server, rstudio or local, not {runtime!r}.",
        30.0,
    )


def _overridden(
    found: Runtime, image: str, container: Object, variables: Mapping[str, str], unless: str
) -> Runtime:
    """The container's own command in place of what stands for its image, as on any cluster. Raises `Waiting`.

    `unless` says why it is not used.
    """
    line = _line(container, variables)
    if not line:
        return found
    given = "command" if container.get("command") else "arguments"
    if unless:
        return replace(
            found,
            unused=f"The container's {given} is not used: {unless}."
            if given == "command"
            else _arguments(unless),
        )
    program = (
        None
        if line[0].startswith("-")
        else _which(line[0], (*found.programs, *(variables.get("PATH") or "").split(os.pathsep)))
    )
    if program is not None:
        sentence = f'The container\'s own command runs {program} of this computer, not what the image "{image}" stands for'
        return Runtime(
            sentence,
            (program, *line[1:]),
            environment=found.environment,
            programs=found.programs,
            needs=(*found.needs, Path(program)),
        )
    if given == "command":
        raise Waiting(
            IMAGE,
            f"The program {line[0]} of the container's own command is not installed on this computer. Install it, or leave the command "
            f"out: the image {image} then stands for a program of this computer.",
            10.0,
        )
    return replace(
        found,
        unused=_arguments(
            f"they are for the program of the image {image}. Give a command to run another program"
        ),
    )


def _arguments(why: str) -> str:
    return f"The container's arguments are not used: {why}."


def _line(container: Object, variables: Mapping[str, str]) -> list[str]:
    return [
        expand(part, variables)
        for part in (*(container.get("command") or ()), *(container.get("args") or ()))
    ]


def _which(name: str, directories: Sequence[str]) -> str | None:
    if os.path.isabs(name):
        return name if os.access(name, os.X_OK) else None
    return shutil.which(name, path=os.pathsep.join(filter(None, directories))) or shutil.which(name)


def _own_command(image: str, container: Object, variables: Mapping[str, str]) -> Runtime:
    """The container's own command and arguments, if there is such a program here."""
    command = _line(container, variables)
    if not container.get("command"):
        raise Waiting(
            IMAGE,
            f"The image {image} runs the container's own command, and the container names none.",
            60.0,
        )
    program = _which(command[0], (variables.get("PATH") or "").split(os.pathsep))
    if program is None:
        raise Waiting(
            IMAGE,
            f"The program {command[0]} of this container is not installed on this computer.",
            10.0,
        )
    return Runtime(
        f'Image "{image}" runs {program} of this computer',
        (program, *command[1:]),
        needs=(Path(program),),
    )


def _below(path: Path, parent: Path) -> bool:
    real, above = Path(os.path.realpath(path)), Path(os.path.realpath(parent))
    return real == above or above in real.parents
