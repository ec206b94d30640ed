"""Operations on objects, with our own client and TLS."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import pytest
from api_objects import WIDGETS, pod, widget, widget_definition

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube import catalog, errors
from jupyter_workspaces.kube.catalog import Resource


async def test_a_created_object_has_the_fields_of_the_server(api: Any) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(WIDGETS, widget("a"), "default")

        metadata = created["metadata"]
        assert metadata["namespace"] == "default"
        assert metadata["generation"] == 1
        assert metadata["uid"]
        assert metadata["creationTimestamp"].endswith("Z")
        assert created["spec"] == {"size": 3, "color": "red", "paused": False}
        assert created == await cluster.get(WIDGETS, "a", "default")


@pytest.mark.parametrize("field", ["labels", "annotations"])
async def test_null_values_in_metadata_are_empty_texts(api: Any, field: str) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(
            WIDGETS,
            widget("a") | {"metadata": {"name": "a", field: {"x": None, "y": "z"}}},
            "default",
        )
        assert created["metadata"][field] == {"x": "", "y": "z"}
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "m", field: {"x": None}},
        }
        assert (await cluster.create(catalog.CONFIG_MAPS, config_map, "default"))["metadata"][
            field
        ] == {"x": ""}

        patched = await cluster.patch(
            WIDGETS,
            "a",
            [{"op": "add", "path": f"/metadata/{field}", "value": {"j": None}}],
            "default",
        )
        assert patched["metadata"][field] == {"j": ""}
        with pytest.raises(errors.BadRequest, match=f"metadata.{field} must be an object of texts"):
            await cluster.create(
                WIDGETS, widget("b") | {"metadata": {"name": "b", field: {"x": 1}}}, "default"
            )


async def test_a_null_finalizer_is_a_bad_name(api: Any) -> None:
    async with api.cluster() as cluster:
        with pytest.raises(errors.Invalid, match=r"metadata\.finalizers"):
            await cluster.create(
                WIDGETS, widget("a") | {"metadata": {"name": "a", "finalizers": [None]}}, "default"
            )


async def test_a_service_keeps_its_cluster_ip(api: Any) -> None:
    async with api.cluster() as cluster:
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "front"},
            "spec": {"ports": [{"port": 80, "targetPort": "web"}]},
        }
        made = await cluster.create(catalog.SERVICES, body, "default")
        address = made["spec"]["clusterIP"]
        assert ipaddress.ip_address(address) in ipaddress.ip_network(
            "127.128.0.0/9"
        )  # nothing that is sent there leaves the machine
        assert made["spec"]["clusterIPs"] == [address]

        again = await cluster.replace(
            catalog.SERVICES, body | {"metadata": {"name": "front", "namespace": "default"}}
        )
        assert again["spec"]["clusterIP"] == address
        headless = body | {
            "metadata": {"name": "headless"},
            "spec": body["spec"] | {"clusterIP": "None"},
        }
        assert (await cluster.create(catalog.SERVICES, headless, "default"))["spec"][
            "clusterIPs"
        ] == ["None"]


async def test_a_name_can_be_used_once(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("a"), "default")

        with pytest.raises(errors.AlreadyExists, match=r'widgets.example.org "a" already exists'):
            await cluster.create(WIDGETS, widget("a"), "default")
        await cluster.create(WIDGETS, widget("a"), "other")


async def test_generated_names_differ(api: Any) -> None:
    async with api.cluster() as cluster:
        body = widget("") | {"metadata": {"generateName": "box-"}}
        names = {
            (await cluster.create(WIDGETS, body, "default"))["metadata"]["name"] for _ in range(20)
        }

        assert len(names) == 20
        assert all(name.startswith("box-") and len(name) == 9 for name in names)


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a_b", "a..b", "x" * 254, "a/b"])
async def test_a_name_that_is_not_a_dns_name_is_rejected(api: Any, name: str) -> None:
    async with api.cluster() as cluster:
        with pytest.raises(errors.Invalid) as refused:
            await cluster.create(WIDGETS, widget(name), "default")

        assert refused.value.causes[0].field == "metadata.name"


async def test_all_errors_of_an_object_are_reported_together(api: Any) -> None:
    async with api.cluster() as cluster:
        with pytest.raises(errors.Invalid) as refused:
            await cluster.create(WIDGETS, widget("a", size=0, color="blue", note=5), "default")

        fields = {cause.field: cause.reason for cause in refused.value.causes}
        assert fields["spec.size"] == "FieldValueInvalid"
        assert fields["spec.color"] == "FieldValueNotSupported"
        assert fields["spec.note"] == "FieldValueTypeInvalid"


async def test_unknown_fields_are_dropped_unless_preserved(api: Any) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(
            WIDGETS, widget("a", surprise=1, anything={"kept": {"deep": True}}), "default"
        )

        assert "surprise" not in created["spec"]
        assert created["spec"]["anything"] == {"kept": {"deep": True}}


async def test_an_update_of_an_old_version_conflicts(api: Any) -> None:
    async with api.cluster() as cluster:
        first = await cluster.create(WIDGETS, widget("a"), "default")
        second = await cluster.replace(WIDGETS, first | {"spec": {"size": 4}})

        assert second["metadata"]["generation"] == 2
        with pytest.raises(errors.Conflict, match="the object has been modified"):
            await cluster.replace(WIDGETS, first | {"spec": {"size": 5}})


async def test_a_write_that_changes_nothing_keeps_the_version(api: Any) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(WIDGETS, widget("a"), "default")

        assert await cluster.replace(WIDGETS, created) == created
        assert await cluster.patch(WIDGETS, "a", {"spec": {"size": 3}}, "default") == created


async def test_only_a_change_of_the_spec_increments_the_generation(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("a"), "default")

        labelled = await cluster.patch(
            WIDGETS, "a", {"metadata": {"labels": {"x": "y"}}}, "default"
        )
        assert labelled["metadata"]["generation"] == 1
        changed = await cluster.patch(WIDGETS, "a", {"spec": {"size": 9}}, "default")
        assert changed["metadata"]["generation"] == 2


async def test_status_and_spec_are_written_separately(api: Any) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(
            WIDGETS, widget("a") | {"status": {"state": "Running"}}, "default"
        )
        assert "status" not in created

        result = await cluster.patch(
            WIDGETS,
            "a",
            {"status": {"state": "Running"}, "spec": {"size": 99}},
            "default",
            subresource="status",
        )
        assert result["status"] == {"state": "Running"}
        assert result["spec"]["size"] == 3
        assert result["metadata"]["generation"] == 1

        changed = await cluster.patch(
            WIDGETS, "a", {"status": {"state": "Gone"}, "spec": {"size": 4}}, "default"
        )
        assert changed["status"] == {"state": "Running"}
        assert changed["spec"]["size"] == 4


async def test_a_dry_run_stores_nothing(api: Any) -> None:
    async with api.cluster() as cluster:
        tried = await cluster.create(WIDGETS, widget("a"), "default", dry_run=True)
        assert tried["spec"]["color"] == "red"
        with pytest.raises(errors.NotFound):
            await cluster.get(WIDGETS, "a", "default")

        await cluster.create(WIDGETS, widget("a"), "default")
        await cluster.patch(WIDGETS, "a", {"spec": {"size": 9}}, "default", dry_run=True)
        assert (await cluster.get(WIDGETS, "a", "default"))["spec"]["size"] == 3


async def test_json_patches_test_and_change(api: Any) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(WIDGETS, widget("a"), "default")
        version = created["metadata"]["resourceVersion"]

        changed = await cluster.patch(
            WIDGETS,
            "a",
            [
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "replace", "path": "/spec/size", "value": 7},
            ],
            "default",
        )
        assert changed["spec"]["size"] == 7
        with pytest.raises(errors.Invalid):
            await cluster.patch(
                WIDGETS,
                "a",
                [{"op": "test", "path": "/metadata/resourceVersion", "value": version}],
                "default",
            )


async def test_a_finalizer_keeps_an_object_until_it_is_removed(api: Any) -> None:
    async with api.cluster() as cluster:
        body = widget("a")
        body["metadata"]["finalizers"] = ["example.org/wait"]
        created = await cluster.create(WIDGETS, body, "default")

        ending = await cluster.delete(WIDGETS, "a", "default")
        assert ending["metadata"]["deletionTimestamp"]
        assert ending["metadata"]["uid"] == created["metadata"]["uid"]
        with pytest.raises(errors.Invalid):
            await cluster.patch(
                WIDGETS,
                "a",
                {"metadata": {"finalizers": ["example.org/wait", "example.org/late"]}},
                "default",
            )

        await cluster.patch(WIDGETS, "a", {"metadata": {"finalizers": None}}, "default")
        with pytest.raises(errors.NotFound):
            await cluster.get(WIDGETS, "a", "default")


async def test_removing_the_last_finalizer_deletes_the_object_with_one_event(api: Any) -> None:
    async with api.cluster() as cluster:
        body = widget("a")
        body["metadata"]["finalizers"] = ["example.org/wait"]
        await cluster.create(WIDGETS, body, "default")
        ending = await cluster.delete(WIDGETS, "a", "default")
        await cluster.patch(WIDGETS, "a", {"metadata": {"finalizers": []}}, "default")

        result = [
            event.type
            async for event in cluster.watch(
                WIDGETS,
                "default",
                resource_version=ending["metadata"]["resourceVersion"],
                seconds=1,
            )
            if event.type != "BOOKMARK"
        ]
        assert result == ["DELETED"]


async def test_preconditions_of_a_deletion_must_hold(api: Any) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(WIDGETS, widget("a"), "default")

        with pytest.raises(errors.Conflict):
            await cluster.delete(WIDGETS, "a", "default", uid="another")
        with pytest.raises(errors.Conflict):
            await cluster.delete(WIDGETS, "a", "default", resource_version="1")
        await cluster.delete(WIDGETS, "a", "default", uid=created["metadata"]["uid"])


@pytest.mark.parametrize(
    ("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")]
)
async def test_the_propagation_policy_becomes_a_finalizer(
    api: Any, policy: str, finalizer: str
) -> None:
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("a"), "default")

        ending = await cluster.delete(WIDGETS, "a", "default", propagation=policy)
        assert ending["metadata"]["finalizers"] == [finalizer]
        assert ending["metadata"]["deletionTimestamp"]


async def test_a_pod_on_a_node_waits_for_the_node(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(catalog.PODS, pod("a", nodeName="local"), "default")

        ending = await cluster.delete(catalog.PODS, "a", "default")
        assert ending["metadata"]["deletionGracePeriodSeconds"] == 30
        assert (await cluster.get(catalog.PODS, "a", "default"))["metadata"]["deletionTimestamp"]
        await cluster.delete(catalog.PODS, "a", "default", grace_seconds=0)
        with pytest.raises(errors.NotFound):
            await cluster.get(catalog.PODS, "a", "default")


async def test_a_pod_without_a_node_is_deleted_at_once(api: Any) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(catalog.PODS, pod("a"), "default")

        assert created["status"]["phase"] == "Pending"
        gone = await cluster.delete(catalog.PODS, "a", "default")
        assert gone["kind"] == "Pod"
        with pytest.raises(errors.NotFound):
            await cluster.get(catalog.PODS, "a", "default")


async def test_a_namespace_must_exist_and_not_be_terminating(api: Any) -> None:
    async with api.cluster() as cluster:
        with pytest.raises(errors.NotFound, match='namespaces "nowhere" not found'):
            await cluster.create(WIDGETS, widget("a"), "nowhere")

        ending = await cluster.delete(catalog.NAMESPACES, "other")
        assert ending["status"]["phase"] == "Terminating"
        with pytest.raises(errors.Forbidden, match="because it is being terminated"):
            await cluster.create(WIDGETS, widget("a"), "other")

        await cluster.replace(
            catalog.NAMESPACES, ending | {"spec": {"finalizers": []}}, subresource="finalize"
        )
        with pytest.raises(errors.NotFound):
            await cluster.get(catalog.NAMESPACES, "other")


async def test_the_default_namespace_cannot_be_deleted(api: Any) -> None:
    async with api.cluster() as cluster:
        with pytest.raises(errors.Forbidden, match="this namespace may not be deleted"):
            await cluster.delete(catalog.NAMESPACES, "default")


async def test_string_data_of_a_secret_is_stored_as_data(api: Any) -> None:
    async with api.cluster() as cluster:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "a"},
            "stringData": {"token": "ä"},
            "data": {"other": "eA=="},
        }
        created = await cluster.create(catalog.SECRETS, body, "default")

        assert created["data"] == {"token": "w6Q=", "other": "eA=="}
        assert created["type"] == "Opaque"
        assert "stringData" not in created


async def test_a_collection_is_deleted_by_selector(api: Any) -> None:
    async with api.cluster() as cluster:
        for number in range(4):
            body = widget(f"a{number}")
            body["metadata"]["labels"] = {"even": str(number % 2 == 0).lower()}
            await cluster.create(WIDGETS, body, "default")

        await cluster.raw("DELETE", WIDGETS.path("default"), query={"labelSelector": "even=true"})
        assert [item["metadata"]["name"] for item in (await cluster.list(WIDGETS)).items] == [
            "a1",
            "a3",
        ]


async def test_concurrent_writes_to_one_object_lose_nothing(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(
            catalog.CONFIG_MAPS, {"metadata": {"name": "count"}, "data": {"n": "0"}}, "default"
        )

        async def add() -> None:
            while True:
                held = await cluster.get(catalog.CONFIG_MAPS, "count", "default")
                held["data"]["n"] = str(int(held["data"]["n"]) + 1)
                try:
                    await cluster.replace(catalog.CONFIG_MAPS, held)
                    return
                except errors.Conflict:
                    continue

        async with timeout(20):
            await asyncio.gather(*(add() for _ in range(20)))
        assert (await cluster.get(catalog.CONFIG_MAPS, "count", "default"))["data"]["n"] == "20"


async def test_a_definition_adds_a_kind_and_its_deletion_removes_it(api: Any) -> None:
    async with api.cluster() as cluster:
        definition = await cluster.get(catalog.CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
        conditions = {
            found["type"]: found["status"] for found in definition["status"]["conditions"]
        }
        assert conditions == {"NamesAccepted": "True", "Established": "True"}
        await cluster.create(WIDGETS, widget("a"), "default")

        await cluster.delete(catalog.CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
        with pytest.raises(errors.NotFound):
            await cluster.list(WIDGETS)


async def test_a_definition_can_change_its_schema(api: Any) -> None:
    async with api.cluster() as cluster:
        definition = await cluster.get(catalog.CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["properties"]["weight"] = {"type": "integer", "default": 5}
        await cluster.replace(catalog.CUSTOM_RESOURCE_DEFINITIONS, definition)

        assert (await cluster.create(WIDGETS, widget("a"), "default"))["spec"]["weight"] == 5


async def test_fields_that_a_newer_definition_lacks_are_removed(api: Any) -> None:
    newer = widget_definition()
    schema = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del schema["properties"]["color"]

    async def install() -> Any:
        return api.server.apply_manifest(newer)

    installed = api.call(install())
    assert installed["metadata"]["generation"] == 2
    async with api.cluster() as cluster:
        assert "color" not in (await cluster.create(WIDGETS, widget("a"), "default"))["spec"]


async def test_an_incomplete_definition_is_rejected(api: Any) -> None:
    async with api.cluster() as cluster:
        wrong = widget_definition()
        wrong["metadata"]["name"] = "gadgets.example.org"
        wrong["spec"]["versions"][0]["additionalPrinterColumns"][0]["jsonPath"] = (
            ".spec[?(@.x=~/y/)]"
        )
        wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
            "properties"
        ]["note"]["pattern"] = "("
        with pytest.raises(errors.Invalid) as refused:
            await cluster.create(catalog.CUSTOM_RESOURCE_DEFINITIONS, wrong)

        fields = {cause.field.rpartition(".")[2] for cause in refused.value.causes}
        assert fields == {"name", "jsonPath", "pattern"}


async def test_a_definition_cannot_replace_a_built_in_kind(api: Any) -> None:
    async with api.cluster() as cluster:
        taking = widget_definition()
        taking["metadata"] = {"name": "storageclasses.storage.k8s.io"}
        taking["spec"] |= {
            "group": "storage.k8s.io",
            "names": {"plural": "storageclasses", "kind": "Widget"},
        }
        with pytest.raises(errors.Invalid, match="protected groups must have approval"):
            await cluster.create(catalog.CUSTOM_RESOURCE_DEFINITIONS, taking)

        taking["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved"}
        with pytest.raises(errors.Invalid, match="is the name of a built-in kind"):
            await cluster.create(catalog.CUSTOM_RESOURCE_DEFINITIONS, taking)


async def test_an_object_is_served_in_each_version_of_its_definition(api: Any) -> None:
    newer = Resource("example.org", "v2", "widgets", "Widget")
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("a"), "default")
        definition = await cluster.get(catalog.CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
        (version,) = definition["spec"]["versions"]
        definition["spec"]["versions"] = [version | {"name": "v2"}, version | {"storage": False}]
        changed = await cluster.replace(catalog.CUSTOM_RESOURCE_DEFINITIONS, definition)
        assert changed["status"]["storedVersions"] == ["v1", "v2"]

        assert (await cluster.get(newer, "a", "default"))["apiVersion"] == "example.org/v2"
        assert (await cluster.get(WIDGETS, "a", "default"))["apiVersion"] == "example.org/v1"
        patched = await cluster.patch(newer, "a", {"spec": {"size": 5}}, "default")
        assert patched["apiVersion"] == "example.org/v2"
        assert patched == await cluster.replace(newer, patched)
        found = (await cluster.raw("GET", WIDGETS.path("default")))["items"]
        assert [(item["apiVersion"], item["spec"]["size"]) for item in found] == [
            ("example.org/v1", 5)
        ]
