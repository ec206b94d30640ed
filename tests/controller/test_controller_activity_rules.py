"""Which rule pauses a workspace, and when its next probe is due."""

from __future__ import annotations

import pytest
import yaml
from sample_objects import NOW

from jupyter_workspaces.controller.workspaces import activity
from jupyter_workspaces.kube.types import Object

RULES = yaml.safe_load("""
- match: {matchNamespace: {selector: {matchLabels: {tier: free}}}}
  config: {secondsSinceActive: 600}
  effect: {pauseWorkspace: true}
- match:
    matchPodConfig: {selector: {matchExpressions: [{key: gpu, operator: Exists}]}}
    matchNamespace: {selector: {matchExpressions: [{key: tier, operator: NotIn, values: [paid]}]}}
  config: {secondsSinceActive: 1200, minRunningSeconds: 100}
  effect: {pauseWorkspace: true}
- match: {matchPodConfig: {selector: {matchLabels: {gpu: "0"}}}}
  config: {secondsSinceActive: 16}
  effect: {}
- match: {matchPodConfig: {selector: {matchLabels: {keep: "yes"}}}}
  config: {secondsSinceActive: 16}
  effect: {pauseWorkspace: false}
- config: {secondsSinceActive: 7200}
  effect: {pauseWorkspace: true}
""")


@pytest.mark.parametrize(
    ("namespace", "size", "seconds"),
    [
        ({"tier": "free"}, {}, 600),
        ({"tier": "free"}, {"gpu": "1"}, 600),
        ({}, {"gpu": "1"}, 1200),
        ({"tier": "paid"}, {"gpu": "1"}, 7200),
        ({"tier": "paid"}, {"gpu": "0"}, 7200),
        ({}, {"keep": "yes"}, None),
        ({}, {}, 7200),
    ],
)
def test_the_first_matching_rule_with_the_effect_decides(
    namespace: dict[str, str], size: dict[str, str], seconds: int | None
) -> None:
    option = {"spawner": {"labels": [{"key": key, "value": value} for key, value in size.items()]}}
    rule = activity.pause_rule({"spec": {"activityRules": RULES}}, option, namespace)
    assert (rule or {}).get("config", {}).get("secondsSinceActive") == seconds


def probed(
    last_activity: int, result: str = "Success", running_since: int = NOW - 10_000_000
) -> Object:
    known = {
        "lastActivity": last_activity,
        "lastUpdate": NOW,
        "lastProbe": {"startTime": NOW, "endTime": NOW, "result": result, "message": ""},
    }
    return {"activity": activity.with_rule(known, RULES[1]), "lastRunningTime": running_since}


@pytest.mark.parametrize(
    ("known", "due"),
    [
        (probed(NOW - 1_200_000), True),
        (probed(NOW - 1_199_999), False),
        (probed(NOW - 1_200_000, running_since=NOW - 99_999), False),
        (probed(NOW - 1_200_000, running_since=NOW - 100_000), True),
        (probed(NOW - 1_200_000, "Failure"), False),
        (probed(NOW - 1_200_000, "Timeout"), False),
        (probed(0), False),
        (probed(NOW - 1_200_000, running_since=0), False),
    ],
)
def test_a_pause_needs_a_successful_probe_an_activity_and_a_long_run(
    known: Object, due: bool
) -> None:
    assert activity.is_due(known, RULES[1], NOW) == due
    assert not activity.is_due(known, None, NOW)


def test_eligibility_is_in_the_status_only_with_a_rule() -> None:
    known = {"lastActivity": 1000, "lastUpdate": 1000}
    assert activity.with_rule(known, RULES[0])["rules"] == {
        "pauseWorkspace": {"eligibleAfter": 601_000}
    }
    assert activity.with_rule({"lastActivity": 0, "lastUpdate": 0}, RULES[0])["rules"] == {
        "pauseWorkspace": {"eligibleAfter": 0}
    }
    assert activity.with_rule(activity.with_rule(known, RULES[0]), None) == known


@pytest.mark.parametrize(
    ("result", "passed", "seconds"),
    [("Success", 0, 300), ("Success", 299, 1), ("Failure", 0, 60), ("Timeout", 100, 0)],
)
def test_the_next_probe_is_sooner_after_a_failure(result: str, passed: int, seconds: float) -> None:
    intervals = {"probeIntervalSeconds": 300, "minProbeIntervalSeconds": 60}
    assert (
        activity.next_probe(
            {"lastProbe": {"result": result, "startTime": NOW}}, intervals, NOW + 1000 * passed
        )
        == seconds
    )
    assert activity.next_probe({}, intervals, NOW) == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (600, "10 minutes"),
        (86_400, "24 hours"),
        (260_000, "3 days"),
    ],
)
def test_durations_are_written_in_words(seconds: float, words: str) -> None:
    assert activity.duration(seconds) == words
