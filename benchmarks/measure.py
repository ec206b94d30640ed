"""What the benchmarks share: timing, percentiles, a table of figures with their goals."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    `reference` is what it was compared with in the same run, `goal` is its limit.
    """

    name: str
    value: str
    goal: str
    met: bool
    reference: str = ""


def at_most(name: str, value: float, goal: float, unit: str, reference: str = "") -> Figure:
    return Figure(name, f"{value:.3g} {unit}", f"≤ {goal:g} {unit}", value <= goal, reference)


def at_least(name: str, value: float, goal: float, unit: str, reference: str = "") -> Figure:
    return Figure(name, f"{value:.4g} {unit}", f"≥ {goal:g} {unit}", value >= goal, reference)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of all values lie, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def until(
    condition: Callable[[], bool], what: str, seconds: float = 60, pause: float = 0.01
) -> float:
    """Wait for a condition; the seconds it took. Raises `TimeoutError` naming `what`."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > seconds:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(pause)
    return time.perf_counter() - began


def show(figures: Iterable[Figure]) -> None:
    """Print a Markdown table; with `JUPYTER_WORKSPACES_FIGURES=FILE` also write JSON there."""
    figures = list(figures)
    print(f"\n{platform.system()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print("| what | measured | goal | | compared with |\n|---|---|---|---|---|")
    for figure in figures:
        print(
            f"| {figure.name} | {figure.value} | {figure.goal} "
            f"| {'met' if figure.met else '**missed**'} | {figure.reference} |"
        )
    if named := os.environ.get("JUPYTER_WORKSPACES_FIGURES"):
        Path(named).write_text(
            json.dumps([asdict(figure) for figure in figures], indent=1), encoding="utf-8"
        )
