"""Malformed requests: each gets an error, none fails in the server, none hangs."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from api_objects import WIDGETS, pod, widget, widget_definition
from conftest import TOKEN, Running
from yarl import URL

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.directory import Directory

WIDGET_LIST = WIDGETS.path("default")
WIDGET = WIDGETS.path("default", "kept")
POD_LIST = "/api/v1/namespaces/default/pods"
POD = f"{POD_LIST}/kept"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEEP = '{"a":' * 400 + "1" + "}" * 400
VERY_DEEP = "[" * 200_000
WRONG: list[Any] = [
    None,
    True,
    5,
    -1,
    1.5,
    "text",
    "",
    [],
    [None],
    {},
    {"a": {}},
    [[]],
    2**63,
    2**70,
    1e308,
    "ä\u2028\U0001f600",
]
FAR: list[Any] = [
    "1e999999999", "1e99", "-1e-99", "9" * 60 + "Ei", "9" * 5000, "1." + "1" * 60, "1.1Ki",
    "0" * 3000 + "1Gi", "+.5", "١", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00.000001+24:00", -(2**63), -(2**70), 2**31, -0.0, 5e-324, 10**400,
    "\x00", "\x1b[2J", "x" * 70_000,
]  # fmt: skip
"""Values far out of range for quantities, times, numbers and texts."""

JSON_TYPE = "application/json"
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture(scope="module")
def shared(certified: Directory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all requests, so that each meets what the ones before have left."""
    path = tmp_path_factory.mktemp("malformed")
    for file in certified.path.iterdir():
        shutil.copy(file, path / file.name)
    running = Running(Directory(path))
    running.start()
    for manifest in (widget("kept"), pod("kept")):
        manifest["metadata"]["namespace"] = "default"

        async def apply(manifest: Any = manifest) -> None:
            running.server.apply_manifest(manifest)

        running.call(apply())
    yield running
    running.stop()
    running.end()


@pytest.fixture(autouse=True)
def nothing_is_logged_as_a_fault(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    faults = [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR and "api-server" in record.threadName
    ]
    assert not faults


def answered(shared: Running, method: str, path: str, data: Any = None, **headers: str) -> int:
    """Return the status of an answer, which must be no fault of the server.

    An error must be a `Status`, except where no API is served.
    """
    status, body = sent(shared, method, path, data, **headers)
    assert status < 500, body
    if status >= 400 and method != "HEAD" and (status, body) != (404, b"404 page not found\n"):
        refused = json.loads(body)
        assert refused["kind"] == "Status"
        assert refused["code"] == status
        assert refused["reason"]
        assert refused["message"]
    return status


def sent(
    shared: Running, method: str, path: str, data: Any = None, **headers: str
) -> tuple[int, bytes]:
    async def ask() -> tuple[int, bytes]:
        session = await shared.kept_session()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(shared.url + path, encoded=True)
        async with session.request(
            method, url, data=data, headers=given, allow_redirects=False
        ) as response:
            return response.status, await response.read()

    return shared.call(ask())


PATHS = [
    "/",
    "//",
    "///",
    "/api",
    "/api/",
    "/api//",
    "/api/v2",
    "/api/v1/",
    "/api/v1//",
    "/api/v1/nothing",
    "/api/v1/pods/",
    "/api/v1//pods",
    "/api/v1/namespaces//pods",
    "/api/v1/namespaces/default//pods",
    "/api/v1/namespaces/default/pods/",
    "/api/v1/namespaces/default/pods//",
    "/api/v1/namespaces/default/pods/x/y",
    "/api/v1/namespaces/default/pods/x/y/z",
    "/api/v1/namespaces/default/pods/kept/exec",
    "/api/v1/namespaces/default/nodes",
    "/api/v1/namespaces/default/namespaces",
    "/api/v1/namespaces/default/status/x",
    "/api/v1/pods/kept",
    "/api/v1/namespaces/%2e%2e/pods",
    "/api/v1/../../etc/passwd",
    "/api/v1/namespaces/default/pods/%2e%2e",
    "/api/v1/namespaces/default/pods/..",
    "/api/v1/namespaces/default/pods/%00",
    "/api/v1/namespaces/default/pods/a%00b",
    "/api/v1/namespaces/default/pods/%ff%fe",
    "/%ff",
    "/api/v1/namespaces/default/pods/%",
    "/api/v1/namespaces/default/pods/%zz",
    "/api/v1/namespaces/default/pods/a%2Fb",
    "/api/v1/namespaces/default/pods/" + "x" * 5000,
    "/api/v1/namespaces/" + "y" * 300 + "/pods",
    "/apis/",
    "/apis//",
    "/apis/apps",
    "/apis/apps/",
    "/apis/apps/v9",
    "/apis/apps/v1/nothing",
    "/apis/none.example",
    "/apis/none.example/v1",
    "/apis/none.example/v1/things",
    "/apis//v1/pods",
    "/apis/example.org/v1/widgets/x",
    "/apis/example.org/v2/widgets",
    "/apis/example.org/v1/namespaces/default/widgets/none",
    "/apis/example.org/v1/namespaces/default/widgets/none/status",
    "/apis/example.org/v1/namespaces/default/widgets/kept/scale",
    "/favicon.ico",
    "/.git/config",
    "/openapi",
    "/openapi/v3/",
    "/openapi/v2/x",
    "/metrics",
    "/version/x",
    "/healthz/x",
    "/logs",
    "/debug/pprof",
    "/API/V1/pods",
    "/api/v1/namespaces/default/pods/kept/log/x",
    "/api/v1/namespaces/default/configmaps/kept/status",
    "/api/v1/watch/pods",
    "/api/v1/proxy",
    "/%61pi/v1/pods",
    "/api/v1/namespaces/default/pods;x=1",
    "/api/v1/namespaces/default/pods/%C3%A4",
    "/api/v1/namespaces/*/pods",
    "/" + "a/" * 2000,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:60])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_paths(shared: Running, method: str, path: str) -> None:
    answered(shared, method, path, data=b"{}" if method == "POST" else None)


