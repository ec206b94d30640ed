"""Options, generated objects, status and activity rules: functions without a cluster."""

from __future__ import annotations

import copy
from datetime import datetime, timezone
from typing import Any

import pytest
import yaml

from jupyter_workspaces.controller.workspaces import activity, manifests, status
from jupyter_workspaces.controller.workspaces.manifests import GenerateError
from jupyter_workspaces.controller.workspaces.options import OptionError, resolve
from jupyter_workspaces.resources import bundled, metadata_keys

Object = dict[str, Any]

KIND: Object = next(
    found for found in bundled.samples() if found["metadata"]["name"] == "jupyterlab"
)
NOW = 1_800_000_000_000


def kind(**changes: Any) -> Object:
    """Return the JupyterLab kind with parts of its pod template replaced."""
    found = copy.deepcopy(KIND)
    found["spec"]["podTemplate"] |= changes
    return found


def workspace(
    image: str = "jupyterlab_scipy_190", size: str = "tiny_cpu", name: str = "dora", **spec: Any
) -> Object:
    volumes = {
        "home": "home-of-dora",
        "data": [
            {"pvcName": "pile", "mountPath": "/data/pile", "readOnly": False},
            {"pvcName": "book", "mountPath": "/data/book", "readOnly": True},
        ],
        "secrets": [{"secretName": "login", "mountPath": "/login"}],
    }
    template = {
        "podMetadata": {"labels": {"team": "red"}},
        "volumes": volumes,
        "options": {"imageConfig": image, "podConfig": size},
    }
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": "lab", "uid": "uid-of-dora"},
        "spec": {"kind": "jupyterlab", "paused": False, "podTemplate": template} | spec,
    }


def pod_template(
    of: Object | None = None, token: str | None = "token-of-dora", **changes: Any
) -> Object:
    wanted, given = of or workspace(), kind(**changes)
    options = resolve(given, wanted)
    return manifests.pod_template(
        wanted, given, options["imageConfig"], options["podConfig"], token
    )


# Options


def redirecting(redirects: dict[str, str]) -> Object:
    values = [
        {"id": name, "spec": {}}
        | ({"redirect": {"to": redirects[name]}} if name in redirects else {})
        for name in "abc"
    ]
    options = {
        "imageConfig": {"values": values},
        "podConfig": {"values": [{"id": "s", "spec": {}}]},
    }
    return {"metadata": {"name": "k"}, "spec": {"podTemplate": {"options": options}}}


def test_a_redirect_is_followed_to_its_end_and_the_current_option_stays() -> None:
    found = resolve(redirecting({"a": "b", "b": "c"}), workspace("a", "s"))["imageConfig"]
    assert found.current["id"] == "a"
    assert found.status() == {
        "desired": "c",
        "redirectChain": [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}],
    }
    assert resolve(redirecting({"a": "b"}), workspace("c", "s"))["imageConfig"].status() == {}


@pytest.mark.parametrize(
    ("redirects", "start", "words"),
    [
        ({}, "lost", "no longer offers the image “lost”. Choose another: a, b, c"),
        ({"a": "lost"}, "a", "leads to “lost”"),
        ({"a": "b", "b": "a"}, "a", "forms a cycle"),
        ({"a": "a"}, "a", "forms a cycle"),
    ],
)
def test_a_missing_option_or_redirect_target_is_an_error(
    redirects: dict[str, str], start: str, words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        resolve(redirecting(redirects), workspace(start, "s"))


# Generated objects


def test_a_pod_template_combines_kind_and_workspace() -> None:
    made = pod_template()
    container = made["spec"]["containers"][0]
    assert container["name"] == "main"
    assert container["image"] == "docker.io/kubeflownotebookswg/jupyter-scipy:v1.9.0"
    assert container["ports"] == [{"name": "http-8888", "containerPort": 8888, "protocol": "TCP"}]
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "512Mi"}
    assert {"name": "NB_PREFIX", "value": "/workspace/connect/lab/dora/jupyterlab/"} in container[
        "env"
    ]
    reference = {"secretKeyRef": {"name": "token-of-dora", "key": "token"}}
    assert {"name": "JUPYTER_TOKEN", "valueFrom": reference} in container["env"]
    assert made["metadata"]["annotations"][metadata_keys.TOKEN_SECRET] == "token-of-dora"
    assert made["metadata"]["labels"] == {
        "team": "red",
        metadata_keys.WORKSPACE_NAME: "dora",
        "statefulset": "dora",
    }
    assert made["spec"]["serviceAccountName"] == "ws-dora"


