"""Kinds and workspaces that change while workspaces run, pause and wait."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from played_cluster import Play, PlayedCluster

from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)
from jupyter_workspaces.kube.errors import AlreadyExists, Conflict, NotFound
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

PREFIX = {"name": "NB_PREFIX", "value": '{{ httpPathPrefix "jupyterlab" }}'}


def variables(pod: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize(("defer", "moves"), [(False, True), (True, False), (None, False)])
async def test_only_an_explicit_false_applies_redirects_while_paused(
    play: Play, defer: bool | None, moves: bool
) -> None:
    async with play() as played:
        said = {} if defer is None else {"deferUpdates": defer}
        await played.make(image="jupyterlab_scipy_180", paused=True, **said)
        status = await played.state("Paused")
        options = (await played.workspace())["spec"]["podTemplate"]["options"]
        if moves:
            assert options["imageConfig"] == "jupyterlab_scipy_190"
            assert status["podTemplateOptions"]["imageConfig"] == {}
            assert not status["pendingRestart"]
        else:
            step = {"source": "jupyterlab_scipy_180", "target": "jupyterlab_scipy_190"}
            assert options["imageConfig"] == "jupyterlab_scipy_180"
            assert status["podTemplateOptions"]["imageConfig"] == {
                "desired": "jupyterlab_scipy_190",
                "redirectChain": [step],
            }
            assert status["pendingRestart"]


async def test_a_running_workspace_is_redirected_only_when_it_is_paused(play: Play) -> None:
    async with play() as played:
        await played.make(image="jupyterlab_scipy_180", deferUpdates=False)
        pod = await played.run_pod()
        assert pod["spec"]["containers"][0]["image"].endswith(":v1.8.0")
        assert (await played.state("Running"))["pendingRestart"]
        await played.change("dora", {"paused": True})
        await played.end_pods()
        await played.state("Paused")
        await played.change("dora", {"paused": False})
        assert (await played.run_pod())["spec"]["containers"][0]["image"].endswith(":v1.9.0")
        assert not (await played.state("Running"))["pendingRestart"]


async def test_a_changed_kind_waits_for_the_restart_of_running_workspaces(
    play: Play,
) -> None:
    async with play() as played:
        await played.make_kind("lab")
        await played.make(kind="lab")
        uid = (await played.run_pod())["metadata"]["uid"]
        await played.state("Running")
        await played.change_kind("lab", extraEnv=[PREFIX, {"name": "NEW", "value": "yes"}])

        async def pending() -> bool:
            return bool((await played.status())["pendingRestart"])

        await played.until(pending, "a pending restart")
        assert (await played.pod())["metadata"]["uid"] == uid

        await played.change("dora", {"paused": True})
        await played.end_pods()
        await played.state("Paused")
        await played.change("dora", {"paused": False})
        assert variables(await played.run_pod())["NEW"] == "yes"
        assert not (await played.state("Running"))["pendingRestart"]


async def test_a_fixed_kind_starts_a_workspace_that_could_not_start(play: Play) -> None:
    async with play() as played:
        await played.make_kind("lab", extraEnv=[PREFIX, {"name": "MODE", "value": "wrong"}])
        await played.make(kind="lab")
        pod = await played.pod()
        waits = {"waiting": {"reason": "CrashLoopBackOff"}}
        ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
        main = {
            "name": "main",
            "ready": False,
            "restartCount": 4,
            "image": "i",
            "imageID": "",
            "state": waits,
            "lastState": ended,
        }
        await played.say(pod, phase="Running", containerStatuses=[main])
        await played.state("Error", message="exit code 3")
        await played.change_kind("lab", extraEnv=[PREFIX, {"name": "MODE", "value": "right"}])
        await played.end_pods()
        assert variables(await played.run_pod())["MODE"] == "right"
        await played.state("Running")


async def test_changed_texts_of_a_kind_restart_nothing(play: Play) -> None:
    async with play() as played:
        await played.make_kind("lab")
        await played.make(kind="lab")
        await played.run_pod()
        await played.state("Running")
        version = (await played.stateful_set())["metadata"]["resourceVersion"]
        ports = [{"id": "jupyterlab", "protocol": "HTTP", "defaultDisplayName": "My Lab"}]
        await played.change_kind("lab", ports=ports)
        await played.change("dora", {"displayName": "Dora's"})
        await played.make("emil", kind="lab")
        await played.run_pod("emil")
        await played.state("Running", "emil")
        assert not (await played.status())["pendingRestart"]
        held = await played.stateful_set()
        assert int(held["metadata"]["generation"]) == 1
        assert version


async def test_without_its_kind_or_option_a_workspace_can_still_pause(
    play: Play,
) -> None:
    async with play(admission=False) as played:
        await played.make("lost", kind="never-was")
        await played.state("Error", "lost", "never-was")
        kind = await played.make_kind("lab")
        await played.make(kind="lab")
        await played.run_pod()
        await played.state("Running")
        values = kind["spec"]["podTemplate"]["options"]["imageConfig"]["values"][:1]
        redirectless = [{key: value for key, value in values[0].items() if key != "redirect"}]
        await played.change_kind("lab", options={"imageConfig": {"values": redirectless}})
        await played.state("Error", message="no longer offers the image “jupyterlab_scipy_190”")
        await played.change("dora", {"paused": True})
        await played.end_pods()

        async def gone() -> bool:
            return not await played.owned(PODS)

        await played.until(gone, "no pod")
        assert (await played.stateful_set())["spec"]["replicas"] == 0


async def test_role_bindings_follow_the_kind(play: Play) -> None:
    async with play() as played:
        await played.make_kind(
            "lab", serviceAccount={"clusterRoles": [{"name": "view"}, {"name": "edit"}]}
        )
        await played.make(kind="lab")
        await played.run_pod()
        await played.state("Running")

        async def granted() -> set[str]:
            return {binding["roleRef"]["name"] for binding in await played.owned(ROLE_BINDINGS)}

        assert await granted() == {"view", "edit"}
        await played.change_kind("lab", serviceAccount={"clusterRoles": [{"name": "view"}]})

        async def fewer() -> bool:
            return await granted() == {"view"}

        await played.until(fewer, "one right less")
        subject = (await played.owned(ROLE_BINDINGS))[0]["subjects"][0]
        assert subject == {"kind": "ServiceAccount", "name": "ws-dora", "namespace": "default"}


async def test_a_foreign_service_account_is_an_error_until_it_is_deleted(play: Play) -> None:
    async with play() as played:
        foreign = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ws-dora"}}
        await played.cluster.create(SERVICE_ACCOUNTS, foreign, "default")
        await played.make()
        await played.state("Error", message="does not belong to the workspace")
        await played.cluster.delete(SERVICE_ACCOUNTS, "ws-dora", "default")
        await played.change("dora", {"displayName": "again"})
        await played.run_pod()
        await played.state("Running")


async def test_deleted_and_changed_objects_are_repaired(play: Play) -> None:
    async with play() as played:
        await played.make()
        await played.run_pod()
        await played.state("Running")
        service = (await played.owned(SERVICES))[0]
        await played.cluster.patch(
            SERVICES,
            service["metadata"]["name"],
            {"spec": {"ports": [{"name": "x", "port": 1}]}},
            "default",
        )

        async def mended() -> bool:
            return [
                port["port"] for port in (await played.owned(SERVICES))[0]["spec"]["ports"]
            ] == [8888]

        await played.until(mended, "the Service's ports")
        await played.cluster.delete(SERVICES, service["metadata"]["name"], "default")
        await played.cluster.delete(SERVICE_ACCOUNTS, "ws-dora", "default")

        async def there() -> bool:
            return bool(await played.owned(SERVICES) and await played.owned(SERVICE_ACCOUNTS))

        await played.until(there, "a new Service and ServiceAccount")


async def test_external_addresses_are_removed_from_a_service(play: Play) -> None:
    async with play() as played:
        await played.make()
        await played.run_pod()
        await played.state("Running")
        (held,) = await played.owned(SERVICES)
        held["spec"]["externalIPs"] = ["192.0.2.1"]
        await played.cluster.replace(SERVICES, held)

        async def led_back() -> bool:
            (found,) = await played.owned(SERVICES)
            return "externalIPs" not in found["spec"]

        await played.until(led_back, "the Service to be as it was")


async def test_an_owner_in_another_namespace_is_not_an_owner(
    play: Play,
) -> None:
    async with play() as played:
        made = await played.make()
        await played.run_pod()
        await played.state("Running")
        (genuine,) = await played.owned(SERVICES)
        forged = {key: genuine[key] for key in ("apiVersion", "kind")}
        forged["metadata"] = {
            "name": "forged",
            **{key: genuine["metadata"][key] for key in ("labels", "ownerReferences")},
        }
        forged["spec"] = {"ports": [{"port": 80}]}
        assert forged["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        with contextlib.suppress(AlreadyExists):
            await played.cluster.create(
                NAMESPACES,
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}},
            )
        await played.cluster.create(SERVICES, forged, "team-a")
        await played.change("dora", {"paused": True})
        await played.end_pods()

        await played.state("Paused")  # it would be stuck with more than one Service
        await played.cluster.delete(SERVICES, genuine["metadata"]["name"], "default")
        await played.change("dora", {"paused": False})

        async def made_again() -> bool:
            return len(await played.owned(SERVICES)) == 1

        await played.until(made_again, "a Service of its own")
        await played.run_pod()
        await played.state("Running")


async def test_a_deleted_token_is_replaced_and_its_pod_restarted(
    play: Play,
) -> None:
    async with play() as played:
        await played.make()
        pod = await played.run_pod()
        await played.state("Running")
        secret = (await played.owned(SECRETS))[0]["metadata"]["name"]
        assert pod["metadata"]["annotations"][metadata_keys.TOKEN_SECRET] == secret
        await played.cluster.delete(SECRETS, secret, "default")
        await played.end_pods()
        again = await played.run_pod()
        new = (await played.owned(SECRETS))[0]["metadata"]["name"]
        assert new != secret
        assert again["metadata"]["annotations"][metadata_keys.TOKEN_SECRET] == new


async def test_a_new_workspace_waits_for_the_objects_of_an_earlier_one(play: Play) -> None:
    async with play() as played:
        await played.make()
        await played.run_pod()
        await played.state("Running")
        await played.cluster.delete(WORKSPACES, "dora", "default")
        await played.make()
        await played.end_pods()
        await played.run_pod()
        await played.state("Running")
        owners = {
            secret["metadata"]["ownerReferences"][0]["uid"]
            for secret in await played.owned(STATEFUL_SETS)
        }
        assert (await played.workspace())["metadata"]["uid"] in owners


async def test_a_deleted_workspace_with_a_finalizer_is_terminating(play: Play) -> None:
    async with play() as played:
        await played.make(paused=True)
        await played.state("Paused")
        await played.cluster.patch(
            WORKSPACES, "dora", {"metadata": {"finalizers": ["example.com/wait"]}}, "default"
        )
        await played.cluster.delete(WORKSPACES, "dora", "default")
        await played.state("Terminating", message="deleted")
        await played.cluster.patch(WORKSPACES, "dora", {"metadata": {"finalizers": []}}, "default")


async def counted(played: PlayedCluster, kind: str, wanted: int) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        held = await played.cluster.get(WORKSPACE_KINDS, kind)
        return held if (held.get("status") or {}).get("workspaces") == wanted else None

    return await played.until(found, f"{wanted} workspaces of {kind}")


async def test_kinds_count_their_workspaces_and_are_protected_by_them(play: Play) -> None:
    async with play() as played:
        await played.make_kind("lab")
        await played.make("one", kind="lab", paused=True)
        await played.make("two", kind="lab", image="jupyterlab_scipy_180", paused=True)
        held = await counted(played, "lab", 2)
        images = {
            option["id"]: option["workspaces"]
            for option in held["status"]["podTemplateOptions"]["imageConfig"]
        }
        assert images == {"jupyterlab_scipy_180": 1, "jupyterlab_scipy_190": 1}

        async def protected() -> bool:
            return metadata_keys.KIND_PROTECTION in (
                (await played.cluster.get(WORKSPACE_KINDS, "lab"))["metadata"].get("finalizers")
                or ()
            )

        await played.until(protected, "the finalizer")
        if played.admission:
            with pytest.raises(Conflict, match="default/one"):
                await played.cluster.delete(WORKSPACE_KINDS, "lab")
        await played.cluster.delete(WORKSPACES, "one", "default")
        await played.cluster.delete(WORKSPACES, "two", "default")
        await counted(played, "lab", 0)
        await played.cluster.delete(WORKSPACE_KINDS, "lab")

        async def gone() -> bool:
            try:
                await played.cluster.get(WORKSPACE_KINDS, "lab")
            except NotFound:
                return True
            return False

        await played.until(gone, "the end of the kind")


async def test_pictures_have_a_hash_or_an_error(play: Play) -> None:
    async with play() as played:
        reference = {
            "name": "later",
            "namespace": "default",
            "key": "i.svg",
            "mediaType": "image/svg+xml",
        }
        kind = await played.make_kind("lab")
        spawner = {
            "icon": {"configMap": reference},
            "logo": {"configMap": reference | {"key": "l.svg"}},
        }
        await played.cluster.patch(
            WORKSPACE_KINDS, kind["metadata"]["name"], {"spec": {"spawner": spawner}}
        )

        async def told(which: str, wanted: str) -> None:
            async def found() -> bool:
                status = (await played.cluster.get(WORKSPACE_KINDS, "lab")).get("status") or {}
                shown = status.get(which) or {}
                return bool(
                    shown.get("sha256")
                    if wanted == "sha256"
                    else (shown.get("configMap") or {}).get("errorType") == wanted
                )

            await played.until(found, f"{which} {wanted}")

        await told("spawnerIcon", "NotFound")
        metadata = {"name": "later", "labels": {metadata_keys.IMAGE_SOURCE: "true"}}
        made = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"i.svg": "<svg/>"},
        }
        await played.cluster.create(CONFIG_MAPS, made, "default")
        await told("spawnerIcon", "sha256")
        await told("spawnerLogo", "KeyNotFound")
        await played.cluster.patch(
            CONFIG_MAPS, "later", {"binaryData": {"l.svg": "PHN2Zy8+"}}, "default"
        )
        await told("spawnerLogo", "sha256")