QUERIES = [
    "limit=-1",
    "limit=x",
    "limit=1e9",
    "limit=99999999999999999999",
    "limit=1&continue=x",
    "continue=%00",
    "continue=bnVsbA",
    "continue=WzEsMl0",
    "continue=WyJ4IiwtNV0",
    "resourceVersion=x",
    "resourceVersion=-5",
    "resourceVersion=99999999999999999999999",
    "labelSelector=%3D",
    "labelSelector=a%20b",
    "labelSelector=a%3D%3D%3Db",
    "labelSelector=a%20in%20b",
    "labelSelector=a%20in%20(b",
    "labelSelector=(((((",
    "labelSelector=,,,",
    "labelSelector=!",
    "labelSelector=%F0%9F%98%80",
    "labelSelector=" + "a" * 3000 + "!",
    "labelSelector=a%20in%20()",
    "fieldSelector=x",
    "fieldSelector=spec.none%3D1",
    "fieldSelector=%3D%3D",
    "fieldSelector=,",
    "fieldSelector=metadata.name%3D%00",
    "watch=true&resourceVersion=x",
    "watch=true&timeoutSeconds=x",
    "watch=true&timeoutSeconds=-3",
    "watch=1&timeoutSeconds=1&resourceVersion=1",
    "watch=maybe",
    "watch=true&timeoutSeconds=1&sendInitialEvents=x",
    "%ff=%fe",
    "&&&",
    "=",
    "limit",
    "a=" + "b" * 6000,
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:60])
def test_queries_of_lists(shared: Running, query: str) -> None:
    answered(shared, "GET", f"{POD_LIST}?{query}")


WRITE_QUERIES = [
    "dryRun=None",
    "dryRun=",
    "dryRun=all",
    "fieldValidation=Sometimes",
    "fieldValidation=",
    "fieldManager=" + "x" * 300,
    "pretty=x",
    "force=1",
]


@pytest.mark.parametrize("query", WRITE_QUERIES, ids=lambda query: query[:60])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_queries_of_writes(shared: Running, method: str, query: str) -> None:
    path = WIDGET_LIST if method == "POST" else WIDGET
    answered(
        shared,
        method,
        f"{path}?{query}",
        json.dumps(widget("kept")),
        Content_Type=MERGE if method == "PATCH" else JSON_TYPE,
    )


