"""Steps with the official Python client: objects, patches, watches, streams."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from kubernetes import client as k8s  # type: ignore[attr-defined]
from kubernetes import config, dynamic, stream, watch  # type: ignore[attr-defined]
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
CUSTOM = (GROUP, VERSION, NAMESPACE, PLURAL)


def refusal(status: int, reason: str, call: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Return the Status of the error that the server responds with."""
    try:
        call(*arguments, **options)
    except k8s.ApiException as error:
        body: dict[str, Any] = json.loads(error.body)
        equal((error.status, body["kind"], body["reason"]), (status, "Status", reason))
        return body
    raise AssertionError(f"{status} {reason} was expected, and it was done")


@step("namespace")
def namespace(core: Any) -> None:
    core.create_namespace(k8s.V1Namespace(metadata=k8s.V1ObjectMeta(name=NAMESPACE)))
    until(
        lambda: any(
            one.metadata.name == "default"
            for one in core.list_namespaced_service_account(NAMESPACE).items
        ),
        "the account",
    )


@step("create, get")
def create(core: Any) -> None:
    body = k8s.V1ConfigMap(
        metadata=k8s.V1ObjectMeta(name="made", labels={"x": "y"}), data={"k": "v"}
    )
    made = core.create_namespaced_config_map(NAMESPACE, body)
    true(made.metadata.uid and made.metadata.creation_timestamp, "no uid or time")
    equal(core.read_namespaced_config_map("made", NAMESPACE).data, {"k": "v"})
    core.create_namespaced_secret(
        NAMESPACE,
        k8s.V1Secret(metadata=k8s.V1ObjectMeta(generate_name="made-"), string_data={"k": "v"}),
    )
    equal(
        [
            one.data
            for one in core.list_namespaced_secret(NAMESPACE).items
            if one.metadata.name.startswith("made-")
        ],
        [{"k": "dg=="}],
    )
    dry = core.create_namespaced_config_map(NAMESPACE, config_map("dry"), dry_run="All")
    equal(dry.metadata.name, "dry")
    refusal(404, "NotFound", core.read_namespaced_config_map, "dry", NAMESPACE)


@step("selectors")
def selectors(core: Any) -> None:
    for name, team in (("s1", "a"), ("s2", "b"), ("s3", "b")):
        core.create_namespaced_config_map(NAMESPACE, config_map(name, {"team": team}))

    def names(**options: str) -> list[str]:
        return [
            one.metadata.name for one in core.list_namespaced_config_map(NAMESPACE, **options).items
        ]

    equal(names(label_selector="team=b"), ["s2", "s3"])
    equal(names(label_selector="team in (a,b),team!=b"), ["s1"])
    equal(names(field_selector="metadata.name=s2"), ["s2"])
    equal(names(label_selector="team", field_selector="metadata.name!=s2"), ["s1", "s3"])


@step("pages")
def pages(core: Any) -> None:
    for number in range(5):
        core.create_namespaced_config_map(NAMESPACE, config_map(f"page-{number}", {"paged": "yes"}))
    found, token, rounds = [], None, 0
    while True:
        page = core.list_namespaced_config_map(
            NAMESPACE, label_selector="paged=yes", limit=2, _continue=token
        )
        found += [one.metadata.name for one in page.items]
        rounds, token = rounds + 1, page.metadata._continue
        if not token:
            break
    equal((found, rounds), ([f"page-{number}" for number in range(5)], 3))


@step("watch, resume")
def watching(core: Any) -> None:
    version = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    timer = threading.Timer(
        0.3,
        lambda: [
            core.create_namespaced_config_map(NAMESPACE, config_map(f"watched-{n}")) for n in "abc"
        ],
    )
    timer.start()
    told, resumed = [], ""
    for event in watch.Watch().stream(
        core.list_namespaced_config_map, NAMESPACE, resource_version=version, timeout_seconds=20
    ):
        told.append((event["type"], event["object"].metadata.name))
        resumed = event["object"].metadata.resource_version
        if len(told) == 2:
            break
    equal(told, [("ADDED", "watched-a"), ("ADDED", "watched-b")])
    timer.join()
    core.delete_namespaced_config_map("watched-a", NAMESPACE)
    told = []
    stream_of = watch.Watch()
    for event in stream_of.stream(
        core.list_namespaced_config_map, NAMESPACE, resource_version=resumed, timeout_seconds=20
    ):
        told.append((event["type"], event["object"].metadata.name))
        if len(told) == 2:
            stream_of.stop()
    equal(told, [("ADDED", "watched-c"), ("DELETED", "watched-a")])
    began = time.monotonic()
    quiet = list(
        watch.Watch().stream(
            core.list_namespaced_config_map, NAMESPACE, label_selector="no=one", timeout_seconds=1
        )
    )
    equal(quiet, [])
    true(time.monotonic() - began < 10, "a watch's end came late")


