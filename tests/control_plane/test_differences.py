"""The local API server and a real one answer the same, except for docs/differences.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from differences import own_control_plane, record_embedded, record_real, verdict
from exchange_comparison import Difference, Row, compare, judge, read_table
from exchange_recorder import SCENARIOS, normal
from real_cluster import RealCluster


@pytest.mark.slow
async def test_both_answer_the_same_but_for_what_the_table_tells(
    real_cluster: RealCluster, tmp_path: Path
) -> None:
    real_cluster.require_own()
    names = list(SCENARIOS)
    embedded = await record_embedded(tmp_path / "embedded", names)
    with own_control_plane(
        tmp_path / "real"
    ) as kubeconfig:  # what other tests leave in theirs would be compared, too
        real = await record_real(kubeconfig, names)
    judged = verdict(compare(embedded, real), names)
    assert not judged.unlisted, (
        f"{len(judged.unlisted)} differences that docs/differences.md does not list:\n"
        + "\n".join(str(difference) for difference in judged.unlisted[:40])
    )
    assert not judged.obsolete, (
        "docs/differences.md has rows that do not apply any more:\n"
        + "\n".join(str(row) for row in judged.obsolete)
    )


def test_a_difference_is_told_by_its_place() -> None:
    mine = {"a/one": {"status": 200, "headers": {}, "body": {"x": 1, "y": [1, 2], "same": "s"}}}
    theirs = {
        "a/one": {
            "status": 200,
            "headers": {"Warning": "w"},
            "body": {"x": 2, "y": [1, 3], "same": "s"},
        }
    }
    assert {(found.where, found.embedded, found.real) for found in compare(mine, theirs)} == {
        ("headers/Warning", "(nothing)", "w"),
        ("body/x", 1, 2),
        ("body/y/1", 2, 3),
    }


def test_another_outcome_is_one_difference() -> None:
    refused = {"kind": "Status", "status": "Failure", "reason": "Invalid", "details": {"name": "x"}}
    mine, theirs = (
        {"a/one": {"status": 201, "body": {"kind": "Pod"}}},
        {"a/one": {"status": 422, "body": refused}},
    )
    assert compare(mine, theirs) == [Difference("a/one", "outcome", "201", "422 Invalid")]
    assert compare({}, theirs) == [Difference("a/one", "outcome", "not asked", "422 Invalid")]


def test_the_table_is_held_to_both_directions() -> None:
    rows = read_table(
        "| exchange | where | reason |\n|---|---|---|\n"
        "| `a/*` | `body/x` | so it is |\n| `b/*` | `*` | no more |\n"
    )
    assert rows == [Row("a/*", "body/x", "so it is"), Row("b/*", "*", "no more")]
    told, untold = Difference("a/one", "body/x", 1, 2), Difference("a/one", "body/y", 1, 2)
    judged = judge([told, untold], rows)
    assert (judged.listed, judged.unlisted, judged.obsolete) == ([told], [untold], [rows[1]])


def test_what_differs_from_run_to_run_is_a_mark() -> None:
    made = {
        "metadata": {
            "uid": "1",
            "name": "a-bcdfg",
            "generateName": "a-",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [1],
        }
    }
    assert normal(made)["metadata"] == {
        "uid": "<uid>",
        "name": "a-<generated>",
        "generateName": "a-",
        "creationTimestamp": "<time>",
    }
    causes = [{"field": "b", "message": "x"}, {"field": "a", "message": "y"}]
    refusal = {
        "kind": "Status",
        "status": "Failure",
        "message": "words",
        "details": {"causes": causes},
    }
    masked = normal(json.loads(json.dumps(refusal)))
    assert masked["message"] == "<text>"
    assert [cause["field"] for cause in masked["details"]["causes"]] == ["a", "b"]