BODIES = [
    b"",
    b" ",
    b"{",
    b"}",
    b"[]",
    b"null",
    b"true",
    b"5",
    b'"x"',
    b"{}",
    b'{"a":}',
    b"{'a': 1}",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1e999}',
    b"\xff\xfe",
    b'{"a": "\xff"}',
    b'{"a": "\\ud800"}',
    b'{"metadata": {"name": "\\u0000"}}',
    b"\xef\xbb\xbf{}",
    b"k8s\x00\x0a\x02",
    b"<xml/>",
    DEEP.encode(),
    VERY_DEEP.encode(),
    b'{"spec": ' + DEEP.encode() + b"}",
    b'{"kind":"Widget","kind":"Pod"}',
    b'{"apiVersion": 5, "kind": []}',
    b'{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}',
    b'{"metadata": null}',
    b'{"metadata": {"name": "a"}} trailing',
    b"a: b\nc: [",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:40]))
@pytest.mark.parametrize("media", [JSON_TYPE, "application/yaml"])
def test_bodies_of_creations(shared: Running, media: str, body: bytes) -> None:
    for path in (WIDGET_LIST, POD_LIST):
        assert answered(shared, "POST", path, body, Content_Type=media) >= 400


MEDIA = [
    "text/plain",
    "application/xml",
    "multipart/form-data",
    "nonsense",
    "application/",
    "text/;;;",
    "a/b;c=" + "d" * 500,
]


YAML = [
    "a: &a [x]\nb: *a",
    "a: &a [&b [&c [x, x], *c], *b]",
    "{1: 2, null: 3, true: 4, 1.5: 5}",
    "? [a, b]\n: c",
    "a: !!python/object/apply:os.system [true]",
    "a: !!binary nonsense",
    "--- {}\n--- {}",
    "a: .nan\nb: .inf",
    "\t",
    "metadata: {name: 2026-01-01}\nspec: {size: 1}",
    "a: " + "x" * 600_000,
    "%YAML 9.9\n---\na: b",
    "\0",
]


@pytest.mark.parametrize("body", YAML, ids=lambda body: repr(body[:40]))
def test_bodies_in_yaml(shared: Running, body: str) -> None:
    answered(shared, "POST", WIDGET_LIST + "?dryRun=All", body, Content_Type="application/yaml")


PROTOBUF = [
    b"",
    b"k8s",
    b"k8s\0",
    b"k8s\0\xff",
    b"k8s\0" + b"\xff" * 40,
    b"k8s\0\x0a\x02",
    b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\x02\x08\x01",
    b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod",
    b"k8s\0\x0b\x0c\x0d",
]


@pytest.mark.parametrize("body", PROTOBUF, ids=repr)
@pytest.mark.parametrize("path", [WIDGET_LIST, "/api/v1/namespaces/default/secrets"])
def test_bodies_in_protobuf(shared: Running, path: str, body: bytes) -> None:
    assert answered(
        shared, "POST", path, body, Content_Type="application/vnd.kubernetes.protobuf"
    ) in (400, 415, 422)


@pytest.mark.parametrize("media", MEDIA, ids=lambda media: media[:40])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_media_types(shared: Running, method: str, media: str) -> None:
    path = WIDGET_LIST if method == "POST" else WIDGET
    assert answered(shared, method, path, json.dumps(widget("kept")), Content_Type=media) == 415


METADATA = [
    "name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences",
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "managedFields", "selfLink",
]  # fmt: skip


@pytest.mark.parametrize("field", METADATA)
def test_wrong_types_in_metadata(shared: Running, field: str) -> None:
    for number, wrong in enumerate(WRONG + FAR):
        body = widget(f"m{number}")
        body["metadata"][field] = wrong
        answered(
            shared, "POST", WIDGET_LIST + "?dryRun=All", json.dumps(body), Content_Type=JSON_TYPE
        )
        answered(
            shared,
            "PATCH",
            WIDGET + "?dryRun=All",
            json.dumps({"metadata": {field: wrong}}),
            Content_Type=MERGE,
        )