@step("patches")
def patches(core: Any) -> None:
    apps = k8s.AppsV1Api(core.api_client)
    apps.create_namespaced_stateful_set(NAMESPACE, stateful_set("patched"))
    container = {"name": "main", "env": [{"name": "B", "value": "2"}]}
    changed = apps.patch_namespaced_stateful_set(
        "patched", NAMESPACE, {"spec": {"template": {"spec": {"containers": [container]}}}}
    )
    held = changed.spec.template.spec.containers
    equal(
        [(one.name, one.image, [env.name for env in one.env]) for one in held],
        [("main", "lab", ["B", "A"])],
    )
    core.create_namespaced_config_map(NAMESPACE, config_map("patched", k="v", other="o"))
    as_json = core.patch_namespaced_config_map(
        "patched", NAMESPACE, [{"op": "replace", "path": "/data/k", "value": "w"}]
    )
    equal(as_json.data, {"k": "w", "other": "o"})
    equal(
        core.patch_namespaced_config_map("patched", NAMESPACE, {"data": {"other": None}}).data,
        {"k": "w"},
    )
    refusal(
        422,
        "Invalid",
        core.patch_namespaced_config_map,
        "patched",
        NAMESPACE,
        [{"op": "test", "path": "/data/k", "value": "never"}],
    )


@step("apply")
def apply(core: Any) -> None:
    found = dynamic.DynamicClient(core.api_client).resources.get(api_version="v1", kind="ConfigMap")

    def applied(manager: str, force: bool = False, **data: str) -> Any:
        return found.server_side_apply(
            body=config_map("applied", **data),
            namespace=NAMESPACE,
            field_manager=manager,
            force_conflicts=force,
        )

    equal(dict(applied("one", a="1", b="2").data), {"a": "1", "b": "2"})
    equal(dict(applied("one", a="1").data), {"a": "1"})
    body = refusal(409, "Conflict", applied, "two", a="2")
    equal(
        [(cause["reason"], cause["field"]) for cause in body["details"]["causes"]],
        [("FieldManagerConflict", ".data.a")],
    )
    equal(dict(applied("two", force=True, a="2", c="3").data), {"a": "2", "c": "3"})
    held = core.read_namespaced_config_map("applied", NAMESPACE).metadata.managed_fields
    equal({(one.manager, one.operation) for one in held} >= {("two", "Apply")}, True)


@step("conflict")
def conflict(core: Any) -> None:
    made = core.create_namespaced_config_map(NAMESPACE, config_map("contested"))
    core.patch_namespaced_config_map("contested", NAMESPACE, {"data": {"k": "w"}})
    made.data = {"k": "late"}
    refusal(409, "Conflict", core.replace_namespaced_config_map, "contested", NAMESPACE, made)
    fresh = core.read_namespaced_config_map("contested", NAMESPACE)
    fresh.data = {"k": "in time"}
    equal(core.replace_namespaced_config_map("contested", NAMESPACE, fresh).data, {"k": "in time"})
    refusal(
        409, "AlreadyExists", core.create_namespaced_config_map, NAMESPACE, config_map("contested")
    )


