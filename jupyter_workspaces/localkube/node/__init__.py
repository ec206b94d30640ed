"""The node of a local cluster: runs pods as ordinary processes of this computer.

`agent` is the node; `pod` and `container` run what is on it; `processes` holds what touches
processes, mounts and control groups. Pods outlive the process of the node, which finds them again
by their `records`. `simulated` is a node that only reports that its pods run.
"""

from __future__ import annotations

from .access import PodAccess
from .agent import Agent, run
from .logs import PodLogs
from .processes.trees import stop_pods
from .simulated import SimulatedLogs, SimulatedNode, mark_unavailable

__all__ = [
    "Agent",
    "PodAccess",
    "PodLogs",
    "SimulatedLogs",
    "SimulatedNode",
    "mark_unavailable",
    "run",
    "stop_pods",
]
