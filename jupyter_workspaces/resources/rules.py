"""The CEL rules of our two CRDs as Python, found by their text: what a real API server evaluates, the embedded one looks up here.

Rules of other CRDs are unknown here and not evaluated (Kubernetes docs, “Validation rules”).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Rule = Callable[[Any, Any], bool]


def _only_one(*names: str) -> Rule:
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
    "(has(self.matchNamespace) ? 1 : 0) + (has(self.matchImageConfig) ? 1 : 0) + (has(self.matchPodConfig) ? 1 : 0) == 1": (
        _only_one("matchNamespace", "matchImageConfig", "matchPodConfig")
    ),
    "has(self.ui) || has(self.api)": lambda value, old: "ui" in value or "api" in value,
    "!has(self.denyMessage) || (has(self.deny) && self.deny)": lambda value, old: "denyMessage" not in value or bool(value.get("deny")),
}
"""By its text, a function of the value and the old value. `oldSelf` in the text: only asked where there is an old value."""