@step("propagation")
def propagation(core: Any) -> None:
    def exists(name: str) -> bool:
        return any(
            one.metadata.name == name for one in core.list_namespaced_config_map(NAMESPACE).items
        )

    for policy in ("Background", "Foreground", "Orphan"):
        name = policy.lower()
        owner = core.create_namespaced_config_map(NAMESPACE, config_map(name))
        core.create_namespaced_config_map(
            NAMESPACE, owned(config_map(f"{name}-child"), name, owner.metadata.uid)
        )
        core.delete_namespaced_config_map(name, NAMESPACE, propagation_policy=policy)
        until(lambda name=name: not exists(name), f"the end of {name}")
        if policy == "Orphan":
            child = core.read_namespaced_config_map(f"{name}-child", NAMESPACE)
            equal(child.metadata.owner_references, None)
        else:
            until(lambda name=name: not exists(f"{name}-child"), f"the end of {name}'s child")
    held = config_map("held")
    held["metadata"]["finalizers"] = ["example.org/hold"]
    core.create_namespaced_config_map(NAMESPACE, held)
    core.delete_namespaced_config_map(
        "held", NAMESPACE, body=k8s.V1DeleteOptions(grace_period_seconds=0)
    )
    true(
        core.read_namespaced_config_map("held", NAMESPACE).metadata.deletion_timestamp,
        "no mark of deletion",
    )
    core.patch_namespaced_config_map("held", NAMESPACE, {"metadata": {"finalizers": None}})
    until(lambda: not exists("held"), "the end of what was held")
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="paged=yes")
    until(lambda: not exists("page-0"), "the end of a collection")


@step("custom objects")
def custom_objects(core: Any) -> None:
    custom = k8s.CustomObjectsApi(core.api_client)
    made = custom.create_namespaced_custom_object(*CUSTOM, workspace("desk"))
    equal(made["spec"]["paused"], True)
    changed = custom.patch_namespaced_custom_object(
        *CUSTOM, "desk", {"spec": {"displayName": "My desk"}}
    )
    equal(
        (changed["spec"]["displayName"], changed["metadata"]["generation"]),
        ("My desk", made["metadata"]["generation"] + 1),
    )
    refusal(409, "Conflict", custom.replace_namespaced_custom_object, *CUSTOM, "desk", made)
    listed = custom.list_namespaced_custom_object(*CUSTOM, label_selector="matrix=yes", limit=1)
    equal([one["metadata"]["name"] for one in listed["items"]], ["desk"])
    told = [
        event["object"]["metadata"]["name"]
        for event in watch.Watch().stream(
            custom.list_namespaced_custom_object, *CUSTOM, timeout_seconds=1
        )
        if event["type"] == "ADDED"
    ]
    equal(told, ["desk"])
    invalid = workspace("invalid", displayName="")
    body = refusal(422, "Invalid", custom.create_namespaced_custom_object, *CUSTOM, invalid)
    true(
        any(cause["field"] == "spec.displayName" for cause in body["details"]["causes"]),
        f"causes: {body['details']}",
    )
    refusal(
        422,
        "Invalid",
        custom.patch_namespaced_custom_object,
        *CUSTOM,
        "desk",
        {"spec": {"kind": "another"}},
    )
    custom.delete_namespaced_custom_object(*CUSTOM, "desk")
    until(
        lambda: not custom.list_namespaced_custom_object(*CUSTOM)["items"],
        "the end of the workspace",
    )


@step("status")
def status(core: Any) -> None:
    apps = k8s.AppsV1Api(core.api_client)
    apps.create_namespaced_stateful_set(NAMESPACE, stateful_set("counted"))
    scale = apps.patch_namespaced_stateful_set_scale(
        "counted", NAMESPACE, {"spec": {"replicas": 0}}
    )
    equal((scale.kind, scale.spec.replicas or 0), ("Scale", 0))
    changed = apps.patch_namespaced_stateful_set_status(
        "counted", NAMESPACE, {"status": {"replicas": 0}, "spec": {"replicas": 5}}
    )
    equal(changed.spec.replicas, 0)


@step("errors")
def errors(core: Any) -> None:
    refusal(404, "NotFound", core.read_namespaced_config_map, "nobody", NAMESPACE)
    refusal(404, "NotFound", core.delete_namespaced_config_map, "nobody", NAMESPACE)
    body = refusal(
        422, "Invalid", core.create_namespaced_config_map, NAMESPACE, config_map("Not A Name")
    )
    equal([cause["field"] for cause in body["details"]["causes"]], ["metadata.name"])
    refusal(400, "BadRequest", core.list_namespaced_config_map, NAMESPACE, label_selector="a=(")
    refusal(
        400,
        "BadRequest",
        core.list_namespaced_config_map,
        NAMESPACE,
        limit=1,
        _continue="bm90IGEgdG9rZW4",
    )


