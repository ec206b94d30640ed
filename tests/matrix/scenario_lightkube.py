"""Steps with lightkube: typed and generic resources, synchronous and with asyncio."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from lightkube import ApiError, AsyncClient, Client, KubeConfig
from lightkube.core.exceptions import ConditionError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import StatefulSet, StatefulSetScale
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod, ServiceAccount
from lightkube.types import CascadeType, PatchType
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
    until,
    workspace,
)

SCENARIO = Scenario()
step = SCENARIO.step
HERE = Target.given()
NAMESPACE = HERE.namespace
Workspace = create_namespaced_resource(GROUP, VERSION, "Workspace", PLURAL)


def refusal(status: int, reason: str, call: Any, *arguments: Any, **options: Any) -> Any:
    try:
        call(*arguments, **options)
    except ApiError as error:
        equal((error.status.code, error.status.reason), (status, reason))
        return error.status
    raise AssertionError(f"{status} {reason} was expected, and it was done")


def made(client: Client, name: str, labels: dict[str, str] | None = None, **data: str) -> ConfigMap:
    return client.create(ConfigMap.from_dict(config_map(name, labels, **data)))


@step("namespace")
def namespace(client: Client) -> None:
    client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    until(
        lambda: any(one.metadata.name == "default" for one in client.list(ServiceAccount)),
        "the account",
    )


@step("create, get")
def create(client: Client) -> None:
    true(made(client, "made").metadata.uid, "no uid")
    equal(client.get(ConfigMap, "made").data, {"k": "v"})
    client.create(ConfigMap.from_dict(config_map("dry")), dry_run=True)
    refusal(404, "NotFound", client.get, ConfigMap, "dry")


@step("selectors")
def selectors(client: Client) -> None:
    for name, team in (("s1", "a"), ("s2", "b")):
        made(client, name, {"team": team})
    equal([one.metadata.name for one in client.list(ConfigMap, labels={"team": "b"})], ["s2"])
    equal(
        [one.metadata.name for one in client.list(ConfigMap, fields={"metadata.name": "s1"})],
        ["s1"],
    )


@step("pages")
def pages(client: Client) -> None:
    for number in range(5):
        made(client, f"page-{number}", {"paged": "yes"})
    found = [
        one.metadata.name for one in client.list(ConfigMap, labels={"paged": "yes"}, chunk_size=2)
    ]
    equal(found, [f"page-{number}" for number in range(5)])


@step("watch, resume")
def watching(client: Client) -> None:
    def seen(count: int, since: str) -> list[tuple[str, str, str]]:
        told: list[tuple[str, str, str]] = []
        for kind, found in client.watch(ConfigMap, resource_version=since, server_timeout=20):
            told.append((kind, found.metadata.name, found.metadata.resourceVersion))
            if len(told) == count:
                break
        return told

    listed = client.list(ConfigMap)
    list(listed)
    writer = threading.Timer(0.3, lambda: [made(client, f"watched-{name}") for name in "abc"])
    writer.start()
    first = seen(2, listed.resourceVersion)
    writer.join()
    equal([one[:2] for one in first], [("ADDED", "watched-a"), ("ADDED", "watched-b")])
    client.delete(ConfigMap, "watched-a")
    equal(
        [one[:2] for one in seen(2, first[-1][2])],
        [("ADDED", "watched-c"), ("DELETED", "watched-a")],
    )


@step("patches")
def patches(client: Client) -> None:
    client.create(StatefulSet.from_dict(stateful_set("patched")))
    container = {"name": "main", "env": [{"name": "B", "value": "2"}]}
    changed = client.patch(
        StatefulSet, "patched", {"spec": {"template": {"spec": {"containers": [container]}}}}
    )
    equal([env.name for env in changed.spec.template.spec.containers[0].env], ["B", "A"])
    made(client, "patched", k="v", other="o")
    equal(
        client.patch(
            ConfigMap, "patched", {"data": {"other": None}}, patch_type=PatchType.MERGE
        ).data,
        {"k": "v"},
    )
    operations = [{"op": "replace", "path": "/data/k", "value": "w"}]
    equal(
        client.patch(ConfigMap, "patched", operations, patch_type=PatchType.JSON).data, {"k": "w"}
    )


@step("apply")
def apply(client: Client) -> None:
    def applied(manager: str, force: bool = False, **data: str) -> Any:
        return client.apply(
            ConfigMap.from_dict(config_map("applied", **data)), field_manager=manager, force=force
        ).data

    equal(applied("one", a="1", b="2"), {"a": "1", "b": "2"})
    equal(applied("one", a="1"), {"a": "1"})
    refusal(409, "Conflict", applied, "two", a="2")
    equal(applied("two", force=True, a="2"), {"a": "2"})


@step("conflict")
def conflict(client: Client) -> None:
    found = made(client, "contested")
    client.patch(ConfigMap, "contested", {"data": {"k": "w"}}, patch_type=PatchType.MERGE)
    found.data = {"k": "late"}
    refusal(409, "Conflict", client.replace, found)
    refusal(409, "AlreadyExists", made, client, "contested")


@step("propagation")
def propagation(client: Client) -> None:
    for cascade in CascadeType:
        name = cascade.value.lower()
        owner = made(client, name)
        child = owned(config_map(f"{name}-child"), name, str(owner.metadata.uid))
        client.create(ConfigMap.from_dict(child))
        client.delete(ConfigMap, name, cascade=cascade)

        def ended(name: str = name, cascade: CascadeType = cascade) -> bool:
            left = {one.metadata.name for one in client.list(ConfigMap)}
            return name not in left and (f"{name}-child" in left) == (cascade is CascadeType.ORPHAN)

        until(ended, f"the end of {name}")
    client.deletecollection(StatefulSet)
    until(lambda: not list(client.list(StatefulSet)), "the end of a collection")


@step("custom objects")
def custom_objects(client: Client) -> None:
    found = client.create(Workspace(**workspace("desk")))
    changed = client.patch(
        Workspace, "desk", {"spec": {"displayName": "My desk"}}, patch_type=PatchType.MERGE
    )
    equal(changed.spec["displayName"], "My desk")
    refusal(409, "Conflict", client.replace, found)
    applied = client.apply(Workspace(**workspace("applied")), field_manager="matrix")
    equal(applied.spec["paused"], True)
    equal(
        {one.metadata.name for one in client.list(Workspace, labels={"matrix": "yes"})},
        {"desk", "applied"},
    )
    refusal(415, "UnsupportedMediaType", client.patch, Workspace, "desk", {"spec": {}})
    status = refusal(
        422, "Invalid", client.create, Workspace(**workspace("invalid", displayName=""))
    )
    true(any(cause.field == "spec.displayName" for cause in status.details.causes), "no cause")
    for name in ("desk", "applied"):
        client.delete(Workspace, name)


@step("status")
def status(client: Client) -> None:
    client.create(StatefulSet.from_dict(stateful_set("scaled")))
    scale = client.replace(
        StatefulSetScale(
            metadata=ObjectMeta(name="scaled", namespace=NAMESPACE), spec=ScaleSpec(replicas=0)
        ),
        "scaled",
    )
    equal(scale.spec.replicas or 0, 0)


@step("errors")
def errors(client: Client) -> None:
    refusal(404, "NotFound", client.get, ConfigMap, "nobody")
    refusal(422, "Invalid", made, client, "Not A Name")


@step("reviews")
def reviews(client: Client) -> None:
    attributes = {"verb": "create", "resource": "pods", "namespace": NAMESPACE}
    review = client.create(
        SelfSubjectAccessReview.from_dict({"spec": {"resourceAttributes": attributes}})
    )
    true(review.status and review.status.allowed, "not allowed")


@step("pod, logs")
def logs(client: Client) -> None:
    client.create(Pod.from_dict(HERE.pod))
    try:
        client.wait(Pod, HERE.pod_name, for_conditions=["Ready"])
    except ConditionError as error:
        raise AssertionError("the pod is not ready") from error
    until(lambda: "ready" in list(client.log(HERE.pod_name, newlines=False)), "its first words")
    equal(len(list(client.log(HERE.pod_name, tail_lines=1))), 1)


@step("logs, following")
def logs_following(client: Client) -> None:
    now = ticks(list(client.log(HERE.pod_name, newlines=False)))
    for line in client.log(HERE.pod_name, follow=True, newlines=False):
        if ticks([line]) > now + 3:
            return
    raise AssertionError("the log ended")


@step("exec")
def execute(client: Client) -> None:
    # Not by the synchronous client: it closes a socket that a thread still reads, which breaks the
    # next connection (httpx2 2.16), on a real API server as well.
    async def work() -> None:
        there = AsyncClient(config=KubeConfig.from_file(HERE.kubeconfig), namespace=NAMESPACE)
        done = await there.exec(
            HERE.pod_name, command=["echo", "hello"], stdout=True, stderr=True, timeout=20
        )
        equal((done.exit_code, done.stdout), (0, "hello\n"))
        typed = await there.exec(
            HERE.pod_name, command=["head", "-n", "1"], stdin="typed\n", stdout=True, timeout=20
        )
        equal(typed.stdout, "typed\n")
        if HERE.exit_codes:
            failed = await there.exec(
                HERE.pod_name,
                command=["sh", "-c", "echo err >&2; exit 3"],
                stdout=True,
                stderr=True,
                timeout=20,
            )
            equal((failed.exit_code, failed.stderr), (3, "err\n"))
        await there.close()

    asyncio.run(work())


@step("asynchronous")
def asynchronous(client: Client) -> None:
    async def work() -> None:
        there = AsyncClient(config=KubeConfig.from_file(HERE.kubeconfig), namespace=NAMESPACE)
        await there.create(ConfigMap.from_dict(config_map("async")))
        equal(
            [
                one.metadata.name
                async for one in there.list(ConfigMap, fields={"metadata.name": "async"})
            ],
            ["async"],
        )
        async for kind, found in there.watch(
            ConfigMap, fields={"metadata.name": "async"}, server_timeout=20
        ):
            equal((kind, found.metadata.name), ("ADDED", "async"))
            break
        await there.apply(ConfigMap.from_dict(config_map("async-applied")), field_manager="matrix")
        await there.delete(ConfigMap, "async")
        await there.close()

    asyncio.run(work())


if __name__ == "__main__":
    with Client(
        config=KubeConfig.from_file(HERE.kubeconfig), namespace=NAMESPACE, field_manager="matrix"
    ) as given:
        raise SystemExit(SCENARIO.run(given))
