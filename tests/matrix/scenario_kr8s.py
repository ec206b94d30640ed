"""Steps with kr8s: objects that know their API, with asyncio and synchronous."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import kr8s
from kr8s import objects
from kr8s.asyncio import objects as aio
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
Workspace = aio.new_class("Workspace", version=f"{GROUP}/{VERSION}", namespaced=True, plural=PLURAL)


def placed(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": NAMESPACE}}


async def made(name: str, labels: dict[str, str] | None = None, **data: str) -> Any:
    found = await aio.ConfigMap(placed(config_map(name, labels, **data)))
    await found.create()
    return found


async def refusal(status: int, call: Any) -> None:
    try:
        await call
    except kr8s.ServerError as error:
        if error.response is None:
            raise
        equal((error.response.status_code, error.response.json()["kind"]), (status, "Status"))
        return
    raise AssertionError(f"{status} was expected, and it was done")


@step("namespace")
async def namespace(api: Any) -> None:
    await (await aio.Namespace({"metadata": {"name": NAMESPACE}})).create()

    async def account() -> bool:
        return bool(await (await aio.ServiceAccount("default", namespace=NAMESPACE)).exists())

    await until_async(account, "the account")


@step("create, get")
async def create(api: Any) -> None:
    found = await made("made")
    true(found.metadata.uid, "no uid")
    again = await aio.ConfigMap.get("made", namespace=NAMESPACE)
    equal(dict(again.data), {"k": "v"})
    true(await again.exists(), "it does not exist")


@step("selectors")
async def selectors(api: Any) -> None:
    for name, team in (("s1", "a"), ("s2", "b")):
        await made(name, {"team": team})
    by_label = [
        one.name
        async for one in api.get("configmaps", namespace=NAMESPACE, label_selector={"team": "b"})
    ]
    by_field = [
        one.name
        async for one in api.get(
            "configmaps", namespace=NAMESPACE, field_selector="metadata.name=s1"
        )
    ]
    equal((by_label, by_field), (["s2"], ["s1"]))
    equal((await aio.ConfigMap.get(namespace=NAMESPACE, label_selector="team=a")).name, "s1")


@step("watch, resume")
async def watching(api: Any) -> None:
    async def seen(count: int, since: str | None = None) -> list[tuple[str, str, str]]:
        told: list[tuple[str, str, str]] = []
        async with contextlib.aclosing(
            api.watch("configmaps", namespace=NAMESPACE, label_selector="watched=yes", since=since)
        ) as events:
            async for kind, found in events:
                told.append((kind, found.name, found.metadata.resourceVersion))
                if len(told) == count:
                    break
        return told

    watching = asyncio.create_task(seen(2))
    for name in "abc":
        await made(f"watched-{name}", {"watched": "yes"})
    first = await watching
    equal([one[:2] for one in first], [("ADDED", "watched-a"), ("ADDED", "watched-b")])
    await (await aio.ConfigMap.get("watched-a", namespace=NAMESPACE)).delete()
    equal(
        [one[:2] for one in await seen(2, first[-1][2])],
        [("ADDED", "watched-c"), ("DELETED", "watched-a")],
    )


@step("patches")
async def patches(api: Any) -> None:
    found = await made("patched", k="v", other="o")
    await found.patch({"data": {"other": None}})
    equal(dict(found.data), {"k": "v"})
    await found.patch([{"op": "replace", "path": "/data/k", "value": "w"}], type="json")
    equal(dict(found.data), {"k": "w"})
    await found.label({"x": "y"})
    await found.annotate({"note": "z"})
    await found.refresh()
    equal((dict(found.labels), dict(found.annotations)), ({"x": "y"}, {"note": "z"}))
    await found.remove_label("x")
    await found.refresh()
    equal(dict(found.labels), {})


@step("conflict")
async def conflict(api: Any) -> None:
    await made("contested")
    await refusal(409, made("contested"))
    found = await aio.ConfigMap.get("contested", namespace=NAMESPACE)
    await refusal(409, found.patch({"metadata": {"resourceVersion": "1"}, "data": {"k": "late"}}))


@step("propagation")
async def propagation(api: Any) -> None:
    for policy in ("Background", "Foreground", "Orphan"):
        name = policy.lower()
        owner = await made(name)
        child = await aio.ConfigMap(
            placed(owned(config_map(f"{name}-child"), name, owner.metadata.uid))
        )
        await child.create()
        await owner.delete(propagation_policy=policy)

        async def ended(owner: Any = owner, child: Any = child, policy: str = policy) -> bool:
            return not await owner.exists() and await child.exists() == (policy == "Orphan")

        await until_async(ended, f"the end of {name}")


@step("custom objects")
async def custom_objects(api: Any) -> None:
    found = await Workspace(placed(workspace("desk")))
    await found.create()
    await found.patch({"spec": {"displayName": "My desk"}})
    equal(found.spec.displayName, "My desk")
    equal([one.name async for one in api.get(Workspace, namespace=NAMESPACE)], ["desk"])
    named = [one.name async for one in api.get(f"{PLURAL}.{VERSION}.{GROUP}", namespace=NAMESPACE)]
    equal(named, ["desk"])
    await refusal(422, (await Workspace(placed(workspace("invalid", displayName="")))).create())
    await found.delete()
    await found.wait("delete", timeout=20)


@step("status")
async def scaled(api: Any) -> None:
    found = await aio.StatefulSet(placed(stateful_set("scaled")))
    await found.create()
    await found.scale(0)
    equal(found.replicas, 0)


@step("errors")
async def errors(api: Any) -> None:
    try:
        await aio.ConfigMap.get("nobody", namespace=NAMESPACE)
    except kr8s.NotFoundError:
        pass
    else:
        raise AssertionError("nobody was found")
    await refusal(422, made("Not A Name"))


@step("reviews")
async def whoami(api: Any) -> None:
    true(await api.whoami(), "no name")
    true((await api.version())["gitVersion"].startswith("v1."), "no version")
    true(
        {f"{GROUP}/{VERSION}", "v1", "apps/v1"} <= {one async for one in api.api_versions()},
        "versions are missing",
    )
    true(
        "configmaps" in {one["name"] for one in await api.api_resources()}, "resources are missing"
    )


@step("pod, logs")
async def logs(api: Any) -> None:
    pod = await aio.Pod(placed(HERE.pod))
    await pod.create()
    await pod.wait("condition=Ready", timeout=30)

    async def said() -> bool:
        return "ready" in [line async for line in pod.logs()]

    await until_async(said, "its first words")
    equal(len([line async for line in pod.logs(tail_lines=1)]), 1)


@step("logs, following")
async def logs_following(api: Any) -> None:
    pod = await aio.Pod.get(HERE.pod_name, namespace=NAMESPACE)
    now = ticks([line async for line in pod.logs()])
    async with contextlib.aclosing(pod.logs(follow=True, timeout=20)) as lines:
        async for line in lines:
            if ticks([line]) > now + 3:
                return
    raise AssertionError("the log ended")


@step("exec")
async def execute(api: Any) -> None:
    pod = await aio.Pod.get(HERE.pod_name, namespace=NAMESPACE)
    done = await pod.exec(["echo", "hello"], container="main")
    equal((done.returncode, done.stdout), (0, b"hello\n"))
    if HERE.exit_codes:
        failed = await pod.exec(["sh", "-c", "echo err >&2; exit 3"], container="main", check=False)
        equal((failed.returncode, failed.stderr), (3, b"err\n"))


@step("port-forward")
async def port_forward(api: Any) -> None:
    pod = await aio.Pod.get(HERE.pod_name, namespace=NAMESPACE)
    async with pod.portforward(HERE.port, local_port="auto") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping\n")
        equal(await asyncio.wait_for(reader.readline(), 20), b"ping\n")
        writer.close()


@step("synchronous")
async def synchronous(api: Any) -> None:
    def work() -> list[str]:
        there = kr8s.api(kubeconfig=HERE.kubeconfig)
        found = objects.ConfigMap(placed(config_map("sync")), api=there)
        found.create()
        found.patch({"data": {"k": "w"}})
        names = [one.name for one in there.get("configmaps", "sync", namespace=NAMESPACE)]
        found.delete()
        return names

    equal(await asyncio.to_thread(work), ["sync"])


async def main() -> int:
    return await SCENARIO.run_async(await kr8s.asyncio.api(kubeconfig=HERE.kubeconfig))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
