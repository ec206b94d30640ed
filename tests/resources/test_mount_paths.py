"""Volumes that cannot be mounted together are refused at their fields."""

from __future__ import annotations

import pytest
from mounted_volumes import KIND_TEMPLATE, volumes_of

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources.mount_paths import clashes, normal, of_kind


@pytest.mark.parametrize(
    ("volumes", "field"),
    [
        ({"data": [("a", "/data"), ("b", "/data/")]}, "data[1]"),
        ({"data": [("a", "/data"), ("b", "/data/../data")]}, "data[1]"),
        ({"home": "h", "data": [("a", "/home/jovyan")]}, "data[0]"),
        ({"home": "h", "data": [("a", "/home/./jovyan/")]}, "data[0]"),
        ({"data": [("a", "/x")], "secrets": [("s", "/x")]}, "secrets[0]"),
        ({"secrets": [("s", "/x"), ("t", "/x/")]}, "secrets[1]"),
        ({"secrets": [("s", "/x"), ("t", "/x/y")]}, "secrets[1]"),
        ({"data": [("a", "/x/y")], "secrets": [("s", "/x")]}, "secrets[0]"),
        ({"home": "h", "secrets": [("s", "/home")]}, "secrets[0]"),
        ({"data": [("a", "/dev/shm/")]}, "data[0]"),
        ({"data": [("a", "/./")]}, "data[0]"),
    ],
)
def test_a_taken_mount_path_is_refused_at_its_field(volumes: Object, field: str) -> None:
    (cause,) = clashes(volumes_of(volumes), KIND_TEMPLATE, "spec.podTemplate")
    assert cause.field == f"spec.podTemplate.volumes.{field}.mountPath"


@pytest.mark.parametrize(
    "volumes",
    [
        {"home": "h", "data": [("a", "/home/jovyan/data")]},
        {"data": [("a", "/data"), ("b", "/data/more"), ("c", "/database")]},
        {"data": [("a", "/home/jovyan")]},
        {"data": [("a", "/lost")]},
        {"home": "h", "secrets": [("s", "/home/jovyan/.keys")]},
    ],
)
def test_nested_mounts_are_allowed(volumes: Object) -> None:
    assert not list(clashes(volumes_of(volumes), KIND_TEMPLATE, ""))


def test_the_schema_refuses_a_path_twice_in_one_list() -> None:
    assert not list(clashes(volumes_of({"data": [("a", "/x"), ("b", "/x")]}), KIND_TEMPLATE, ""))


@pytest.mark.parametrize(
    ("path", "same"),
    [("/a/", "/a"), ("//a", "/a"), ("/a/../b/.", "/b"), ("/../a", "/a"), ("/", "/")],
)
def test_mount_paths_are_normalized(path: str, same: str) -> None:
    assert normal(path) == same


def test_a_kind_that_mounts_two_volumes_at_one_path_is_refused() -> None:
    mounts = [
        {"name": "a", "mountPath": "/x"},
        {"name": "b", "mountPath": "/x/"},
        {"name": "c", "mountPath": "/home/jovyan"},
    ]
    found = of_kind(
        {"volumeMounts": {"home": "/home/jovyan"}, "extraVolumeMounts": mounts}, "spec.podTemplate"
    )
    assert [cause.field for cause in found] == [
        f"spec.podTemplate.extraVolumeMounts[{index}].mountPath" for index in (1, 2)
    ]
