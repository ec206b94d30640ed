"""The server describes itself, and knows the fields of its kinds. Expectations were seen on Kubernetes 1.36."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from api_objects import WIDGETS, pod

from jupyter_workspaces.kube.catalog import CUSTOM_RESOURCE_DEFINITIONS

CORE = "/api/v1/namespaces/default"


async def described(api: Any, name: str) -> Any:
    async with api.session() as session:
        async with session.get("/openapi/v3") as answer:
            where = (await answer.json())["paths"][name]["serverRelativeURL"]
        async with session.get(where) as answer:
            assert answer.status == 200
            return await answer.json()


async def test_a_built_in_kind_is_described_with_all_it_refers_to(api: Any) -> None:
    document = await described(api, "api/v1")

    schemas = document["components"]["schemas"]
    assert schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"] == [
        {"group": "", "kind": "Pod", "version": "v1"}
    ]
    assert "containerPort" in schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]
    assert "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" in schemas
    patch = document["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"]
    assert patch["operationId"] == "patchCoreV1NamespacedConfigMap"
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]


async def test_no_reference_leads_nowhere(api: Any) -> None:
    async with api.session() as session, session.get("/openapi/v3") as answer:
        names = list((await answer.json())["paths"])
    for name in names:
        document = await described(api, name)
        known = {f"#/components/schemas/{schema}" for schema in document["components"]["schemas"]}
        assert set(references(document)) <= known


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for child in value for found in references(child)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for child in value.values() for found in references(child)]


async def test_a_custom_kind_is_described_as_its_definition_has_it(api: Any) -> None:
    document = await described(api, "apis/example.org/v1")

    kind = document["components"]["schemas"]["org.example.v1.Widget"]
    assert kind["properties"]["spec"]["properties"]
    assert list(kind["properties"])[:3] == ["apiVersion", "kind", "metadata"]
    patch = document["paths"]["/apis/example.org/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert patch["operationId"] == "patchExampleOrgV1NamespacedWidget"
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]


async def test_a_definition_that_goes_takes_its_document_along(api: Any) -> None:
    async with api.cluster() as cluster, api.session() as session:
        await cluster.delete(CUSTOM_RESOURCE_DEFINITIONS, f"{WIDGETS.plural}.{WIDGETS.group}")
        async with session.get("/openapi/v3/apis/example.org/v1") as answer:
            assert answer.status == 404
        async with session.get("/openapi/v3") as answer:
            assert "apis/example.org/v1" not in (await answer.json())["paths"]


async def test_a_document_that_is_known_is_not_sent_again(api: Any) -> None:
    async with api.session() as session:
        async with session.get("/openapi/v3/apis/apps/v1") as answer:
            tag = answer.headers["ETag"]
        async with session.get(
            "/openapi/v3/apis/apps/v1", headers={"If-None-Match": tag}
        ) as answer:
            assert answer.status == 304


async def test_version_two_has_everything_in_one_document(api: Any) -> None:
    async with api.session() as session, session.get("/openapi/v2") as answer:
        document = await answer.json()

    assert document["swagger"] == "2.0"
    assert set(references(document)) <= {
        f"#/definitions/{name}" for name in document["definitions"]
    }
    assert document["definitions"]["io.k8s.api.core.v1.ConfigMap"]["properties"]["metadata"][
        "$ref"
    ].endswith("ObjectMeta")
    (body, *_) = document["paths"]["/api/v1/namespaces/{namespace}/configmaps"]["post"][
        "parameters"
    ]
    assert body["in"] == "body"


@pytest.mark.parametrize(
    ("asked", "status", "warned"),
    [("Strict", 400, False), ("Warn", 201, True), ("Ignore", 201, False), (None, 201, True)],
)
async def test_unknown_fields_of_built_in_kinds(
    api: Any, asked: str | None, status: int, warned: bool
) -> None:
    body = pod("one")
    body["spec"]["containers"][0]["imagee"] = "x"
    query = {} if asked is None else {"fieldValidation": asked}
    async with (
        api.session() as session,
        session.post(f"{CORE}/pods", json=body, params=query) as answer,
    ):
        found = await answer.json()

        assert answer.status == status
        text = 'unknown field "spec.containers[0].imagee"'
        if status == 400:
            assert (
                found["message"]
                == f'Pod in version "v1" cannot be handled as a Pod: strict decoding error: {text}'
            )
        else:
            assert "imagee" not in found["spec"]["containers"][0]
            told = answer.headers.getall("Warning", [])
            assert told == (
                ['299 - "unknown field \\"spec.containers[0].imagee\\""'] if warned else []
            )


async def test_free_keys_are_not_unknown_fields(api: Any) -> None:
    body = {"metadata": {"name": "one", "labels": {"free": "key"}}, "data": {"any": "thing"}}
    async with (
        api.session() as session,
        session.post(
            f"{CORE}/configmaps", json=body, params={"fieldValidation": "Strict"}
        ) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def test_version_two_in_protobuf_says_the_same(api: Any) -> None:
    """By gnostic's field numbers: a document's definitions are 9, its paths 8, a schema's properties 25, …"""
    asked = {"Accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
    async with api.session() as session:
        async with session.get("/openapi/v2", headers=asked) as answer:
            encoded, tag, media = (
                await answer.read(),
                answer.headers["ETag"],
                answer.headers["Content-Type"],
            )
        async with session.get("/openapi/v2", headers=asked | {"If-None-Match": tag}) as answer:
            unchanged = answer.status
        async with session.get("/openapi/v2") as answer:
            document = await answer.json()

    assert (media, unchanged) == ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", 304)
    definitions = named(fields(encoded)[9][0])
    assert list(definitions) == list(document["definitions"])
    for name, schema in document["definitions"].items():
        told = named(fields(definitions[name])[25][0]) if "properties" in schema else {}
        assert list(told) == list(schema.get("properties", {})), name
        for key, inner in schema.get("properties", {}).items():
            property_fields = fields(told[key])
            assert [text.decode() for text in property_fields.get(1, ())] == (
                [inner["$ref"]] if "$ref" in inner else []
            ), (name, key)
            types = [fields(one)[1][0].decode() for one in property_fields.get(22, ())]
            assert types == ([inner["type"]] if "type" in inner else []), (name, key)
    widget = fields(definitions["org.example.v1.Widget"])
    spec = fields(named(widget[25][0])["spec"])
    size = fields(named(spec[25][0])["size"])
    assert (spec[19], size[7], size[9]) == (
        [b"size"],
        [struct.pack("<d", 100)],
        [struct.pack("<d", 1)],
    )
    (mark,) = [fields(one) for one in widget[31]]
    assert mark[1] == [b"x-kubernetes-group-version-kind"]
    assert json.loads(fields(mark[2][0])[2][0]) == [
        {"group": "example.org", "kind": "Widget", "version": "v1"}
    ]


async def test_version_two_in_protobuf_says_what_can_be_asked(api: Any) -> None:
    asked = {"Accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
    async with api.session() as session:
        async with session.get("/openapi/v2", headers=asked) as answer:
            encoded = await answer.read()
        async with session.get("/openapi/v2") as answer:
            document = await answer.json()

    paths = named(fields(encoded)[8][0], 2)
    assert set(paths) == set(document["paths"])
    patch = fields(
        fields(paths["/apis/example.org/v1/namespaces/{namespace}/widgets/{name}"])[8][0]
    )
    assert patch[5] == [b"patchExampleOrgV1NamespacedWidget"]
    parameters = [fields(fields(one)[1][0]) for one in patch[8]]
    body = fields(parameters[0][1][0])
    assert (body[2], body[3]) == ([b"body"], [b"body"])
    query = [fields(fields(one[2][0])[3][0]) for one in parameters[1:]]
    assert (b"fieldValidation", b"query", b"string") in [
        (one[4][0], one[2][0], one[6][0]) for one in query
    ]


def fields(message: bytes) -> dict[int, list[bytes]]:
    """A message's fields by number, each as it is encoded (Protocol Buffers, “Encoding”); numbers are left as their bytes."""
    found: dict[int, list[bytes]] = {}
    place = 0
    while place < len(message):
        tag, place = number(message, place)
        match tag & 7:
            case 0:
                start = place
                _, place = number(message, place)
            case 1:
                start, place = place, place + 8
            case 2:
                length, start = number(message, place)
                place = start + length
        found.setdefault(tag >> 3, []).append(message[start:place])
    assert place == len(message)
    return found


def number(message: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while message[place] & 0x80:
        value |= (message[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return value | message[place] << shift, place + 1


def named(message: bytes, at: int = 1) -> dict[str, bytes]:
    """Of a message of names and values, the values."""
    pairs = [fields(one) for one in fields(message)[at]]
    return {pair[1][0].decode(): pair[2][0] for pair in pairs}


def test_kubectl_explains_and_refuses_what_it_does_not_know(kubectl: Any) -> None:
    """Those before 1.25 look at what they send themselves, by OpenAPI v2 in protobuf; those before 1.27 explain by it, too."""
    by_server = "strict" in kubectl("apply", "--help").stdout
    manifest = (
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dataa": {"a": "b"}}'
    )
    gadget = '{"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "x"}, "spec": {"size": 1, "sise": 2}}'

    for asked, unknown in ((manifest, "dataa"), (gadget, "sise")):
        refused = kubectl(
            "apply",
            "-f",
            "-",
            "--validate=strict" if by_server else "--validate=true",
            stdin=asked,
            check=False,
        )
        assert refused.returncode != 0
        assert (
            f'unknown field "{unknown}"' in refused.stderr
            or f'unknown field "spec.{unknown}"' in refused.stderr
        )
    assert "containerPort" in kubectl("explain", "pod.spec.containers.ports").stdout
    assert "anything" in kubectl("explain", "widgets.spec").stdout