SPECIFICATIONS = {
    "pods": [
        "spec",
        "spec.containers",
        "spec.containers.0",
        "spec.containers.0.name",
        "spec.containers.0.image",
        "spec.containers.0.ports",
        "spec.containers.0.resources",
        "spec.containers.0.resources.limits",
        "spec.containers.0.resources.limits.cpu",
        "spec.containers.0.resources.requests.memory",
        "spec.activeDeadlineSeconds",
        "spec.volumes.0.emptyDir.sizeLimit",
        "metadata.creationTimestamp",
        "metadata.deletionGracePeriodSeconds",
        "status.startTime",
        "spec.containers.0.readinessProbe",
        "spec.containers.0.readinessProbe.httpGet",
        "spec.containers.0.volumeMounts",
        "spec.containers.0.env",
        "spec.initContainers",
        "spec.volumes",
        "spec.nodeName",
        "spec.terminationGracePeriodSeconds",
        "spec.securityContext",
        "status",
    ],
    "services": [
        "spec",
        "spec.ports",
        "spec.ports.0.port",
        "spec.selector",
        "spec.type",
        "spec.clusterIP",
    ],
    "secrets": ["data", "data.a", "stringData", "stringData.a", "type", "immutable"],
    "configmaps": ["data", "data.a", "binaryData", "immutable"],
    "persistentvolumeclaims": [
        "spec",
        "spec.accessModes",
        "spec.accessModes.0",
        "spec.resources",
        "spec.resources.requests",
        "spec.resources.requests.storage",
    ],
    "events": ["involvedObject", "reason", "source", "count", "lastTimestamp"],
    "serviceaccounts": ["secrets", "imagePullSecrets"],
}
KINDS = {
    "pods": "Pod", "services": "Service", "secrets": "Secret", "configmaps": "ConfigMap",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "events": "Event", "serviceaccounts": "ServiceAccount",
}  # fmt: skip


def place(obj: dict[str, Any], path: str, value: Any) -> None:
    held: Any = obj
    *parents, last = path.split(".")
    for number, part in enumerate(parents):
        following = [*parents, last][number + 1]
        if isinstance(held, list):
            held.extend([{}] if not held else [])
            held = held[0]
        else:
            held = held.setdefault(part, [] if following == "0" else {})
    if isinstance(held, list):
        held[:] = [value]
    else:
        held[last] = value


@pytest.mark.parametrize(
    ("plural", "path"),
    [(plural, path) for plural, paths in SPECIFICATIONS.items() for path in paths],
)
def test_wrong_types_in_built_in_kinds(shared: Running, plural: str, path: str) -> None:
    for number, wrong in enumerate(WRONG + FAR):
        base = (
            pod("x")
            if plural == "pods"
            else {"apiVersion": "v1", "kind": KINDS[plural], "metadata": {"name": "x"}}
        )
        if plural == "events":
            base["involvedObject"] = {"kind": "Pod"}
        base["metadata"]["name"] = (
            f"{path.lower()}-{number}"[-50:].lstrip(".-0123456789").replace(".", "-")
        )
        place(base, path, wrong)
        collection = f"/api/v1/namespaces/default/{plural}"
        if answered(shared, "POST", collection, json.dumps(base), Content_Type=JSON_TYPE) < 300:
            # What was taken must be readable in every form.
            for accept in (JSON_TYPE, "application/json;as=Table;v=v1;g=meta.k8s.io"):
                assert answered(shared, "GET", collection, Accept=accept) == 200
            for selector in ("type=x", "status.phase=x", "involvedObject.name=x", "source=x"):
                answered(shared, "GET", f"{collection}?fieldSelector={selector}")
            name = base["metadata"]["name"]
            answered(
                shared,
                "PATCH",
                f"{collection}/{name}",
                json.dumps({"spec": {"containers": [{"name": "x", "image": 1}]}}),
                Content_Type=STRATEGIC,
            )
            answered(shared, "DELETE", f"{collection}/{name}")


