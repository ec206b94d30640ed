"""Errors in Workspaces: types and fields are those of Kubernetes and of Kubeflow's webhook."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kind_objects import ABSENT, Lookup, bench, changed, judge, pairs, workspace

NIL = ("Invalid", "<nil>")
VOLUMES = "spec.podTemplate.volumes"
OPTIONS = "spec.podTemplate.options"
PILE = {"pvcName": "pile", "mountPath": "/data/pile"}

BREAKS = [
    ("spec", ABSENT, {("Required", "spec")}),
    ("spec.kind", ABSENT, {("Required", "spec.kind"), NIL}),
    ("spec.kind", "Not A Name", {("Invalid", "spec.kind")}),
    ("spec.kind", "lost", {("Invalid", "spec.kind")}),
    ("spec.paused", "yes", {("TypeInvalid", "spec.paused"), NIL}),
    ("spec.deferUpdates", 1, {("TypeInvalid", "spec.deferUpdates"), NIL}),
    ("spec.displayName", "d" * 129, {("TooLong", "spec.displayName"), NIL}),
    ("spec.displayName", "", {("Invalid", "spec.displayName")}),
    (f"{VOLUMES}.home", "Home", {("Invalid", f"{VOLUMES}.home")}),
    (f"{VOLUMES}.data.0.mountPath", "data/x", {("Invalid", f"{VOLUMES}.data[0].mountPath")}),
    (f"{VOLUMES}.data.0.mountPath", "/", {("Invalid", f"{VOLUMES}.data[0].mountPath")}),
    (f"{VOLUMES}.data.0.mountPath", "//x", {("Invalid", f"{VOLUMES}.data[0].mountPath")}),
    (
        f"{VOLUMES}.data.0.mountPath",
        "/" + "p" * 4096,
        {("TooLong", f"{VOLUMES}.data[0].mountPath"), NIL},
    ),
    (f"{VOLUMES}.data.0.pvcName", ABSENT, {("Required", f"{VOLUMES}.data[0].pvcName"), NIL}),
    (f"{VOLUMES}.data.1", {**PILE, "pvcName": "ledger"}, {("Duplicate", f"{VOLUMES}.data[1]")}),
    (f"{VOLUMES}.data", {"pvcName": "pile"}, {("TypeInvalid", f"{VOLUMES}.data"), NIL}),
    (
        f"{VOLUMES}.secrets.0",
        {"secretName": "login", "mountPath": "relative"},
        {("Invalid", f"{VOLUMES}.secrets[0].mountPath")},
    ),
    (
        f"{VOLUMES}.secrets.0",
        {"secretName": "login", "mountPath": "/s", "defaultMode": 512},
        {("Invalid", f"{VOLUMES}.secrets[0].defaultMode")},
    ),
    (f"{OPTIONS}.imageConfig", "i" * 257, {("TooLong", f"{OPTIONS}.imageConfig"), NIL}),
    (f"{OPTIONS}.imageConfig", "lost", {("Invalid", f"{OPTIONS}.imageConfig")}),
    (f"{OPTIONS}.podConfig", "lost", {("Invalid", f"{OPTIONS}.podConfig")}),
    (
        OPTIONS,
        {"imageConfig": "lost", "podConfig": "lost"},
        {("Invalid", f"{OPTIONS}.imageConfig"), ("Invalid", f"{OPTIONS}.podConfig")},
    ),
    (
        "spec.podTemplate.podMetadata.labels",
        {"a/b/c": "x"},
        {("Invalid", "spec.podTemplate.podMetadata.labels")},
    ),
    (
        "spec.podTemplate.podMetadata.labels",
        {"team": 3},
        {("TypeInvalid", "spec.podTemplate.podMetadata.labels.team"), NIL},
    ),
    (
        "spec.podTemplate.podMetadata.annotations",
        {"a": "x" * 2**18},
        {("TooLong", "spec.podTemplate.podMetadata.annotations")},
    ),
    ("metadata.name", "dora.two", {("Invalid", "metadata.name")}),
    ("metadata.name", "d" * 64, {("Invalid", "metadata.name")}),
]


@pytest.mark.parametrize(("path", "value", "wanted"), BREAKS)
def test_an_error_has_its_type_and_field(
    path: str, value: Any, wanted: set[tuple[str, str]]
) -> None:
    assert pairs(judge(changed(workspace(), path, value))) == wanted


def test_a_valid_workspace_gets_its_defaults() -> None:
    given = workspace()
    assert not judge(given).causes
    assert given["spec"]["paused"] is False
    assert given["spec"]["podTemplate"]["volumes"]["data"] == [{**PILE, "readOnly": False}]
    assert "deferUpdates" not in given["spec"]


@pytest.mark.parametrize("value", [True, False])
def test_an_explicit_defer_updates_is_kept(value: bool) -> None:
    given = changed(workspace(), "spec.deferUpdates", value)
    assert not judge(given).causes
    assert given["spec"]["deferUpdates"] is value


def test_an_unknown_name_gets_a_suggestion() -> None:
    assert (
        "did you mean bench?" in judge(changed(workspace(), "spec.kind", "bnech")).causes[0].message
    )
    assert (
        "available: a, b"
        in judge(changed(workspace(), f"{OPTIONS}.imageConfig", "zzz")).causes[0].message
    )


def test_the_kind_of_a_workspace_cannot_change() -> None:
    moved = changed(workspace(), "spec.kind", "other")
    other = changed(bench(), "metadata.name", "other")
    assert pairs(judge(moved, workspace(), Lookup([bench(), other]))) == {("Invalid", "spec.kind")}


def test_only_changed_parts_are_checked() -> None:
    """A workspace without its kind or option can be paused, but cannot get another wrong option."""
    paused = changed(workspace(), "spec.paused", True)
    assert not judge(paused, workspace(), Lookup()).causes
    lost = changed(workspace(), f"{OPTIONS}.imageConfig", "lost")
    assert not judge(changed(lost, "spec.paused", True), lost).causes
    assert not judge(changed(lost, f"{OPTIONS}.podConfig", "large"), lost).causes
    assert pairs(judge(changed(lost, f"{OPTIONS}.imageConfig", "lost too"), lost)) == {
        ("Invalid", f"{OPTIONS}.imageConfig")
    }


def test_a_deleted_workspace_can_lose_its_finalizers() -> None:
    going = copy.deepcopy(changed(workspace(), f"{OPTIONS}.imageConfig", "lost"))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not judge(going, workspace()).causes
