"""OpenAPI documents, and validation of fields. Expected answers are those of Kubernetes 1.36."""

from __future__ import annotations

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


async def test_a_built_in_kind_is_described_with_referenced_schemas(api: Any) -> None:
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


async def test_all_references_can_be_resolved(api: Any) -> None:
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


async def test_a_custom_kind_is_described_by_its_definition(api: Any) -> None:
    document = await described(api, "apis/example.org/v1")

    kind = document["components"]["schemas"]["org.example.v1.Widget"]
    assert kind["properties"]["spec"]["properties"]
    assert list(kind["properties"])[:3] == ["apiVersion", "kind", "metadata"]
    patch = document["paths"]["/apis/example.org/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert patch["operationId"] == "patchExampleOrgV1NamespacedWidget"
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]


async def test_the_document_of_a_deleted_definition_is_removed(api: Any) -> None:
    async with api.cluster() as cluster, api.session() as session:
        await cluster.delete(CUSTOM_RESOURCE_DEFINITIONS, f"{WIDGETS.plural}.{WIDGETS.group}")
        async with session.get("/openapi/v3/apis/example.org/v1") as answer:
            assert answer.status == 404
        async with session.get("/openapi/v3") as answer:
            assert "apis/example.org/v1" not in (await answer.json())["paths"]


async def test_an_unchanged_document_is_not_sent_again(api: Any) -> None:
    async with api.session() as session:
        async with session.get("/openapi/v3/apis/apps/v1") as answer:
            tag = answer.headers["ETag"]
        async with session.get(
            "/openapi/v3/apis/apps/v1", headers={"If-None-Match": tag}
        ) as answer:
            assert answer.status == 304


async def test_openapi_v2_has_all_kinds_in_one_document(api: Any) -> None:
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
    ("validation", "status", "warned"),
    [("Strict", 400, False), ("Warn", 201, True), ("Ignore", 201, False), (None, 201, True)],
)
async def test_unknown_fields_of_built_in_kinds(
    api: Any, validation: str | None, status: int, warned: bool
) -> None:
    body = pod("one")
    body["spec"]["containers"][0]["imagee"] = "x"
    query = {} if validation is None else {"fieldValidation": validation}
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
            warnings = answer.headers.getall("Warning", [])
            assert warnings == (
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


async def test_openapi_v2_is_not_served_as_protobuf(api: Any) -> None:
    protobuf = {"Accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
    async with api.session() as session, session.get("/openapi/v2", headers=protobuf) as answer:
        assert answer.status == 406


def test_kubectl_explains_fields_and_rejects_unknown_ones(kubectl: Any) -> None:
    manifest = (
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dataa": {"a": "b"}}'
    )
    gadget = (
        '{"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "x"}, '
        '"spec": {"size": 1, "sise": 2}}'
    )

    for validation, unknown in ((manifest, "dataa"), (gadget, "sise")):
        refused = kubectl(
            "apply",
            "-f",
            "-",
            "--validate=strict",
            stdin=validation,
            check=False,
        )
        assert refused.returncode != 0
        assert (
            f'unknown field "{unknown}"' in refused.stderr
            or f'unknown field "spec.{unknown}"' in refused.stderr
        )
    assert "containerPort" in kubectl("explain", "pod.spec.containers.ports").stdout
    assert "anything" in kubectl("explain", "widgets.spec").stdout