@step("reviews")
def reviews(core: Any) -> None:
    access = {
        "spec": {
            "resourceAttributes": {"verb": "create", "resource": "pods", "namespace": NAMESPACE}
        }
    }
    review = k8s.AuthorizationV1Api(core.api_client).create_self_subject_access_review(access)
    true(review.status.allowed, "not allowed")
    true(k8s.VersionApi(core.api_client).get_code().git_version.startswith("v1."), "no version")
    true(
        k8s.AuthenticationV1Api(core.api_client)
        .create_self_subject_review({})
        .status.user_info.username,
        "no name",
    )


@step("dynamic")
def dynamic_client(core: Any) -> None:
    found = dynamic.DynamicClient(core.api_client).resources.get(
        api_version=f"{GROUP}/{VERSION}", kind="Workspace"
    )
    made = found.create(body=workspace("dynamic"), namespace=NAMESPACE)
    changed = found.patch(
        body={"spec": {"displayName": "D"}},
        name="dynamic",
        namespace=NAMESPACE,
        content_type="application/merge-patch+json",
    )
    equal((made.metadata.name, changed.spec.displayName), ("dynamic", "D"))
    told = [
        event["object"].metadata.name
        for event in found.watch(namespace=NAMESPACE, timeout=1)
        if event["type"] == "ADDED"
    ]
    equal(told, ["dynamic"])
    found.delete(name="dynamic", namespace=NAMESPACE)


@step("pod, logs")
def logs(core: Any) -> None:
    core.create_namespaced_pod(NAMESPACE, HERE.pod)
    until(
        lambda: core.read_namespaced_pod(HERE.pod_name, NAMESPACE).status.phase == "Running",
        "a running pod",
    )
    until(
        lambda: "ready" in core.read_namespaced_pod_log(HERE.pod_name, NAMESPACE), "its first words"
    )
    equal(len(core.read_namespaced_pod_log(HERE.pod_name, NAMESPACE, tail_lines=1).splitlines()), 1)
    true(
        "T"
        in core.read_namespaced_pod_log(
            HERE.pod_name, NAMESPACE, timestamps=True, tail_lines=1
        ).split()[0],
        "no times",
    )


@step("logs, following")
def logs_following(core: Any) -> None:
    now = ticks(core.read_namespaced_pod_log(HERE.pod_name, NAMESPACE).splitlines())
    seen = []
    follower = watch.Watch()
    for line in follower.stream(
        core.read_namespaced_pod_log, HERE.pod_name, NAMESPACE, container="main"
    ):
        seen.append(line)
        if ticks(seen[-1:]) > now + 3:
            follower.stop()
            break
    equal(seen[0], "ready")


def run_command(core: Any, *words: str, **options: Any) -> Any:
    call = core.connect_get_namespaced_pod_exec
    given = {
        "command": list(words),
        "container": "main",
        "stdout": True,
        "stderr": True,
        "stdin": False,
        "tty": False,
    } | options
    return stream.stream(call, HERE.pod_name, NAMESPACE, **given)


@step("exec")
def execute(core: Any) -> None:
    equal(run_command(core, "echo", "hello"), "hello\n")
    kept = run_command(core, "sh", "-c", "echo out; echo err >&2; exit 3", _preload_content=False)
    kept.run_forever(timeout=20)
    equal((kept.read_stdout(), kept.read_stderr()), ("out\n", "err\n"))
    if HERE.exit_codes:
        equal(kept.returncode, 3)
    echo = run_command(core, "head", "-n", "1", stdin=True, _preload_content=False)
    echo.write_stdin("typed\n")
    echo.run_forever(timeout=20)
    equal(echo.read_stdout(), "typed\n")
    echo.close()


@step("port-forward")
def port_forward(core: Any) -> None:
    call = core.connect_get_namespaced_pod_portforward
    held = stream.portforward(call, HERE.pod_name, NAMESPACE, ports=str(HERE.port))
    connection = held.socket(HERE.port)
    connection.settimeout(20)
    connection.sendall(b"ping\n")
    equal(connection.recv(100), b"ping\n")
    connection.close()
    equal(held.error(HERE.port), None)


if __name__ == "__main__":
    settings = k8s.Configuration()
    config.load_kube_config(config_file=HERE.kubeconfig, client_configuration=settings)
    with k8s.ApiClient(settings) as given:
        raise SystemExit(SCENARIO.run(k8s.CoreV1Api(given)))
