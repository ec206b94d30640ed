"""Finds the program of this computer that stands for a container's image.

The administrator's mapping in `images.yaml` decides first, then the container's own command, then
the name of the image.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jupyter_workspaces.common.documents import yaml_text
from jupyter_workspaces.common.documents.bounds import DocumentError
from jupyter_workspaces.common.patterns import PatternError, wildcards
from jupyter_workspaces.kube.types import ObjectView

from .known_programs import code_server, jupyterlab, rstudio
from .references import expand
from .runtimes import Runtime, behind_gate
from .waiting import IMAGE, ProgramMissing, Waiting

MAPPING = "images.yaml"
"""File in the cluster's directory that maps images to programs; the first match counts.

`images: [{image: PATTERN, runtime: … | command: […]}]`
"""

LOCAL = "local"
"""Image of a container that runs a program of this computer by its `command`."""

ENVIRONMENT = "env:"
"""Beginning of an image that is the Python environment at the path that follows."""


def resolve(
    image: str, container: ObjectView, variables: Mapping[str, str], directory: Path
) -> Runtime:
    """Return the program for a container. May block for 0.1 s.

    Args:
        image: The container's image.
        container: The container's spec.
        variables: Environment variables of the spec, to which commands may refer.
        directory: The cluster's directory.

    Raises:
        ProgramMissing: No program for the image is installed.
        Waiting: The image or the mapping of images is not valid.
    """
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
        f"{directory / MAPPING} names another command for the image" if chosen else "",
    )


def _by_name(image: str, container: ObjectView, directory: Path) -> Runtime:
    """Return the program for an image by the image's name. Raises `ProgramMissing`."""
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


def _mapped(image: str, directory: Path) -> ObjectView | None:
    path = directory / MAPPING
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Waiting(IMAGE, f"Cannot read {path}: {error.strerror}.", 30.0) from error
    try:
        found = yaml_text.load(text) or {}
    except DocumentError as error:
        raise Waiting(IMAGE, f"{path} is not valid YAML: {error}.", 30.0) from error
    entries = found.get("images") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("image"), str) for entry in entries
    ):
        raise Waiting(
            IMAGE,
            f"{path} must contain a list `images` of entries with `image` and either `runtime` or "
            "`command`.",
            30.0,
        )
    try:
        return next((entry for entry in entries if wildcards(entry["image"])(image)), None)
    except PatternError as error:
        raise Waiting(IMAGE, f"{path}: an `image` {error}.", 30.0) from error


def _from_mapping(image: str, entry: ObjectView, path: Path) -> Runtime | None:
    """Return the runtime of an entry; None if it runs the container's own command."""
    command, runtime = entry.get("command"), entry.get("runtime")
    if command is not None:
        if (
            not isinstance(command, list)
            or not command
            or not all(isinstance(part, str) for part in command)
        ):
            raise Waiting(
                IMAGE,
                f"In {path} the command for '{entry['image']}' must be a list of strings.",
                30.0,
            )
        program = shutil.which(command[0])
        if program is None:
            raise Waiting(
                IMAGE,
                f"Program '{command[0]}', which {path} names for image '{image}', does not exist. "
                "Install it, or change the file.",
                10.0,
            )
        description = f"Running {program} for image '{image}' as {MAPPING} says"
        return behind_gate(
            Runtime(
                description,
                (program, *command[1:]),
                needs=(Path(program),),
                check=entry.get("check"),
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
        f"In {path} the runtime of '{entry['image']}' must be jupyterlab, code-server, rstudio or "
        f"local, not {runtime!r}.",
        30.0,
    )


def _overridden(
    found: Runtime, image: str, container: ObjectView, variables: Mapping[str, str], reason: str
) -> Runtime:
    """Return a runtime with the container's own command instead of the program for its image.

    `reason` says why the command is not used, if it is not.

    Raises:
        Waiting: The command is not installed.
    """
    line = _line(container, variables)
    if not line:
        return found
    given = "command" if container.get("command") else "arguments"
    if reason:
        return replace(
            found,
            unused=f"The container's {given} is not used: {reason}."
            if given == "command"
            else _arguments_unused(reason),
        )
    program = (
        None
        if line[0].startswith("-")
        else _which(line[0], (*found.programs, *(variables.get("PATH") or "").split(os.pathsep)))
    )
    if program is not None:
        description = (
            f"Running {program} of this computer, the container's own command, instead of the "
            f"program for image '{image}'"
        )
        return Runtime(
            description,
            (program, *line[1:]),
            environment=found.environment,
            programs=found.programs,
            needs=(*found.needs, Path(program)),
        )
    if given == "command":
        raise Waiting(
            IMAGE,
            f"Program '{line[0]}' of the container's own command is not installed on this "
            f"computer. Install it, or remove the command to run the program for image '{image}'.",
            10.0,
        )
    return replace(
        found,
        unused=_arguments_unused(
            f"they belong to the program in image '{image}'. Set a command to run another program"
        ),
    )


def _arguments_unused(reason: str) -> str:
    return f"The container's arguments are not used: {reason}."


def _line(container: ObjectView, variables: Mapping[str, str]) -> list[str]:
    return [
        expand(part, variables)
        for part in (*(container.get("command") or ()), *(container.get("args") or ()))
    ]


def _which(name: str, directories: Sequence[str]) -> str | None:
    if os.path.isabs(name):
        return name if os.access(name, os.X_OK) else None
    return shutil.which(name, path=os.pathsep.join(filter(None, directories))) or shutil.which(name)


def _own_command(image: str, container: ObjectView, variables: Mapping[str, str]) -> Runtime:
    """Return the container's own command as a runtime. Raises `Waiting` if it is not installed."""
    command = _line(container, variables)
    if not container.get("command"):
        raise Waiting(
            IMAGE,
            f"Image '{image}' runs the container's own command, but it has none. Set one.",
            60.0,
        )
    program = _which(command[0], (variables.get("PATH") or "").split(os.pathsep))
    if program is None:
        raise Waiting(
            IMAGE,
            f"Program '{command[0]}' of this container is not installed on this computer. "
            "Install it.",
            10.0,
        )
    return Runtime(
        f"Running {program} of this computer",
        (program, *command[1:]),
        needs=(Path(program),),
    )