def test_volumes_keep_their_order_without_clashing_ones() -> None:
    extra = [{"name": "scratch", "emptyDir": {}}, {"name": "home-volume", "emptyDir": {}}]
    mounts = [
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "scratch", "mountPath": "/data/pile"},
        {"name": "lost", "mountPath": "/lost"},
    ]
    made = pod_template(extraVolumes=extra, extraVolumeMounts=mounts)["spec"]
    wanted = ["home-volume", "data-volume-0", "data-volume-1", "secret-volume-0", "scratch"]
    assert [volume["name"] for volume in made["volumes"]] == wanted
    assert made["volumes"][2]["persistentVolumeClaim"] == {"claimName": "book", "readOnly": True}
    assert made["volumes"][3]["secret"] == {"secretName": "login", "defaultMode": 420}
    placed = [
        (mount["mountPath"], mount.get("readOnly", False))
        for mount in made["containers"][0]["volumeMounts"]
    ]
    assert placed == [
        ("/home/jovyan", False),
        ("/data/pile", False),
        ("/data/book", True),
        ("/login", False),
        ("/scratch", False),
    ]


def test_reserved_labels_cannot_be_set() -> None:
    wanted = workspace()
    wanted["spec"]["podTemplate"]["podMetadata"] = {
        "labels": {metadata_keys.WORKSPACE_NAME: "other"},
        "annotations": {metadata_keys.TOKEN_SECRET: "another"},
    }
    made = pod_template(wanted)["metadata"]
    assert made["labels"][metadata_keys.WORKSPACE_NAME] == "dora"
    assert made["annotations"][metadata_keys.TOKEN_SECRET] == "token-of-dora"


def test_our_annotations_cannot_be_set_by_kind_or_workspace() -> None:
    wanted = workspace()
    ours = {
        metadata_keys.TOKEN_SECRET: "any-secret-of-the-namespace",
        f"{metadata_keys.LOCAL_PORT}8888": "22",
    }
    wanted["spec"]["podTemplate"]["podMetadata"] = {
        "annotations": ours | {"example.org/note": "kept"}
    }
    made = pod_template(wanted, token=None)["metadata"]["annotations"]
    assert not ours.keys() & made.keys()
    assert made["example.org/note"] == "kept"


def test_an_invalid_template_in_a_variable_names_the_variable() -> None:
    with pytest.raises(
        GenerateError, match=r"jupyterlab has an invalid value for P.*Ask your administrator"
    ):
        pod_template(extraEnv=[{"name": "P", "value": "{{ nothing }}"}])


def test_the_path_of_a_probe_is_rendered() -> None:
    """JupyterLab serves nothing at `/`."""
    probe = pod_template()["spec"]["containers"][0]["readinessProbe"]
    assert probe["httpGet"] == {"path": "/workspace/connect/lab/dora/jupyterlab/api", "port": 8888}


def test_an_invalid_template_in_a_probe_names_the_probe() -> None:
    probes = {
        "livenessProbe": {"httpGet": {"path": "{{ nothing }}", "port": 1}},
        "startupProbe": {"tcpSocket": {"port": 1}},
    }
    with pytest.raises(GenerateError, match=r"invalid value for the path of its livenessProbe"):
        pod_template(probes=probes)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in bundled.samples() if kind["kind"] == "WorkspaceKind"],
    ids=lambda kind: kind["metadata"]["name"],
)
def test_probes_of_sample_kinds_notice_a_hanging_program_in_half_a_minute(kind: Object) -> None:
    probe = kind["spec"]["podTemplate"]["probes"]["readinessProbe"]
    assert "httpGet" in probe
    assert probe["timeoutSeconds"] >= probe["periodSeconds"]
    assert probe["periodSeconds"] + probe["failureThreshold"] * probe["timeoutSeconds"] <= 30


