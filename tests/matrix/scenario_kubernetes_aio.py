"""Steps with the asyncio client of the official package."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from kubernetes.aio import client as k8s  # type: ignore[attr-defined]
from kubernetes.aio import config, dynamic, watch
from kubernetes.aio.stream import WsApiClient
from scenario_steps import (
    GROUP,
    PLURAL,
    VERSION,
    Scenario,
    Target,
    config_map,
    equal,
    owned,
    stateful_set,
    ticks,
    true,
    until_async,
    workspace,
)

SCENARIO = Scenario()
step = SCENARIO.step
HERE = Target.given()
NAMESPACE = HERE.namespace
CUSTOM = (GROUP, VERSION, NAMESPACE, PLURAL)


async def refusal(status: int, reason: str, call: Any) -> dict[str, Any]:
    """Return the Status of the error that the server responds with."""
    try:
        await call
    except k8s.ApiException as error:
        body: dict[str, Any] = json.loads(error.body)
        equal((error.status, body["kind"], body["reason"]), (status, "Status", reason))
        return body
    raise AssertionError(f"{status} {reason} was expected, and it was done")


@step("namespace")
async def namespace(core: Any) -> None:
    await core.create_namespace(k8s.V1Namespace(metadata=k8s.V1ObjectMeta(name=NAMESPACE)))

    async def account() -> bool:
        return any(
            one.metadata.name == "default"
            for one in (await core.list_namespaced_service_account(NAMESPACE)).items
        )

    await until_async(account, "the account")


@step("create, get")
async def create(core: Any) -> None:
    made = await core.create_namespaced_config_map(
        NAMESPACE, k8s.V1ConfigMap(metadata=k8s.V1ObjectMeta(name="made"), data={"k": "v"})
    )
    true(made.metadata.uid, "no uid")
    equal((await core.read_namespaced_config_map("made", NAMESPACE)).data, {"k": "v"})


@step("selectors")
async def selectors(core: Any) -> None:
    for name, team in (("s1", "a"), ("s2", "b")):
        await core.create_namespaced_config_map(NAMESPACE, config_map(name, {"team": team}))
    for options, wanted in (
        ({"label_selector": "team!=a,team"}, ["s2"]),
        ({"field_selector": "metadata.name=s1"}, ["s1"]),
    ):
        equal(
            [
                one.metadata.name
                for one in (await core.list_namespaced_config_map(NAMESPACE, **options)).items
            ],
            wanted,
        )


@step("pages")
async def pages(core: Any) -> None:
    found, token = [], None
    for number in range(3):
        await core.create_namespaced_config_map(
            NAMESPACE, config_map(f"page-{number}", {"paged": "yes"})
        )
    while True:
        page = await core.list_namespaced_config_map(
            NAMESPACE, label_selector="paged=yes", limit=2, _continue=token
        )
        found += [one.metadata.name for one in page.items]
        if not (token := page.metadata._continue):
            break
    equal(found, ["page-0", "page-1", "page-2"])


@step("watch, resume")
async def watching(core: Any) -> None:
    version = (await core.list_namespaced_config_map(NAMESPACE)).metadata.resource_version

    async def write() -> None:
        for name in "abc":
            await core.create_namespaced_config_map(NAMESPACE, config_map(f"watched-{name}"))

    async def seen(count: int, since: str) -> list[tuple[str, str, str]]:
        told: list[tuple[str, str, str]] = []
        async with watch.Watch().stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version=since, timeout_seconds=20
        ) as events:
            async for event in events:
                metadata = event["object"].metadata
                told.append((event["type"], metadata.name, metadata.resource_version))
                if len(told) == count:
                    break
        return told

    first, _ = await asyncio.gather(seen(2, version), write())
    equal([one[:2] for one in first], [("ADDED", "watched-a"), ("ADDED", "watched-b")])
    await core.delete_namespaced_config_map("watched-a", NAMESPACE)
    equal(
        [one[:2] for one in await seen(2, first[-1][2])],
        [("ADDED", "watched-c"), ("DELETED", "watched-a")],
    )


@step("patches")
async def patches(core: Any) -> None:
    apps = k8s.AppsV1Api(core.api_client)
    await apps.create_namespaced_stateful_set(NAMESPACE, stateful_set("patched"))
    container = {"name": "main", "env": [{"name": "B", "value": "2"}]}
    strategic = {"spec": {"template": {"spec": {"containers": [container]}}}}
    changed = await apps.patch_namespaced_stateful_set(
        "patched", NAMESPACE, strategic, _content_type="application/strategic-merge-patch+json"
    )
    equal([env.name for env in changed.spec.template.spec.containers[0].env], ["B", "A"])
    await core.create_namespaced_config_map(NAMESPACE, config_map("patched", k="v", other="o"))
    operations = [{"op": "replace", "path": "/data/k", "value": "w"}]
    as_json = await core.patch_namespaced_config_map(
        "patched", NAMESPACE, operations, _content_type="application/json-patch+json"
    )
    equal(as_json.data, {"k": "w", "other": "o"})
    merge = {"data": {"other": None}}
    merged = await core.patch_namespaced_config_map(
        "patched", NAMESPACE, merge, _content_type="application/merge-patch+json"
    )
    equal(merged.data, {"k": "w"})


@step("apply")
async def apply(core: Any) -> None:
    async def applied(manager: str, **data: str) -> Any:
        options = {"field_manager": manager, "_content_type": "application/apply-patch+yaml"}
        return await core.patch_namespaced_config_map(
            "applied", NAMESPACE, config_map("applied", **data), **options
        )

    equal((await applied("one", a="1", b="2")).data, {"a": "1", "b": "2"})
    equal((await applied("one", a="1")).data, {"a": "1"})
    await refusal(409, "Conflict", applied("two", a="2"))


@step("conflict")
async def conflict(core: Any) -> None:
    made = await core.create_namespaced_config_map(NAMESPACE, config_map("contested"))
    merge = {"data": {"k": "w"}}
    await core.patch_namespaced_config_map(
        "contested", NAMESPACE, merge, _content_type="application/merge-patch+json"
    )
    await refusal(409, "Conflict", core.replace_namespaced_config_map("contested", NAMESPACE, made))


@step("propagation")
async def propagation(core: Any) -> None:
    for policy in ("Background", "Foreground", "Orphan"):
        name = policy.lower()
        owner = await core.create_namespaced_config_map(NAMESPACE, config_map(name))
        await core.create_namespaced_config_map(
            NAMESPACE, owned(config_map(f"{name}-child"), name, owner.metadata.uid)
        )
        await core.delete_namespaced_config_map(name, NAMESPACE, propagation_policy=policy)

        async def ended(name: str = name, policy: str = policy) -> bool:
            left = {
                one.metadata.name
                for one in (await core.list_namespaced_config_map(NAMESPACE)).items
            }
            return name not in left and (f"{name}-child" in left) == (policy == "Orphan")

        await until_async(ended, f"the end of {name}")


@step("custom objects")
async def custom_objects(core: Any) -> None:
    custom = k8s.CustomObjectsApi(core.api_client)
    made = await custom.create_namespaced_custom_object(*CUSTOM, workspace("desk"))
    merge = {"spec": {"displayName": "My desk"}}
    changed = await custom.patch_namespaced_custom_object(
        *CUSTOM, "desk", merge, _content_type="application/merge-patch+json"
    )
    equal(changed["metadata"]["generation"], made["metadata"]["generation"] + 1)
    await refusal(409, "Conflict", custom.replace_namespaced_custom_object(*CUSTOM, "desk", made))
    await refusal(
        422,
        "Invalid",
        custom.create_namespaced_custom_object(*CUSTOM, workspace("invalid", displayName="")),
    )
    await custom.delete_namespaced_custom_object(*CUSTOM, "desk")


@step("errors")
async def errors(core: Any) -> None:
    await refusal(404, "NotFound", core.read_namespaced_config_map("nobody", NAMESPACE))
    await refusal(
        422, "Invalid", core.create_namespaced_config_map(NAMESPACE, config_map("Not A Name"))
    )


@step("dynamic")
async def dynamic_client(core: Any) -> None:
    async with dynamic.DynamicClient(core.api_client) as found:
        kind = await found.resources.get(api_version=f"{GROUP}/{VERSION}", kind="Workspace")
        await kind.create(body=workspace("dynamic"), namespace=NAMESPACE)
        equal((await kind.get(name="dynamic", namespace=NAMESPACE)).spec.kind, "jupyterlab")
        await kind.delete(name="dynamic", namespace=NAMESPACE)


@step("pod, logs")
async def logs(core: Any) -> None:
    await core.create_namespaced_pod(NAMESPACE, HERE.pod)

    async def running() -> bool:
        found = (await core.read_namespaced_pod(HERE.pod_name, NAMESPACE)).status.phase == "Running"
        return found and "ready" in await core.read_namespaced_pod_log(HERE.pod_name, NAMESPACE)

    await until_async(running, "a running pod and its first words")


@step("logs, following")
async def logs_following(core: Any) -> None:
    now = ticks((await core.read_namespaced_pod_log(HERE.pod_name, NAMESPACE)).splitlines())
    async with watch.Watch().stream(
        core.read_namespaced_pod_log, HERE.pod_name, NAMESPACE
    ) as lines:
        async for line in lines:
            if ticks([line]) > now + 3:
                return
    raise AssertionError("the log ended")


@step("exec")
async def execute(core: Any) -> None:
    async with WsApiClient(configuration=core.api_client.configuration) as sockets:
        call = k8s.CoreV1Api(sockets).connect_get_namespaced_pod_exec
        options = {
            "container": "main",
            "stdout": True,
            "stderr": True,
            "stdin": False,
            "tty": False,
        }
        equal(await call(HERE.pod_name, NAMESPACE, command=["echo", "hello"], **options), "hello\n")


async def main() -> int:
    settings = k8s.Configuration()
    await config.load_kube_config(config_file=HERE.kubeconfig, client_configuration=settings)
    async with k8s.ApiClient(settings) as given:
        return await SCENARIO.run_async(k8s.CoreV1Api(given))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