@pytest.mark.parametrize(
    "path",
    [
        "spec",
        "spec.size",
        "spec.color",
        "spec.note",
        "spec.anything",
        "spec.parts",
        "spec.parts.0",
        "spec.parts.0.count",
        "status",
    ],
)
def test_wrong_types_in_custom_resources(shared: Running, path: str) -> None:
    for wrong in WRONG + FAR:
        body = widget("custom")
        place(body, path, wrong)
        answered(
            shared, "POST", WIDGET_LIST + "?dryRun=All", json.dumps(body), Content_Type=JSON_TYPE
        )
        answered(
            shared,
            "PUT",
            WIDGET + "/status?dryRun=All",
            json.dumps(body | {"metadata": {"name": "kept"}}),
            Content_Type=JSON_TYPE,
        )


PATCHES = [
    (PATCH, "{}"),
    (PATCH, "[1]"),
    (PATCH, "[{}]"),
    (PATCH, '[{"op":"x","path":"/a"}]'),
    (PATCH, '[{"op":"add"}]'),
    (PATCH, '[{"op":"add","path":5}]'),
    (PATCH, '[{"op":"add","path":"a","value":1}]'),
    (PATCH, '[{"op":"add","path":"/a/b/c","value":1}]'),
    (PATCH, '[{"op":"remove","path":"/none"}]'),
    (PATCH, '[{"op":"remove","path":""}]'),
    (PATCH, '[{"op":"replace","path":"","value":5}]'),
    (PATCH, '[{"op":"replace","path":"/metadata","value":5}]'),
    (PATCH, '[{"op":"replace","path":"/metadata/name","value":5}]'),
    (PATCH, '[{"op":"replace","path":"/metadata/name","value":"other"}]'),
    (PATCH, '[{"op":"move","from":"/spec","path":"/spec/x"}]'),
    (PATCH, '[{"op":"copy","from":"/none","path":"/x"}]'),
    (PATCH, '[{"op":"move","path":"/x"}]'),
    (PATCH, '[{"op":"test","path":"/spec/size","value":99}]'),
    (PATCH, '[{"op":"add","path":"/spec/parts/99","value":{}}]'),
    (PATCH, '[{"op":"test","path":"/~2"}]'),
    (PATCH, '[{"op":"add","path":"/spec/parts/-1","value":{}}]'),
    (PATCH, json.dumps([{"op": "test", "path": "/kind", "value": "Widget"}] * 10_001)),
    (PATCH, '[{"op":["add"],"path":"/a","value":1}]'),
    (PATCH, '[{"op":"remove","path":"/metadata"}]'),
    (PATCH, '[{"op":"replace","path":"/kind","value":null}]'),
    (MERGE, "[]"),
    (MERGE, "5"),
    (MERGE, "null"),
    (MERGE, "{"),
    (MERGE, ""),
    (MERGE, '{"metadata":5}'),
    (MERGE, '{"metadata":null}'),
    (MERGE, '{"kind":"Pod"}'),
    (MERGE, '{"apiVersion":"v9"}'),
    (MERGE, '{"metadata":{"name":"other"}}'),
    (MERGE, '{"metadata":{"uid":"other"}}'),
    (MERGE, '{"metadata":{"resourceVersion":"1"}}'),
    (MERGE, '{"spec":null}'),
    (MERGE, '{"spec":5}'),
    (MERGE, DEEP),
    (MERGE, VERY_DEEP),
    (MERGE, '{"spec":{"anything":' + DEEP + "}}"),
    (STRATEGIC, '{"spec":{"size":4}}'),
    ("application/apply-patch+yaml", "spec: {size: 4}"),
    (JSON_TYPE, "{}"),
]


@pytest.mark.parametrize(("media", "patch"), PATCHES, ids=lambda value: value[:50])
def test_patches(shared: Running, media: str, patch: str) -> None:
    assert answered(shared, "PATCH", WIDGET + "?dryRun=All", patch, Content_Type=media) in (
        200,
        400,
        409,
        413,
        415,
        422,
    )


