"""The embedded cluster's one node: pods are ordinary processes of this computer, which outlive ours."""

from __future__ import annotations

from .access import PodAccess
from .agent import Agent, run
from .logs import PodLogs
from .processes.trees import stop_pods
from .simulated import SimulatedLogs, SimulatedNode, absent

__all__ = [
    "Agent",
    "PodAccess",
    "PodLogs",
    "SimulatedLogs",
    "SimulatedNode",
    "absent",
    "run",
    "stop_pods",
]