def test_two_ports_with_one_number_are_refused() -> None:
    given = copy.deepcopy(KIND)
    ports = [{"id": "jupyterlab", "port": 8888}, {"id": "other", "port": 8888}]
    given["spec"]["podTemplate"]["options"]["imageConfig"]["values"][1]["spec"]["ports"] = ports
    with pytest.raises(GenerateError, match="same number"):
        manifests.service(workspace(), resolve(given, workspace())["imageConfig"])


@pytest.mark.parametrize("name", ["d", "d" * 63, "d-" * 30 + "d"])
def test_generated_names_are_not_too_long(name: str) -> None:
    wanted = workspace(name=name)
    options = resolve(KIND, wanted)
    made = manifests.stateful_set(wanted, KIND, options["imageConfig"], options["podConfig"], None)[
        "metadata"
    ]
    assert len(made["generateName"]) + 5 <= 52
    assert (
        len(manifests.service(wanted, options["imageConfig"])["metadata"]["generateName"]) + 5 <= 63
    )
    assert made["ownerReferences"][0]["controller"] is True
    assert len(manifests.service_account(workspace(name="d" * 253))["metadata"]["name"]) == 253


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"extraEnv": []}, True),
        ({"probes": {}}, True),
        ({"podMetadata": {"labels": {"a": "b"}}}, True),
        ({"containerSecurityContext": {"runAsUser": 1000}}, True),
        (
            {
                "ports": [
                    {"id": "jupyterlab", "protocol": "HTTP", "defaultDisplayName": "Another name"}
                ]
            },
            False,
        ),
        ({"activityProbe": None}, False),
        ({"serviceAccount": {"clusterRoles": [{"name": "view"}]}}, False),
    ],
)
def test_the_kind_hash_covers_what_goes_into_pods(change: Object, differs: bool) -> None:
    options = resolve(KIND, workspace())
    before = manifests.kind_hash(KIND, options["imageConfig"], options["podConfig"])
    assert (
        manifests.kind_hash(kind(**change), options["imageConfig"], options["podConfig"]) != before
    ) == differs


# Status


def build(before: Object | None = None, state: str = "Running", **more: Any) -> Object:
    given = workspace() | ({"status": before} if before else {})
    arguments: Object = {
        "pod": None,
        "options": resolve(KIND, given),
        "pending_restart": False,
        "now": NOW,
    } | more
    return status.build(given, state, "told", **arguments)


