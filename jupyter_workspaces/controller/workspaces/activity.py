"""Decides when a workspace is probed for activity, and when an idle workspace is paused.

A kind has an activity probe and an ordered list of activity rules. `prober.py` runs the probe; this
module evaluates its result. All times are milliseconds since 1970, as in `status.activity`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.kube.selectors import matches
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.views import WorkspaceKindView

NEVER_USED = {"lastActivity": 0, "lastUpdate": 0}
"""`status.activity` before the first probe of a run."""

QUIET_SECONDS = 3600.0
"""Interval at which the status is written if probes find nothing new.

Otherwise each probe of each idle workspace would write to the API server.
"""


def pause_rule(
    kind: ObjectView, size: ObjectView, namespace_labels: Mapping[str, str]
) -> ObjectView | None:
    """Return the activity rule that pauses a workspace when it is idle.

    The first rule decides that matches and has the effect `pauseWorkspace`.

    Args:
        kind: the WorkspaceKind.
        size: the workspace's option of the dimension `podConfig`.
        namespace_labels: labels of the workspace's namespace.

    Returns:
        The rule; None if no rule decides, or the deciding rule says not to pause.
    """
    size_labels = {
        label["key"]: label["value"] for label in (size.get("spawner") or {}).get("labels") or ()
    }
    for rule in WorkspaceKindView(kind).activity_rules:
        if "pauseWorkspace" in rule["effect"] and _matches(rule, namespace_labels, size_labels):
            return rule if rule["effect"]["pauseWorkspace"] else None
    return None


def _matches(
    rule: ObjectView, namespace_labels: Mapping[str, str], size_labels: Mapping[str, str]
) -> bool:
    match = rule.get("match") or {}
    for name, labels in (("matchNamespace", namespace_labels), ("matchPodConfig", size_labels)):
        if name in match and not matches(match[name]["selector"], labels):
            return False
    return True


def with_rule(activity: ObjectView, rule: ObjectView | None) -> dict[str, Any]:
    """Return the activity with the time from which the workspace may be paused.

    Args:
        activity: `status.activity`, with or without `rules`.
        rule: rule that pauses the workspace; None if there is none.

    Returns:
        The activity with `rules.pauseWorkspace.eligibleAfter`, which is 0 before any activity;
        without `rules` if there is no rule.
    """
    found = {key: value for key, value in activity.items() if key != "rules"}
    if rule is not None:
        last = activity.get("lastActivity", 0)
        after = last + 1000 * rule["config"]["secondsSinceActive"] if last > 0 else 0
        found["rules"] = {"pauseWorkspace": {"eligibleAfter": after}}
    return found


def is_due(status: ObjectView, rule: ObjectView | None, now: int) -> bool:
    """Return whether a running workspace is to be paused, after its probe has succeeded.

    Args:
        status: status of the workspace with the result of the probe.
        rule: rule that pauses the workspace; None if there is none.
        now: current time.
    """
    activity, last_running = status["activity"], status["lastRunningTime"]
    last_result = (activity.get("lastProbe") or {}).get("result")
    if rule is None or not last_running or last_result != "Success":
        return False
    eligible = ((activity.get("rules") or {}).get("pauseWorkspace") or {}).get("eligibleAfter", 0)
    ran_long_enough = now - last_running >= 1000 * rule["config"].get("minRunningSeconds", 0)
    return bool(0 < eligible <= now and ran_long_enough)


def next_probe(activity: ObjectView, probe: ObjectView, now: int) -> float:
    """Return the seconds until the next probe is due; 0 if there was none.

    Args:
        activity: `status.activity`.
        probe: `activityProbe` of the kind; its shorter interval applies after a failure.
        now: current time.
    """
    last = activity.get("lastProbe")
    if last is None:
        return 0.0
    succeeded = last["result"] == "Success"
    interval = probe["probeIntervalSeconds" if succeeded else "minProbeIntervalSeconds"]
    return max(0.0, float(last["startTime"] + 1000 * interval - now) / 1000)


def duration(seconds: float) -> str:
    """Return a duration in words, rounded to a full unit: `45 seconds`, `24 hours`, `3 days`."""
    amount, unit = max(0, round(seconds)), "second"
    for size, larger, limit in ((60, "minute", 120), (60, "hour", 120), (24, "day", 72)):
        if amount < limit:
            break
        amount, unit = round(amount / size), larger
    return f"{amount} {unit}" + ("" if amount == 1 else "s")


def is_worth_writing(status: ObjectView, written: ObjectView | None, now: int) -> bool:
    """Return whether a status differs enough from the written one.

    New times of a probe with the same result are written once in `QUIET_SECONDS`.
    """
    if written is None or _without_probe_times(status) != _without_probe_times(written):
        return True
    if status == written:
        return False
    before, after = _probed_at(written), _probed_at(status)
    return before is None or after is None or now - before >= 1000 * QUIET_SECONDS


def _without_probe_times(status: ObjectView) -> ObjectView:
    activity = dict(status.get("activity") or {})
    activity.pop("lastUpdate", None)
    probe = dict(activity.get("lastProbe") or {})
    probe.pop("startTime", None)
    probe.pop("endTime", None)
    return {**status, "activity": activity | {"lastProbe": probe}}


def _probed_at(status: ObjectView) -> int | None:
    ended: int | None = ((status.get("activity") or {}).get("lastProbe") or {}).get("endTime")
    return ended