NOT_FOLLOWED: list[Any] = [
    {"spec": {"containers": [5]}},
    {"spec": {"containers": [{}]}},
    {"$patch": 5},
]
"""Patches of which Kubernetes says, too, that they are its own error (500)."""
STRATEGIC_PATCHES = [
    {"spec": {"containers": 5}},
    {"spec": {"containers": [5]}},
    {"spec": {"containers": [{}]}},
    {"spec": {"containers": [{"name": []}]}},
    {"spec": 5},
    {"$patch": 5},
    {"$patch": "delete"},
    {"spec": {"$patch": "replace"}},
    {"spec": {"$retainKeys": 5}},
    {"metadata": {"$retainKeys": ["name"]}},
    {"metadata": {"$deleteFromPrimitiveList/finalizers": 5}},
    {"metadata": {"finalizers": 5}},
    {"metadata": {"finalizers": [5]}},
    {"$setElementOrder/x": 5},
    {"spec": {"containers": [{"name": "main", "$patch": "delete"}]}},
    {"metadata": {"$deleteFromPrimitiveList/labels": ["x"]}},
    {"spec": {"containers": [{"name": "main", "ports": [{"containerPort": []}]}]}},
    {"metadata": {"ownerReferences": [{"uid": {}}]}},
]


@pytest.mark.parametrize("patch", STRATEGIC_PATCHES, ids=lambda patch: json.dumps(patch)[:50])
def test_strategic_patches(shared: Running, patch: Any) -> None:
    if patch in NOT_FOLLOWED:
        status, body = sent(
            shared, "PATCH", POD + "?dryRun=All", json.dumps(patch), Content_Type=STRATEGIC
        )
        assert (status, json.loads(body)["kind"]) == (500, "Status")
    else:
        answered(shared, "PATCH", POD + "?dryRun=All", json.dumps(patch), Content_Type=STRATEGIC)


DELETIONS: list[Any] = [
    "x",
    [],
    5,
    {"preconditions": 5},
    {"preconditions": {"uid": 5}},
    {"preconditions": {"resourceVersion": []}},
    {"gracePeriodSeconds": "x"},
    {"gracePeriodSeconds": []},
    {"gracePeriodSeconds": -1},
    {"gracePeriodSeconds": 2**70},
    {"gracePeriodSeconds": 1e300},
    {"gracePeriodSeconds": 10**18},
    {"propagationPolicy": "Sometimes"},
    {"propagationPolicy": 5},
    {"propagationPolicy": ["Orphan"]},
    {"dryRun": "All"},
    {"dryRun": ["x"]},
    {"dryRun": 5},
    {"kind": "Pod"},
    {"orphanDependents": "yes", "dryRun": ["All"]},
]


@pytest.mark.parametrize("options", DELETIONS, ids=lambda options: json.dumps(options)[:50])
def test_options_of_deletions(shared: Running, options: Any) -> None:
    for path in (POD_LIST + "/none", "/api/v1/namespaces/default/secrets"):
        answered(shared, "DELETE", path, json.dumps(options), Content_Type=JSON_TYPE)
    answered(
        shared,
        "POST",
        POD_LIST,
        json.dumps(pod("ending", nodeName="local")),
        Content_Type=JSON_TYPE,
    )
    answered(shared, "DELETE", POD_LIST + "/ending", json.dumps(options), Content_Type=JSON_TYPE)
    answered(shared, "DELETE", POD_LIST + "/ending?gracePeriodSeconds=0")


DEFINITIONS = [
    "spec",
    "spec.group",
    "spec.names",
    "spec.names.plural",
    "spec.names.kind",
    "spec.names.singular",
    "spec.names.shortNames",
    "spec.names.categories",
    "spec.scope",
    "spec.versions",
    "spec.versions.0",
    "spec.conversion",
    "status",
]
VERSION = [
    "name",
    "served",
    "storage",
    "schema",
    "schema.openAPIV3Schema",
    "schema.openAPIV3Schema.type",
    "schema.openAPIV3Schema.properties",
    "schema.openAPIV3Schema.properties.spec",
    "schema.openAPIV3Schema.properties.spec.required",
    "schema.openAPIV3Schema.properties.spec.properties.size.maximum",
    "schema.openAPIV3Schema.properties.spec.properties.note.pattern",
    "schema.openAPIV3Schema.properties.spec.properties.parts.items",
    "schema.openAPIV3Schema.properties.spec.properties.color.enum",
    "schema.openAPIV3Schema.properties.spec.properties.color.default",
    "schema.openAPIV3Schema.properties.spec.additionalProperties",
    "subresources",
    "subresources.status",
    "additionalPrinterColumns",
    "additionalPrinterColumns.0",
]