def started(moment: int) -> Object:
    text = datetime.fromtimestamp(moment / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    statuses = [{"name": "main", "state": {"running": {"startedAt": text}}}]
    spec = {"nodeName": "local", "containers": [{"name": "main"}]}
    return {
        "metadata": {"name": "ws-dora-0"},
        "spec": spec,
        "status": {"containerStatuses": statuses},
    }


def test_the_first_status_is_complete() -> None:
    definition = next(
        found for found in bundled.crds() if found["spec"]["names"]["kind"] == "Workspace"
    )
    rules = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    found = build(state="Pending", options=None)
    assert set(rules["required"]) <= set(found)
    assert found["podTemplatePod"] == {"name": "", "nodeName": "", "serviceAccountName": "ws-dora"}
    assert found["activity"] == {"lastActivity": 0, "lastUpdate": 0}


def test_a_run_begins_with_a_new_program_not_with_readiness() -> None:
    first = build({"state": "Pending", "lastRunningTime": 0}, pod=started(NOW - 5000))
    assert first["lastRunningTime"] == NOW
    used = {
        "lastActivity": NOW,
        "lastUpdate": NOW,
        "lastProbe": {"startTime": NOW, "endTime": NOW, "result": "Success", "message": "m"},
    }
    flap = build(
        first | {"state": "Pending", "activity": used}, pod=started(NOW - 5000), now=NOW + 60_000
    )
    assert flap["lastRunningTime"] == NOW
    assert flap["activity"] == used
    again = build(
        first | {"state": "Pending", "activity": used}, pod=started(NOW + 30_000), now=NOW + 60_000
    )
    assert again["lastRunningTime"] == NOW + 60_000
    assert again["activity"] == {"lastActivity": 0, "lastUpdate": 0}


def test_the_time_of_a_pause_is_that_of_the_first_status_with_it() -> None:
    paused = workspace(paused=True)
    first = status.build(
        paused, "Terminating", "", pod=None, options=None, pending_restart=False, now=NOW
    )
    second = status.build(
        paused | {"status": first},
        "Paused",
        "",
        pod=None,
        options=None,
        pending_restart=False,
        now=NOW + 9,
    )
    assert first["pauseTime"] == second["pauseTime"] == NOW
    assert build(second)["pauseTime"] == 0


def test_unknown_fields_are_kept_from_the_present_status() -> None:
    chain = {"desired": "b", "redirectChain": [{"source": "a", "target": "b"}]}
    before = {
        "state": "Running",
        "lastRunningTime": 5,
        "podTemplateOptions": {"imageConfig": chain, "podConfig": {}},
    }
    assert build(before, "Error", options=None)["podTemplateOptions"] == {
        "imageConfig": chain,
        "podConfig": {},
    }


def test_a_pod_without_a_node_is_in_the_status() -> None:
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "main"}], "initContainers": [{"name": "first"}]},
    }
    found = build(pod=pod, state="Pending")["podTemplatePod"]
    assert found["nodeName"] == ""
    assert found["containers"] == [{"name": "main"}]
    assert found["initContainers"] == [{"name": "first"}]


# Activity rules

RULES = yaml.safe_load("""
- match: {matchNamespace: {selector: {matchLabels: {tier: free}}}}
  config: {secondsSinceActive: 600}
  effect: {pauseWorkspace: true}
- match:
    matchPodConfig: {selector: {matchExpressions: [{key: gpu, operator: Exists}]}}
    matchNamespace: {selector: {matchExpressions: [{key: tier, operator: NotIn, values: [paid]}]}}
  config: {secondsSinceActive: 1200, minRunningSeconds: 100}
  effect: {pauseWorkspace: true}
- match: {matchPodConfig: {selector: {matchLabels: {gpu: "0"}}}}
  config: {secondsSinceActive: 16}
  effect: {}
- match: {matchPodConfig: {selector: {matchLabels: {keep: "yes"}}}}
  config: {secondsSinceActive: 16}
  effect: {pauseWorkspace: false}
- config: {secondsSinceActive: 7200}
  effect: {pauseWorkspace: true}
""")


@pytest.mark.parametrize(
    ("namespace", "size", "seconds"),
    [
        ({"tier": "free"}, {}, 600),
        ({"tier": "free"}, {"gpu": "1"}, 600),
        ({}, {"gpu": "1"}, 1200),
        ({"tier": "paid"}, {"gpu": "1"}, 7200),
        ({"tier": "paid"}, {"gpu": "0"}, 7200),
        ({}, {"keep": "yes"}, None),
        ({}, {}, 7200),
    ],
)
def test_the_first_matching_rule_with_the_effect_decides(
    namespace: dict[str, str], size: dict[str, str], seconds: int | None
) -> None:
    option = {"spawner": {"labels": [{"key": key, "value": value} for key, value in size.items()]}}
    rule = activity.pause_rule({"spec": {"activityRules": RULES}}, option, namespace)
    assert (rule or {}).get("config", {}).get("secondsSinceActive") == seconds


def probed(
    last_activity: int, result: str = "Success", running_since: int = NOW - 10_000_000
) -> Object:
    known = {
        "lastActivity": last_activity,
        "lastUpdate": NOW,
        "lastProbe": {"startTime": NOW, "endTime": NOW, "result": result, "message": ""},
    }
    return {"activity": activity.with_rule(known, RULES[1]), "lastRunningTime": running_since}


