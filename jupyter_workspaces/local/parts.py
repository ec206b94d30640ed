"""Selection of the local cluster's parts: workspace controller and node.

Users run all of them. Tests and other controllers run without those that they replace.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

NODES = ("processes", "simulated", "off")
"""Types of nodes.

`processes` runs pods as processes, `simulated` only reports that they run, and with `off` the
cluster has no node.
"""


@dataclass(frozen=True)
class Parts:
    """The parts of a local cluster that run.

    Attributes:
        controller: Whether the workspace controller and the admission of workspaces run.
        node: Type of the node, one of `NODES`.
        ready_after: Seconds until a pod of the simulated node is ready.
        pod_log: Path of the log that all containers of the simulated node have.
    """

    controller: bool = True
    node: str = "processes"
    ready_after: float = 0.0
    pod_log: str = ""

    def arguments(self) -> list[str]:
        """Return the options of `python -m jupyter_workspaces.local` that select these parts."""
        found = ["--controller", "on" if self.controller else "off", "--node", self.node]
        if self.ready_after:
            found += ["--ready-after", str(self.ready_after)]
        return found + (["--pod-log", self.pod_log] if self.pod_log else [])

    def record(self) -> dict[str, Any]:
        """Return the parts as JSON for the record of the process."""
        return asdict(self)

    def __str__(self) -> str:
        """Return the parts as options of a command line, for messages."""
        return " ".join(self.arguments())


def of_record(record: Mapping[str, Any] | None) -> Parts:
    """Return the parts in the record of a process; all parts if it has none."""
    recorded = (record or {}).get("parts")
    known = {field.name for field in fields(Parts)}
    return (
        Parts(**{name: value for name, value in recorded.items() if name in known})
        if isinstance(recorded, Mapping)
        else Parts()
    )


def chosen(
    controller: str, node: str, without_controller: bool, ready_after: float, pod_log: str
) -> Parts:
    """Return the parts that options of a command line select.

    Raises:
        ValueError: The options contradict each other.
    """
    if without_controller:
        controller, node = "off", "off" if node == "processes" else node
    if node != "simulated" and (ready_after or pod_log):
        raise ValueError("--ready-after and --pod-log can only be used with --node simulated.")
    if ready_after < 0:
        raise ValueError("--ready-after must not be negative.")
    return Parts(controller == "on", node, ready_after, os.path.abspath(pod_log) if pod_log else "")


def parse(arguments: Sequence[str]) -> Parts:
    """Return the parts that the arguments of a command line select.

    Raises:
        ValueError: The arguments are not valid.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    add_options(parser)
    try:
        return from_options(parser.parse_args(arguments))
    except (argparse.ArgumentError, SystemExit) as error:
        raise ValueError(
            f"'{' '.join(arguments)}' are not valid options of the local cluster: {error}"
        ) from error


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `from_options` reads to a parser."""
    parser.add_argument(
        "--controller",
        choices=("on", "off"),
        default="on",
        help="run the workspace controller and check workspaces on write (default: on)",
    )
    parser.add_argument(
        "--node",
        choices=NODES,
        default="processes",
        help="type of the node (default: processes)",
    )
    parser.add_argument(
        "--without-controller", action="store_true", help="short for --controller off --node off"
    )
    parser.add_argument(
        "--ready-after",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="with --node simulated: seconds until a pod is ready",
    )
    parser.add_argument(
        "--pod-log",
        default="",
        metavar="FILE",
        help="with --node simulated: log of every container, in the log format of the CRI",
    )


def from_options(options: argparse.Namespace) -> Parts:
    """Return the parts that parsed options select.

    Raises:
        ValueError: The options contradict each other.
    """
    return chosen(
        options.controller,
        options.node,
        options.without_controller,
        options.ready_after,
        options.pod_log,
    )
