"""Validation rules of the Workspace and WorkspaceKind CRDs as Python functions.

The rules in the CRDs are CEL expressions, which a real API server evaluates. Here Python functions
do, so that no CEL library is needed; `kube/schemas/rules.py` finds them by the text of the rule.
"""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_workspaces.kube.schemas.rules import Rule


def _only_one(*names: str) -> Rule:
    """Return a rule that holds if exactly one of the fields exists."""
    return lambda value, old: sum(name in value for name in names) == 1


RULES: Mapping[str, Rule] = {
    "self": lambda value, old: bool(value),
    "self == oldSelf": lambda value, old: bool(value == old),
    "has(self.url) != has(self.configMap)": _only_one("url", "configMap"),
    "has(self.podExec) != has(self.jupyter)": _only_one("podExec", "jupyter"),
    "self.minProbeIntervalSeconds <= self.probeIntervalSeconds": (
        lambda value, old: bool(value["minProbeIntervalSeconds"] <= value["probeIntervalSeconds"])
    ),
    "has(self.pauseWorkspace)": lambda value, old: "pauseWorkspace" in value,
    "(has(self.matchNamespace) ? 1 : 0) + (has(self.matchImageConfig) ? 1 : 0)"
    " + (has(self.matchPodConfig) ? 1 : 0) == 1": (
        _only_one("matchNamespace", "matchImageConfig", "matchPodConfig")
    ),
    "has(self.ui) || has(self.api)": lambda value, old: "ui" in value or "api" in value,
    "!has(self.denyMessage) || (has(self.deny) && self.deny)": lambda value, old: (
        "denyMessage" not in value or bool(value.get("deny"))
    ),
}
"""Functions of the value and the old value, by the text of the rule."""
