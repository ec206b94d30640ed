"""Which parts of the embedded cluster run: all of them for people, fewer where a test or another controller takes their place."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

NODES = ("processes", "simulated", "off")
"""`processes` runs programs, `simulated` only says that pods run, `off` leaves them without a node."""


@dataclass(frozen=True)
class Parts:
    """`controller` includes the checks of workspaces on write. `ready_after` in seconds and `pod_log` are the simulated node's."""

    controller: bool = True
    node: str = "processes"
    ready_after: float = 0.0
    pod_log: str = ""

    def arguments(self) -> list[str]:
        """For the command line of `python -m jupyter_workspaces.local`."""
        found = ["--controller", "on" if self.controller else "off", "--node", self.node]
        if self.ready_after:
            found += ["--ready-after", str(self.ready_after)]
        return found + (["--pod-log", self.pod_log] if self.pod_log else [])

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return " ".join(self.arguments())


def of_record(record: Mapping[str, Any] | None) -> Parts:
    """What a process's record says; all parts where it says nothing."""
    told = (record or {}).get("parts")
    known = {field.name for field in fields(Parts)}
    return (
        Parts(**{name: value for name, value in told.items() if name in known})
        if isinstance(told, Mapping)
        else Parts()
    )


def chosen(
    controller: str, node: str, without_controller: bool, ready_after: float, pod_log: str
) -> Parts:
    """From options as they are on a command line. Raises `ValueError` for those that do not go together."""
    if without_controller:
        controller, node = "off", "off" if node == "processes" else node
    if node != "simulated" and (ready_after or pod_log):
        raise ValueError(
            "--ready-after and --pod-log are for --node simulated; the other nodes have no use for them."
        )
    if ready_after < 0:
        raise ValueError("--ready-after must not be negative.")
    return Parts(controller == "on", node, ready_after, os.path.abspath(pod_log) if pod_log else "")


def parse(arguments: Sequence[str]) -> Parts:
    """From the words of a command line. Raises `ValueError`."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    add_options(parser)
    try:
        return from_options(parser.parse_args(arguments))
    except (argparse.ArgumentError, SystemExit) as error:
        raise ValueError(
            f"{' '.join(arguments)} does not say which parts the local cluster has: {error}"
        ) from error


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `from_options` reads."""
    parser.add_argument(
        "--controller",
        choices=("on", "off"),
        default="on",
        help="the workspace controller and its checks on write",
    )
    parser.add_argument(
        "--node",
        choices=NODES,
        default="processes",
        help="what stands for a node (default: processes)",
    )
    parser.add_argument(
        "--without-controller", action="store_true", help="short for --controller off --node off"
    )
    parser.add_argument(
        "--ready-after",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="simulated: pods get ready so long after their start",
    )
    parser.add_argument(
        "--pod-log",
        default="",
        metavar="FILE",
        help="simulated: what each container's log holds, in the form of the CRI",
    )


def from_options(options: argparse.Namespace) -> Parts:
    """Raises `ValueError`."""
    return chosen(
        options.controller,
        options.node,
        options.without_controller,
        options.ready_after,
        options.pod_log,
    )