@pytest.mark.parametrize("path", DEFINITIONS)
def test_wrong_types_in_definitions(shared: Running, path: str) -> None:
    for wrong in [*WRONG, "(", ["("], "x" * 300]:
        body = widget_definition()
        body["metadata"]["name"], body["spec"]["group"] = (
            "widgets.odd.example.org",
            "odd.example.org",
        )
        place(body, path, wrong)
        definition_answered(shared, body)


@pytest.mark.parametrize("path", VERSION)
def test_wrong_types_in_versions_of_definitions(shared: Running, path: str) -> None:
    for wrong in [*WRONG, "(", ["("]]:
        body = widget_definition()
        body["metadata"]["name"], body["spec"]["group"] = (
            "widgets.odd.example.org",
            "odd.example.org",
        )
        place(body["spec"]["versions"][0], path, wrong)
        definition_answered(shared, body)


def definition_answered(shared: Running, body: Any) -> None:
    if answered(shared, "POST", CRDS, json.dumps(body), Content_Type=JSON_TYPE) < 300:
        served = "/apis/odd.example.org/v1"
        collection = f"{served}/namespaces/default/widgets"
        answered(shared, "GET", served)
        answered(
            shared,
            "POST",
            collection,
            json.dumps(widget("a") | {"apiVersion": "odd.example.org/v1"}),
            Content_Type=JSON_TYPE,
        )
        answered(shared, "GET", collection, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        answered(shared, "GET", CRDS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        answered(shared, "DELETE", f"{CRDS}/widgets.odd.example.org")


REVIEWS = ["selfsubjectaccessreviews", "subjectaccessreviews", "selfsubjectrulesreviews"]


@pytest.mark.parametrize("plural", REVIEWS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"spec": 5}',
        b'{"spec": {"groups": 5}}',
        b'{"metadata": 5}',
        b'{"spec": {"user": []}}',
    ],
)
def test_access_reviews(shared: Running, plural: str, body: bytes) -> None:
    answered(
        shared, "POST", f"/apis/authorization.k8s.io/v1/{plural}", body, Content_Type=JSON_TYPE
    )


@pytest.mark.parametrize(
    ("query", "code"),
    [
        *(
            (f"{name}=x", 400)
            for name in ("tailLines", "limitBytes", "sinceSeconds", "sinceTime", "container")
        ),
        *((f"{name}=", 400) for name in ("tailLines", "limitBytes", "sinceSeconds")),
        *(
            (f"sinceTime={time}", 400)
            for time in (
                "2026-01-02T03:04:05",
                "2026-13-02T03:04:05Z",
                "2026-01-02T03:04:05Zx",
                "1767323045",
            )
        ),
        *(
            (query, 422)
            for query in (
                "tailLines=-1",
                "limitBytes=0",
                "sinceSeconds=0",
                "stream=x",
                "stream=Stdout&tailLines=1",
            )
        ),
        ("sinceSeconds=5&sinceTime=2026-01-02T03:04:05Z", 422),
        *(
            (query, 204)
            for query in (
                "follow=x",
                "previous=5",
                "sinceTime=",
                "container=",
                "sinceTime=2026-01-02T03:04:05.123456789%2B01:00",
            )
        ),
    ],
)
def test_logs(shared: Running, query: str, code: int) -> None:
    assert answered(shared, "GET", f"{POD}/log?{query}") == code


@pytest.mark.parametrize(
    "method", ["TRACE", "OPTIONS", "PROPFIND", "HEAD", "PUT", "PATCH", "DELETE"]
)
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/version",
        POD_LIST,
        "/api/v1/namespaces",
        "/api/v1/namespaces/default/pods/none",
    ],
)
def test_methods(shared: Running, method: str, path: str) -> None:
    if path != "/api/v1/namespaces" or method != "DELETE":
        answered(
            shared,
            method,
            path if method != "DELETE" or path != POD_LIST else POD_LIST + "?labelSelector=none",
        )