@pytest.mark.parametrize(
    ("known", "due"),
    [
        (probed(NOW - 1_200_000), True),
        (probed(NOW - 1_199_999), False),
        (probed(NOW - 1_200_000, running_since=NOW - 99_999), False),
        (probed(NOW - 1_200_000, running_since=NOW - 100_000), True),
        (probed(NOW - 1_200_000, "Failure"), False),
        (probed(NOW - 1_200_000, "Timeout"), False),
        (probed(0), False),
        (probed(NOW - 1_200_000, running_since=0), False),
    ],
)
def test_a_pause_needs_a_successful_probe_an_activity_and_a_long_run(
    known: Object, due: bool
) -> None:
    assert activity.is_due(known, RULES[1], NOW) == due
    assert not activity.is_due(known, None, NOW)


def test_eligibility_is_in_the_status_only_with_a_rule() -> None:
    known = {"lastActivity": 1000, "lastUpdate": 1000}
    assert activity.with_rule(known, RULES[0])["rules"] == {
        "pauseWorkspace": {"eligibleAfter": 601_000}
    }
    assert activity.with_rule({"lastActivity": 0, "lastUpdate": 0}, RULES[0])["rules"] == {
        "pauseWorkspace": {"eligibleAfter": 0}
    }
    assert activity.with_rule(activity.with_rule(known, RULES[0]), None) == known


@pytest.mark.parametrize(
    ("result", "passed", "seconds"),
    [("Success", 0, 300), ("Success", 299, 1), ("Failure", 0, 60), ("Timeout", 100, 0)],
)
def test_the_next_probe_is_sooner_after_a_failure(result: str, passed: int, seconds: float) -> None:
    intervals = {"probeIntervalSeconds": 300, "minProbeIntervalSeconds": 60}
    assert (
        activity.next_probe(
            {"lastProbe": {"result": result, "startTime": NOW}}, intervals, NOW + 1000 * passed
        )
        == seconds
    )
    assert activity.next_probe({}, intervals, NOW) == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (600, "10 minutes"),
        (86_400, "24 hours"),
        (260_000, "3 days"),
    ],
)
def test_durations_are_written_in_words(seconds: float, words: str) -> None:
    assert activity.duration(seconds) == words


def test_programs_get_the_path_below_the_base_url_of_their_server() -> None:
    started = workspace()
    started["metadata"]["annotations"] = {metadata_keys.BASE_URL: "/user/x/"}
    made = pod_template(started)
    container = made["spec"]["containers"][0]
    assert {
        "name": "NB_PREFIX",
        "value": "/user/x/workspace/connect/lab/dora/jupyterlab/",
    } in container["env"]
    assert (
        container["readinessProbe"]["httpGet"]["path"]
        == "/user/x/workspace/connect/lab/dora/jupyterlab/api"
    )
    assert made["metadata"]["annotations"][metadata_keys.BASE_URL] == "/user/x/"
    before = pod_template()["metadata"]["annotations"]
    same = (manifests.WORKSPACE_HASH, metadata_keys.KIND_TEMPLATE_HASH)
    assert [made["metadata"]["annotations"][name] for name in same] == [
        before[name] for name in same
    ]  # a program that runs is not restarted
    assert metadata_keys.BASE_URL not in before


def test_programs_get_the_path_below_the_base_url_of_a_hub_user_with_an_at_sign() -> None:
    started = workspace()
    started["metadata"]["annotations"] = {metadata_keys.BASE_URL: "/user/ana@b.org/"}
    container = pod_template(started)["spec"]["containers"][0]
    path = "/user/ana@b.org/workspace/connect/lab/dora/jupyterlab/"
    assert {"name": "NB_PREFIX", "value": path} in container["env"]


@pytest.mark.parametrize("base", ["/a/../", '/"/', "x", "/a%2f/", 7])
def test_a_base_url_that_is_not_plain_is_ignored(base: Any) -> None:
    started = workspace()
    started["metadata"]["annotations"] = {metadata_keys.BASE_URL: base}
    assert pod_template(started) == pod_template()
