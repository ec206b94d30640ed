"""Unusual values in bodies, queries and the cluster's objects.

Each write succeeds or is rejected with a reason, and no list fails.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from requests_and_objects import Ask, Object, set_status, workspace
from waiting import until

from jupyter_workspaces.client import AsyncClient
from jupyter_workspaces.client.kinds import from_item
from jupyter_workspaces.client.workspace import Workspace
from jupyter_workspaces.panel import rows
from jupyter_workspaces.resources import bundled
from jupyter_workspaces.server.api.workspaces.workspaces.models import WorkspaceListItem

RAW = {
    "a number beyond 64 bits": str(2**70),
    "a negative one": str(-(2**70)),
    "more digits than Python reads": "9" * 5000,
    "a huge exponent": "1e400",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "half a character": '"\\ud800"',
    "a control character": '"\\u0000\\u001b[2J"',
    "a quantity without end": '"1e999999999"',
    "a quantity of many digits": json.dumps("9" * 5000 + "Gi"),
    "a very long text": json.dumps("x" * 100_000),
    "nested deeply": "[" * 5000 + "]" * 5000,
    "nested a little": "[" * 90 + "]" * 90,
    "true": "true",
    "null": "null",
    "a list": "[[null]]",
    "an object": '{"": {"a": 1}}',
    "an empty text": '""',
    "a number": "-1.5e-300",
}
MARK = "\0here\0"
KIND = next(
    manifest
    for manifest in bundled.samples()
    if manifest["kind"] == "WorkspaceKind" and manifest["metadata"]["name"] == "jupyterlab"
)
CREATED = [
    ("workspaces/default", workspace(displayName="d", deferUpdates=True)),
    ("persistentvolumeclaims/default",
     {"data": {"name": "c", "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
               "requests": {"storage": "1Gi"}}}),
    ("secrets/default",
     {"data": {"name": "s", "type": "Opaque", "immutable": False,
               "contents": {"k": {"base64": "eA=="}}}}),
    ("workspaces/default/desk/actions/pause", {"data": {"paused": True}}),
    ("workspacekinds/jupyterlab/podtemplate/options/listvalues",
     {"data": {"context": {"namespace": {"name": "default"}, "podConfig": {"id": "tiny_cpu"}}}}),
]  # fmt: skip


def places(document: Any) -> Iterator[Any]:
    """Yield the document with each value and each key in turn replaced by the mark."""
    if isinstance(document, dict):
        for key, child in document.items():
            yield {MARK if one == key else one: value for one, value in document.items()}
            for changed in places(child):
                yield document | {key: changed}
    elif isinstance(document, list):
        for number, child in enumerate(document):
            for changed in places(child):
                yield [*document[:number], changed, *document[number + 1 :]]
    yield MARK


def texts(document: Any, *values: str) -> Iterator[str]:
    """Yield the document as JSON with each value at each place, and each text as each key."""
    for changed in places(document):
        encoded = json.dumps(changed)
        for value in values:
            if f"{json.dumps(MARK)}:" not in encoded or value.startswith('"'):
                yield encoded.replace(json.dumps(MARK), value)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "body"), CREATED, ids=[path for path, _ in CREATED])
async def test_what_is_created_with_odd_values(
    ask: Ask, guarded: None, path: str, body: Object
) -> None:
    await ask("POST", "workspaces/default", workspace())

    for text in texts(body, *RAW.values()):
        status, answer = await ask("POST", path, text)
        assert status < 500, (text[:2000], answer)
        assert status < 400 or answer["error"]["message"]
        if status == 201 and path == "workspaces/default" and answer["data"]["name"] != "desk":
            await ask("DELETE", f"workspaces/default/{answer['data']['name']}")


@pytest.mark.slow
async def test_what_is_changed_with_odd_values(ask: Ask, guarded: None) -> None:
    await ask("POST", "workspaces/default", workspace(displayName="d"))
    present = (await ask("GET", "workspaces/default/desk"))[1]
    kind = (await ask("GET", "workspacekinds/jupyterlab"))[1]
    smaller = {
        "data": {key: kind["data"][key] for key in ("revision", "spawner")}
        | {"podTemplate": {"podMetadata": {"labels": {"a": "b"}}}}
    }
    patches = [
        {"op": "replace", "path": "/displayName", "value": "x"},
        {"op": "move", "from": "/displayName", "path": "/paused"},
    ]

    for path, body, media in (
        ("workspaces/default/desk", present, "application/json"),
        ("workspacekinds/jupyterlab", smaller, "application/json"),
        (
            "workspaces/default/desk",
            {"displayName": "x", "podTemplate": {"options": {"podConfig": "a"}}},
            "application/merge-patch+json",
        ),
        ("workspaces/default/desk", patches, "application/json-patch+json"),
        (
            "workspacekinds/jupyterlab",
            {"spawner": {"displayName": "x"}},
            "application/merge-patch+json",
        ),
    ):
        method = "PUT" if media == "application/json" else "PATCH"
        for text in texts(body, *RAW.values()):
            status, answer = await ask(method, path, text, media=media)
            assert status < 500, (method, path, text[:2000], answer)
    for path in ("workspaces", "workspacekinds"):
        assert (await ask("GET", path))[0] == 200


async def test_manifests_with_odd_values(ask: Ask, guarded: None) -> None:
    spec = copy.deepcopy(KIND["spec"])
    template = spec["podTemplate"]
    template["options"]["podConfig"]["values"] = template["options"]["podConfig"]["values"][:1]
    template["options"]["imageConfig"]["values"] = template["options"]["imageConfig"]["values"][:1]
    manifest = {key: KIND[key] for key in ("apiVersion", "kind")} | {
        "metadata": {"name": "odd", "labels": {"a": "b"}},
        "spec": spec,
    }

    for number, text in enumerate(texts(manifest, *RAW.values())):
        if number % 11 == 0:  # each place meets some of the values
            status, answer = await ask("POST", "workspacekinds", text, media="application/yaml")
            assert status < 500, (text[:2000], answer)
            if status == 201:
                await ask("DELETE", "workspacekinds/odd")


QUERIES = [
    *(
        "limit=" + "9" * 5000, "limit=-1", "limit=1e5",
        "continue=" + "A" * 8000, "continue=eyJuYW1lIjo1fQ", "continue=%ED%A0%80",
        "sort=" + ",".join(["a.b"] * 2000),
        "fields=" + ",".join(["a.b.c"] * 2000), "fields=" + ".".join(["a"] * 3000),
        "sort=" + ".".join(["a"] * 3000),
        "filter=" + ".".join(["a"] * 3000) + "=x", "filter=name=" + "*a" * 2000,
        "filter=name=[" + "a-" * 2000, "&".join(["filter=name=a*"] * 1000),
        "filter==", "filter=\0=\0", "sort=-", "watch=maybe",
    ),
]  # fmt: skip


async def test_odd_queries_are_answered_soon(ask: Ask) -> None:
    await ask("POST", "workspaces/default", workspace())
    for query in QUERIES:
        params: Object = {}
        for pair in query.split("&"):
            name, _, given = pair.partition("=")
            params.setdefault(name, []).append(given)
        for path in ("workspaces", "workspacekinds"):
            status, _ = await ask("GET", path, params=params, request_timeout=10)
            assert status < 500, query[:100]


ODD: list[Any] = [
    None,
    5,
    -(2**63),
    2**63,
    1e308,
    "text",
    [],
    [None],
    {},
    {"a": {}},
    [[]],
    "\x00",
    True,
]


@pytest.mark.slow
async def test_objects_that_a_lax_crd_let_in_leave_lists_alone(
    ask: Ask, raw: Any, cluster: Any, cluster_kind: str
) -> None:
    if cluster_kind == "real":
        pytest.skip(
            "a real cluster checks what is written; "
            "the store of the local one can be written to behind it"
        )
    await ask("POST", "workspaces/default", workspace())
    await ask("POST", "workspaces/default", workspace("odd"))
    set_status(cluster, "odd", "Running")
    store, row = cluster.engine.store, "workspaces.kubeflow.org"
    whole = store.get(row, "default", "odd").decode()
    kind = store.get("workspacekinds.kubeflow.org", "", "jupyterlab").decode()

    for section in ("spec", "status"):
        for changed in some(whole[section], 3):
            store.put(row, whole | {section: changed})
            for path in (
                "workspaces",
                "workspaces/default",
                "persistentvolumeclaims/default",
                "secrets/default",
            ):
                status, answer = await ask("GET", path)
                assert status == 200, (path, changed)
                if path == "workspaces":
                    shown = {item["name"]: item for item in answer["data"]}
                    assert set(shown) == {"desk", "odd"}, changed
                    msgspec.convert(shown["odd"], WorkspaceListItem)
                    assert rows.row(shown["odd"], {})["key"] == "default/odd"
                    assert Workspace(AsyncClient(), shown["odd"]).to_dict()["name"] == "odd"
            for path in ("workspaces/default/odd", "workspaces/default/odd/podtemplate/details"):
                assert (await ask("GET", path))[0] < 500, (path, changed)
    for changed in some(kind["spec"], 29):
        store.put("workspacekinds.kubeflow.org", kind | {"spec": changed})
        for path in (
            "workspacekinds",
            "workspaces",
            "workspacekinds/jupyterlab",
            "workspacekinds/jupyterlab/assets/icon",
        ):
            answer = await raw("GET", path)
            # A picture that names a ConfigMap which is not there is a 500 on the original as well
            # (tests/golden).
            assert answer.code < 500 or (
                path.endswith("icon") and b"The ConfigMap " in answer.body
            ), (path, changed)


@pytest.mark.parametrize(
    "spec",
    [
        None,
        "a text",
        5,
        [],
        {},
        {"kind": 5},
        {"kind": "jupyterlab"},
        {"kind": "jupyterlab", "podTemplate": []},
    ],
)
async def test_a_workspace_without_a_usable_spec_is_unknown_and_says_why(
    ask: Ask, cluster: Any, cluster_kind: str, spec: Any
) -> None:
    """Also in the live stream, and it can be deleted."""
    if cluster_kind == "real":
        pytest.skip("looks into the store")
    await ask("POST", "workspaces/default", workspace())
    await ask("POST", "workspaces/default", workspace("odd"))
    store, row = cluster.engine.store, "workspaces.kubeflow.org"
    whole = store.get(row, "default", "odd").decode()
    store.put(
        row,
        {key: value for key, value in whole.items() if key != "spec"}
        if spec is None
        else whole | {"spec": spec},
    )

    async def unknown() -> Object | None:
        found = next(
            item
            for item in (await ask("GET", "workspaces/default"))[1]["data"]
            if item["name"] == "odd"
        )
        return found if found["state"] == "Unknown" else None

    item = await until(unknown, "the state Unknown", 5)
    assert item["stateMessage"].startswith("It cannot be read: ")
    assert "spec" in item["stateMessage"]
    assert rows.row(item, {})["message"] == item["stateMessage"]
    code, body = await ask("GET", "workspaces/default/odd")
    assert (code, "spec" in body["error"]["cause"]["conflict_cause"][0]["message"]) == (409, True)
    assert (await ask("DELETE", "workspaces/default/odd"))[0] == 204


async def test_a_kind_that_cannot_be_read_is_listed_hidden_with_the_reason(
    ask: Ask, cluster: Any, cluster_kind: str
) -> None:
    if cluster_kind == "real":
        pytest.skip("looks into the store")
    store, row = cluster.engine.store, "workspacekinds.kubeflow.org"
    whole = store.get(row, "", "jupyterlab").decode()
    store.put(row, {key: value for key, value in whole.items() if key != "spec"})

    async def hidden() -> Object | None:
        found = next(
            item
            for item in (await ask("GET", "workspacekinds"))[1]["data"]
            if item["name"] == "jupyterlab"
        )
        return found if found["hidden"] else None

    item = await until(hidden, "the kind to be hidden", 5)
    assert "it has no spec" in item["description"]
    assert from_item(item).images == ()


async def test_a_claim_without_spec_is_listed_and_may_not_be_mounted(
    ask: Ask, cluster: Any, cluster_kind: str
) -> None:
    if cluster_kind == "real":
        pytest.skip("looks into the store")
    store, row = cluster.engine.store, "persistentvolumeclaims"
    whole = store.get(row, "default", "home").decode()
    store.put(row, {key: value for key, value in whole.items() if key != "spec"})

    async def told() -> Object | None:
        shown = (await ask("GET", "persistentvolumeclaims/default"))[1]["data"]
        assert {"home", "locked"} <= {claim["name"] for claim in shown}
        return next((claim for claim in shown if claim.get("problem")), None)

    claim = await until(told, "a claim with a problem", 5)
    assert (claim["name"], claim["canMount"]) == ("home", False)


def some(document: Any, every: int) -> Iterator[Any]:
    """Each odd value at some of the document's places, and some at each."""
    changed = (replaced(marked, value) for marked in places(document) for value in ODD)
    return itertools.islice(changed, 0, None, every)


def replaced(document: Any, value: Any) -> Any:
    if document == MARK:
        return value
    if isinstance(document, dict):
        return {
            str(value)[:20] if key == MARK else key: replaced(child, value)
            for key, child in document.items()
        }
    return (
        [replaced(child, value) for child in document] if isinstance(document, list) else document
    )


def test_the_values_are_as_odd_as_they_say() -> None:
    assert math.isinf(json.loads(RAW["a huge exponent"]))
