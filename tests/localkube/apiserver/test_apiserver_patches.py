"""Strategic merge patches, merge patches and JSONPath, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_workspaces.kube.catalog import PODS, SERVICES
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.objects import patches, schemas, strategic_merge
from jupyter_workspaces.localkube.apiserver.tables.jsonpath import PathError, compile_path


def test_a_merge_patch_removes_nulls_and_does_not_change_its_arguments() -> None:
    target, patch = (
        {"a": {"b": 1, "c": 2}, "l": [1, 2]},
        {"a": {"b": None, "d": {"e": None}}, "l": [3]},
    )

    assert patches.merge(target, patch) == {"a": {"c": 2, "d": {}}, "l": [3]}
    assert target == {"a": {"b": 1, "c": 2}, "l": [1, 2]}


POD = {
    "metadata": {"finalizers": ["a", "b"], "labels": {"x": "y"}},
    "spec": {
        "containers": [
            {
                "name": "main",
                "image": "one",
                "env": [{"name": "A", "value": "1"}],
                "ports": [{"containerPort": 80}],
                "args": ["x", "y"],
            },
            {"name": "side", "image": "two"},
        ]
    },
}


@pytest.mark.parametrize(
    ("patch", "path", "expected"),
    [
        (
            {"spec": {"containers": [{"name": "side", "image": "new"}]}},
            ".spec.containers[1].image",
            "new",
        ),
        (
            {"spec": {"containers": [{"name": "side", "image": "new"}]}},
            ".spec.containers[0].image",
            "one",
        ),
        ({"spec": {"containers": [{"name": "third"}]}}, ".spec.containers[0].name", "third"),
        (
            {"spec": {"containers": [{"name": "main", "$patch": "delete"}]}},
            ".spec.containers[0].name",
            "side",
        ),
        (
            {"spec": {"containers": [{"$patch": "replace"}, {"name": "only"}]}},
            ".spec.containers",
            [{"name": "only"}],
        ),
        (
            {"spec": {"containers": [{"name": "main", "env": [{"name": "B", "value": "2"}]}]}},
            ".spec.containers[0].env[0].name",
            "B",
        ),
        (
            {"spec": {"containers": [{"name": "main", "ports": [{"containerPort": 81}]}]}},
            ".spec.containers[0].ports[0].containerPort",
            81,
        ),
        (
            {"spec": {"containers": [{"name": "main", "args": ["z"]}]}},
            ".spec.containers[0].args",
            ["z"],
        ),
        ({"metadata": {"finalizers": ["c"]}}, ".metadata.finalizers", ["c", "a", "b"]),
        (
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
            ".metadata.finalizers",
            ["b"],
        ),
        ({"metadata": {"labels": {"x": None, "z": "1"}}}, ".metadata.labels", {"z": "1"}),
        ({"metadata": {"labels": {"$patch": "replace", "z": "1"}}}, ".metadata.labels", {"z": "1"}),
        (
            {"metadata": {"$retainKeys": ["labels"], "labels": {"z": "1"}}},
            ".metadata",
            {"labels": {"x": "y", "z": "1"}},
        ),
        (
            {"spec": {"$setElementOrder/containers": [{"name": "side"}]}},
            ".spec.containers[0].name",
            "main",
        ),
    ],
)
def test_strategic_merge(patch: dict[str, Any], path: str, expected: Any) -> None:
    assert compile_path(path)(strategic_merge.merge(schemas.of(PODS), POD, patch)) == expected


def test_ports_of_a_service_merge_by_their_port() -> None:
    merged = strategic_merge.merge(
        schemas.of(SERVICES),
        {"spec": {"ports": [{"port": 80, "name": "a"}]}},
        {"spec": {"ports": [{"port": 80, "name": "b"}, {"port": 81}]}},
    )

    assert merged["spec"]["ports"] == [{"port": 80, "name": "b"}, {"port": 81}]


def test_an_item_without_its_merge_key_is_rejected() -> None:
    with pytest.raises(Refusal, match="does not contain declared merge key: name"):
        strategic_merge.merge(schemas.of(PODS), POD, {"spec": {"containers": [{"image": "x"}]}})


OBJECT = {"a": {"b.c": 1, "list": [{"t": "x", "v": 1}, {"t": "y", "v": 2}], "d": "e"}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".a.d", "e"),
        ("{.a.d}", "e"),
        ("$.a.d", "e"),
        (".a.b\\.c", 1),
        (".a['b.c']", 1),
        ('.a["b.c"]', 1),
        (".a.list[1].v", 2),
        (".a.list[-1].v", 2),
        (".a.list[9].v", None),
        (".a.list[*].v", 1),
        ('.a.list[?(@.t=="y")].v', 2),
        (".a.list[?(@.t != 'x')].v", 2),
        (".a.list[?(@.v==2)].t", "y"),
        (".none.deeper", None),
    ],
)
def test_paths_of_printer_columns(path: str, expected: Any) -> None:
    assert compile_path(path)(OBJECT) == expected


@pytest.mark.parametrize("path", ["a.b", ".a[", ".a[?(@.x=~/y/)]", ".a..b", ".a[x]", "]"])
def test_unsupported_paths_are_rejected(path: str) -> None:
    with pytest.raises(PathError):
        compile_path(path)
