"""Programs of this computer that stand for images: command line, private files and environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .waiting import ProgramMissing

GATE = Path(__file__).with_name("processes") / "gate.py"
LAUNCHER = Path(__file__).with_name("processes") / "launcher.py"


@dataclass(frozen=True)
class ServingAddress:
    """Where a program has to serve, and its directories.

    Attributes:
        address: IP address.
        port: Port.
        prefix: Path at which it is served, with a slash at its end.
        home: Home directory.
        private: Private directory of the pod.
        socket: Unix socket of a program that does not authenticate its users: it listens there, and
            the gate (`gate.py`) at address and port.
        container: Name of the container, which is unique in the pod.
    """

    address: str
    port: int
    prefix: str
    home: str
    private: str = ""
    socket: str = ""
    container: str = "main"

    def fill(self, text: str) -> str:
        """Replace `{address}`, `{port}`, `{prefix}`, … in a text by their values."""
        for name in ("address", "port", "prefix", "home", "private", "socket"):
            text = text.replace("{" + name + "}", str(getattr(self, name)))
        return text


@dataclass(frozen=True)
class Runtime:
    """A program that runs for an image.

    Texts may contain `{address}` and other fields of `ServingAddress`. A command or arguments with
    `{socket}` run behind the gate.

    Attributes:
        description: Which program runs for the image, for an event.
        command: The command, or the Python that runs `module`.
        module: Python module that the command runs, if it runs one.
        arguments: Arguments of the module. It gets them in a private file, because other users can
            read command lines.
        environment: Environment variables.
        programs: Directories that come first in `PATH`.
        needs: Paths that volumes must not hide.
        check: Path of the readiness check.
        files: Files that the command needs in the pod's private directory, by name.
        directory: Working directory.
        is_lab: Whether it is JupyterLab, whose file browser can show volumes.
        unused: What of the container's own command line is not used, and why.
    """

    description: str
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
    def needs_gate(self) -> bool:
        """Whether the program listens at a Unix socket behind the gate."""
        return any("{socket}" in part for part in (*self.command, *self.arguments))

    def command_line(self, place: ServingAddress) -> list[str]:
        """Return the command line, which does not contain address and port."""
        gate = (
            [sys.executable, "-I", "-S", str(GATE), _file(place, "gate")] if self.needs_gate else []
        )
        launcher = [str(LAUNCHER), _file(place, "command")] if self.module else []
        return gate + [place.fill(part) for part in self.command] + launcher

    def private_files(
        self, place: ServingAddress, more_arguments: Sequence[str] = ()
    ) -> dict[str, str]:
        """Return the files to which the command line refers, as texts by path."""
        found = {f"{place.private}/{name}": place.fill(text) for name, text in self.files.items()}
        if self.needs_gate:
            found[_file(place, "gate")] = json.dumps(
                {"address": place.address, "port": place.port, "socket": place.socket}
            )
        if self.module:
            arguments = [*(place.fill(part) for part in self.arguments), *more_arguments]
            found[_file(place, "command")] = json.dumps(
                {"module": self.module, "arguments": arguments, "directory": place.private}
            )
        return found


def behind_gate(runtime: Runtime) -> Runtime:
    """Return a runtime that keeps the gate visible if it needs it.

    Raises:
        ProgramMissing: The gate does not work on this system.
    """
    if runtime.needs_gate and not sys.platform.startswith("linux"):
        raise ProgramMissing(
            f"{runtime.description}, which does not authenticate its users. Other users of this "
            "computer can only be kept out of it on Linux. Run it there, or use another image.",
            60.0,
        )
    return replace(runtime, needs=(*runtime.needs, GATE)) if runtime.needs_gate else runtime


def _file(place: ServingAddress, name: str) -> str:
    return f"{place.private}/{place.container}.{name}.json"
