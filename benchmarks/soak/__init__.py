"""Attacks on real servers under a memory limit: event loop stalls, growth, 5xx responses.

Three servers run on a throw-away local cluster: the cluster's own API server, `serve`, and a
Jupyter server below a base URL whose proxy leads to a hostile program in a workspace. Each may take
4 GiB of address space. Each bomb is thrown once, while another process asks each server for its
health every 10 ms: the slowest answer is the stall, which includes the noise of the machine. That
noise alone is measured before and printed beside each figure. JUPYTER_WORKSPACES_SOAK names the
bombs to throw, separated by commas; the default is all of them.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from measure import Figure, at_most

from .bombs import BOMBS, Outcome
from .servers import Servers
from .watching import Watch, Watched

STALL_MS = 250
GROWTH_MB = 100
QUIET_SECONDS = 10.0


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="jw-soak-") as scratch:
        os.environ.pop("KUBECONFIG", None)
        os.environ["JUPYTER_WORKSPACES_HOME"] = str(Path(scratch) / "cluster")
        with Servers(Path(scratch)) as servers, Watch(servers.watched()) as watch:
            return asyncio.run(_rows(servers, watch))


async def _rows(servers: Servers, watch: Watch) -> list[Figure]:
    names = (
        os.environ.get("JUPYTER_WORKSPACES_SOAK", "").split(",")
        if os.environ.get("JUPYTER_WORKSPACES_SOAK")
        else None
    )
    watch.begin()
    await asyncio.sleep(QUIET_SECONDS)
    quiet = watch.end()
    noise = "the same without bombs: " + ", ".join(
        f"{one.name} {one.slowest_ms:.0f} ms" for one in quiet
    )
    figures: list[Figure] = []
    for name, bomb in BOMBS.items():
        if names is not None and name not in names:
            continue
        watch.begin()
        outcome = await bomb(servers)
        seen = watch.end()
        servers.check_alive()
        print(f"  {name}: {outcome.words()}; " + "; ".join(one.words() for one in seen), flush=True)
        figures += _judged(name, outcome, seen, noise)
    return figures


def _judged(name: str, outcome: Outcome, seen: list[Watched], noise: str) -> list[Figure]:
    slowest = max(seen, key=lambda one: one.slowest_ms)
    largest = max(seen, key=lambda one: one.growth_mb)
    return [
        at_most(
            f"{name}: longest stall", slowest.slowest_ms, STALL_MS, "ms", f"{slowest.name}; {noise}"
        ),
        at_most(
            f"{name}: growth",
            largest.growth_mb,
            GROWTH_MB,
            "MB",
            f"{largest.name}, at its peak {largest.peak_mb:.0f} MB",
        ),
        at_most(f"{name}: 5xx answers", outcome.failures, 0, "", outcome.words()),
    ]
