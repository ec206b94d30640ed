"""Measures what containers use, and enforces their memory, core and priority limits.

All containers are measured with one scan of the process table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import psutil

from jupyter_workspaces.common.quantities import QuantityError, parse
from jupyter_workspaces.kube.types import ObjectView

from .trees import descendants

log = logging.getLogger(__name__)

SCAN_SECONDS = 2.0
NEAR_LIMIT_SECONDS = 0.5
NEAR_LIMIT = 0.8
"""Share of its memory limit from which on a container is measured more often."""

NICEST = 10


@dataclass(frozen=True)
class Usage:
    """What a container or node uses.

    Attributes:
        cpu: Cores, on average since the last measurement.
        memory: Memory in bytes.
        processes: Number of processes, or of containers for a node.
    """

    cpu: float
    memory: int
    processes: int


@dataclass
class _Watched:
    process: psutil.Process
    memory_limit: int | None
    exceeded: Callable[[int], None]
    reported: bool = False
    nice: int = 0


class NodeMetrics:
    """Measures containers by the processes of their shims.

    Attributes:
        usage: The last measurement of each container, by pod uid and container name.
    """

    def __init__(self, seconds: float = SCAN_SECONDS, name: str = "") -> None:
        """Create the metrics of a node; `run` measures.

        Args:
            seconds: Time between measurements.
            name: Name of the node.
        """
        self._seconds = seconds
        self._name = name
        self.usage: dict[tuple[str, str], Usage] = {}
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._times: dict[tuple[str, str], tuple[float, dict[int, float]]] = {}

    @property
    def window(self) -> float:
        """Seconds between measurements."""
        return self._seconds

    @property
    def containers(self) -> Mapping[tuple[str, str], Usage]:
        """The last measurement of each container, by pod uid and container name."""
        return self.usage

    def node(self) -> tuple[str, Usage]:
        """Return the node's name and what the computer uses (CPU since the last call)."""
        memory = psutil.virtual_memory()
        cpu = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        return self._name, Usage(cpu, memory.total - memory.available, len(self._watched))

    def add(
        self,
        key: tuple[str, str],
        process: psutil.Process,
        memory_limit: int | None,
        exceeded: Callable[[int], None],
    ) -> None:
        """Measure a container from now on.

        Args:
            key: Pod uid and container name.
            process: The container's shim.
            memory_limit: In bytes, if it has one.
            exceeded: Called once, with the bytes used, when the container exceeds its limit.
        """
        self._watched[key] = _Watched(process, memory_limit, exceeded)

    def remove(self, key: tuple[str, str]) -> None:
        """Stop measuring a container."""
        for kept in (self._watched, self.usage, self._times):
            kept.pop(key, None)

    def lower_priority(self, key: tuple[str, str], nice: int) -> None:
        """Set the nice value of a container that has started; it starts at full priority."""
        if (held := self._watched.get(key)) is not None:
            held.nice = nice

    def processes(self) -> list[psutil.Process]:
        """Return the shims of the containers that are measured."""
        return [held.process for held in self._watched.values()]

    async def run(self) -> None:
        """Measure until cancelled, more often while a container is close to its limit."""
        while True:
            pause = self._seconds
            if self._watched:
                watched = dict(self._watched)
                found = await asyncio.to_thread(self._scan, watched)
                for key, usage in found.items():
                    held = self._watched.get(key)
                    if held is None or held is not watched[key]:
                        continue
                    self.usage[key] = usage
                    if held.memory_limit is None or held.reported:
                        continue
                    if usage.memory > held.memory_limit:
                        held.reported = True
                        held.exceeded(usage.memory)
                    elif usage.memory > held.memory_limit * NEAR_LIMIT:
                        pause = min(NEAR_LIMIT_SECONDS, self._seconds)
            await asyncio.sleep(pause)

    def _scan(self, watched: Mapping[tuple[str, str], _Watched]) -> dict[tuple[str, str], Usage]:
        trees = descendants({held.process.pid for held in watched.values()})
        found = {}
        for key, held in watched.items():
            processes = _processes(trees.get(held.process.pid, ()))
            memory, times = 0, {}
            if held.nice:
                _share(processes, held.nice)
                held.nice = 0  # new processes inherit it
            for process in processes:
                with contextlib.suppress(psutil.Error), process.oneshot():
                    spent = process.cpu_times()
                    times[process.pid] = spent.user + spent.system
                    memory += process.memory_info().rss
            if held.memory_limit is not None and memory > held.memory_limit:
                memory = _proportional(processes, memory)  # counts shared pages once
            found[key] = Usage(self._cores(key, times), memory, len(times))
        return found

    def _cores(self, key: tuple[str, str], times: dict[int, float]) -> float:
        now = time.monotonic()
        then, before = self._times.get(key, (now, {}))
        self._times[key] = (now, times)
        spent = sum(max(0.0, used - before.get(pid, 0.0)) for pid, used in times.items())
        return spent / (now - then) if now > then else 0.0


def memory_limit(container: ObjectView) -> int | None:
    """Return the memory limit of a container in bytes; None without a limit."""
    limit = _amount(container, "limits", "memory")
    return None if limit is None else int(limit)


def cores(container: ObjectView, neighbours: Iterable[psutil.Process]) -> list[int] | None:
    """Return the cores for a container with a CPU limit, those with the fewest neighbours.

    Returns None if the container may use all cores, or if the system cannot bind processes.
    """
    limit = _amount(container, "limits", "cpu")
    if limit is None or not hasattr(os, "sched_getaffinity"):
        return None
    available = sorted(os.sched_getaffinity(0))
    count = max(1, math.ceil(limit))
    if count >= len(available):
        return None
    load = dict.fromkeys(available, 0)
    for process in neighbours:
        with contextlib.suppress(psutil.Error):
            bound = process.cpu_affinity()
            if len(bound) < len(available):
                for core in bound:
                    load[core] = load.get(core, 0) + 1
    return sorted(sorted(available, key=lambda core: (load[core], core))[:count])


def niceness(container: ObjectView) -> int:
    """Return the nice value for a container's CPU request.

    Its weight relative to that of a full core is about the requested share of a core; each step of
    the nice value is a factor of 1.25 (sched(7)).
    """
    request = _amount(container, "requests", "cpu")
    if request is None or request >= 1:
        return 0
    return min(NICEST, round(math.log(1 / max(request, 0.01)) / math.log(1.25)))


def _share(processes: Iterable[psutil.Process], nice: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            if process.nice() < nice:
                process.nice(nice)
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/autogroup", "w") as file:
            file.write(str(nice))  # with autogroups, sessions compete with each other (sched(7))


def _amount(container: ObjectView, section: str, name: str) -> float | None:
    text = ((container.get("resources") or {}).get(section) or {}).get(name)
    if text is None:
        return None
    try:
        return float(parse(str(text)))
    except QuantityError:
        log.warning(
            "Cannot parse the %s %s %r of container %s",
            name,
            section,
            text,
            container.get("name"),
        )
        return None


def _processes(pids: Iterable[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def _proportional(processes: Iterable[psutil.Process], resident: int) -> int:
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except AttributeError:
            return resident
        except psutil.Error:
            continue
    return total