@pytest.mark.parametrize(
    "value",
    [
        "9" * 5000,
        "-" + "9" * 5000,
        "1e400",
        "1e999999999",
        "NaN",
        "-Infinity",
        '"\\ud800"',
        "0x10",
        "01",
        "1_0",
    ],
)
@pytest.mark.parametrize(
    "where",
    [
        '"spec":{"size":%s}',
        '"spec":{"anything":[%s]}',
        '"metadata":{"name":"n","generation":%s}',
        "%s:{}",
    ],
)
def test_invalid_numbers_and_texts_in_json(shared: Running, where: str, value: str) -> None:
    body = (
        f'{{"apiVersion":"{WIDGETS.api_version}","kind":"Widget",'
        f'"metadata":{{"name":"n"}},{where % value}}}'
    )
    answered(
        shared,
        "POST",
        WIDGET_LIST + "?dryRun=All&fieldValidation=Strict",
        body,
        Content_Type=JSON_TYPE,
    )
    for media in (MERGE, PATCH):
        patch = (
            f"{{{where % value}}}"
            if media == MERGE
            else f'[{{"op":"add","path":"/spec/anything","value":{value}}}]'
        )
        answered(shared, "PATCH", WIDGET + "?dryRun=All", patch, Content_Type=media)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP", "x"])
def test_compressed_bodies_are_rejected(shared: Running, encoding: str) -> None:
    body = json.dumps(widget("packed"))
    assert (
        answered(
            shared, "POST", WIDGET_LIST, body, Content_Type=JSON_TYPE, Content_Encoding=encoding
        )
        == 415
    )


def test_a_body_that_is_too_large(shared: Running) -> None:
    body = widget("large") | {
        "metadata": {"name": "large", "annotations": {"a": "x" * (4 * 2**20)}}
    }
    assert answered(shared, "POST", WIDGET_LIST, json.dumps(body), Content_Type=JSON_TYPE) == 413


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer  {TOKEN}",
        "Basic dGVzdA==",
        f"Bearer {TOKEN}x",
        "Bearer ä",
        "x" * 5000,
    ],
)
def test_requests_without_the_token_are_unauthorized(shared: Running, header: str) -> None:
    for path in ("/", "/version", "/api", "/openapi/v2", POD_LIST, WIDGET, "/apis/none/v1/x"):
        assert answered(shared, "GET", path, Authorization=header) == 401


PROTOCOL = [
    b"GARBAGE\r\n\r\n",
    b"CONNECTED / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x00\x01\x02\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    b"POST /api/v1/pods HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET http://other/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\n\r\n",
]


@pytest.mark.parametrize("sent", PROTOCOL, ids=lambda sent: repr(sent[:40]))
async def test_malformed_http(shared: Running, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", shared.port, ssl=shared.trust, server_hostname="127.0.0.1"
    )
    try:
        writer.write(
            sent.replace(
                b"Host: x\r\n",
                b"Host: x\r\nAuthorization: Bearer "
                + TOKEN.encode()
                + b"\r\nConnection: close\r\n",
            )
        )
        await writer.drain()
        writer.write_eof() if writer.can_write_eof() else None
        async with timeout(10):
            first = await reader.readline()
        assert not first or first.split()[1].startswith(b"4")
    finally:
        writer.close()
        try:
            async with timeout(5):
                await writer.wait_closed()
        except (ConnectionError, asyncio.TimeoutError, OSError):
            pass


async def test_a_client_without_tls_is_disconnected(shared: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await writer.drain()
    try:
        async with timeout(10):
            assert not (await reader.read()).startswith(b"HTTP/1.1 2")
    except ConnectionError:
        pass
    writer.close()


async def test_the_server_still_works(shared: Running) -> None:
    async with shared.session() as session, session.get(WIDGET) as response:
        assert (await response.json())["spec"]["size"] == 3
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as session, session.get(shared.url):
            pass
