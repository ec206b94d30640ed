"""Options for the parts of a local cluster, of `serve` and `local start`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


def parts_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add options for the parts of a local cluster, passed as `parts`; None without options."""

    @functools.wraps(command)
    def with_parts(
        controller: str | None,
        node: str | None,
        without_controller: bool,
        ready_after: float | None,
        pod_log: str | None,
        **others: Any,
    ) -> None:
        from jupyter_workspaces.local.parts import chosen

        parts = None
        if any((controller, node, without_controller, ready_after, pod_log)):
            try:
                parts = chosen(
                    controller or "on",
                    node or "processes",
                    without_controller,
                    ready_after or 0.0,
                    pod_log or "",
                )
            except ValueError as error:
                raise click.UsageError(str(error)) from error
        command(parts=parts, **others)

    for option in reversed(
        (
            click.option(
                "--controller",
                type=click.Choice(["on", "off"]),
                help="Run the workspace controller and its admission checks.",
            ),
            click.option(
                "--node",
                type=click.Choice(["processes", "simulated", "off"]),
                help="How pods run: as processes, simulated, or not at all.",
            ),
            click.option(
                "--without-controller", is_flag=True, help="Short for --controller off --node off."
            ),
            click.option(
                "--ready-after",
                type=float,
                metavar="SECONDS",
                help="Simulated node: seconds until a pod is ready.",
            ),
            click.option(
                "--pod-log",
                type=click.Path(exists=True, dir_okay=False),
                help="Simulated node: file with the log of every container.",
            ),
        )
    ):
        with_parts = option(with_parts)
    return with_parts
