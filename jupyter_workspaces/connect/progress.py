"""How far a workspace's start is, as named steps, by what its pod says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

STEPS = ("Accepted", "Scheduled", "Volumes and image", "Started", "Ready")


@dataclass(frozen=True)
class Step:
    """`state` is done, current, waiting or failed; `message` stands at the step that is being waited for."""

    name: str
    state: str
    message: str = ""


def steps(pod: Object | None, message: str, *, failed: bool = False) -> list[Step]:
    """All steps in order; exactly one is current or failed."""
    done = _done(pod)
    states = ["done"] * done + ["failed" if failed else "current"] + ["waiting"] * len(STEPS)
    return [Step(name, state, message if at == done else "") for at, (name, state) in enumerate(zip(STEPS, states, strict=False))]


def _done(pod: Object | None) -> int:
    """How many steps lie behind; the last one never does while somebody asks."""
    if pod is None:
        return 0
    status = pod.get("status") or {}
    true = {condition["type"] for condition in status.get("conditions") or () if condition.get("status") == "True"}
    if "PodScheduled" not in true and not pod["spec"].get("nodeName"):
        return 1
    containers = status.get("containerStatuses") or ()
    if not containers or not all("running" in (container.get("state") or {}) for container in containers):
        return 2
    return 4
