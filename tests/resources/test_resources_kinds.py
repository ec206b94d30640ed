"""Errors in WorkspaceKinds: types and fields are those of Kubernetes and of Kubeflow's webhook."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kind_objects import ABSENT, Lookup, bench, changed, image, judge, pairs, workspace

from jupyter_workspaces.resources.admission import review
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS

IMAGES = "spec.podTemplate.options.imageConfig"
SIZES = "spec.podTemplate.options.podConfig"
NIL = ("Invalid", "<nil>")
PICTURE = {"name": "pictures", "namespace": "default", "key": "i.svg", "mediaType": "image/svg+xml"}
JUPYTER = {"jupyter": {"lastActivity": True, "portId": "web"}}
PAUSE = {"config": {"secondsSinceActive": 7200}, "effect": {"pauseWorkspace": True}}
GPU = {"selector": {"matchLabels": {"gpu": "yes"}}}
HIDE = {"ui": {"hide": True}}
PROBE = "spec.podTemplate.activityProbe"


def idle(effect: Any, seconds: int = 7200, match: Any = None) -> list[Any]:
    return [
        {"config": {"secondsSinceActive": seconds}, "effect": effect}
        | ({"match": match} if match else {})
    ]


def filtered(match: Any, effect: Any, scope: str = "POD_CONFIG") -> list[Any]:
    return [{"scope": scope, "match": [match], "effect": effect}]


BREAKS = [
    ("spec", ABSENT, {("Required", "spec")}),
    ("spec.spawner.displayName", "x", {("Invalid", "spec.spawner.displayName")}),
    ("spec.spawner.displayName", "d" * 129, {("TooLong", "spec.spawner.displayName"), NIL}),
    ("spec.spawner.description", ABSENT, {("Required", "spec.spawner.description"), NIL}),
    ("spec.spawner.description", "", {("Invalid", "spec.spawner.description")}),
    ("spec.spawner.description", 7, {("TypeInvalid", "spec.spawner.description"), NIL}),
    ("spec.spawner.icon", {}, {("Invalid", "spec.spawner.icon")}),
    ("spec.spawner.icon", {"url": "x", "configMap": PICTURE}, {("Invalid", "spec.spawner.icon")}),
    (
        "spec.spawner.icon",
        {"configMap": {**PICTURE, "mediaType": "image/png"}},
        {("NotSupported", "spec.spawner.icon.configMap.mediaType"), NIL},
    ),
    (
        "spec.podTemplate.volumeMounts.home",
        "home",
        {("Invalid", "spec.podTemplate.volumeMounts.home")},
    ),
    (
        "spec.podTemplate.volumeMounts.home",
        "/",
        {("Invalid", "spec.podTemplate.volumeMounts.home")},
    ),
    (
        "spec.podTemplate.volumeMounts.home",
        "/home\n",
        {("Invalid", "spec.podTemplate.volumeMounts.home")},
    ),
    ("spec.podTemplate.ports", [], {("Invalid", "spec.podTemplate.ports")}),
    ("spec.podTemplate.ports.0.id", "WEB", {("Invalid", "spec.podTemplate.ports[0].id")}),
    (
        "spec.podTemplate.ports.0.protocol",
        "TCP",
        {("NotSupported", "spec.podTemplate.ports[0].protocol"), NIL},
    ),
    (f"{IMAGES}.values", [], {("Invalid", f"{IMAGES}.values")}),
    (f"{IMAGES}.values.0.spec.image", "x", {("Invalid", f"{IMAGES}.values[0].spec.image")}),
    (
        f"{IMAGES}.values.0.spec.imagePullPolicy",
        "Now",
        {("NotSupported", f"{IMAGES}.values[0].spec.imagePullPolicy"), NIL},
    ),
    (
        f"{IMAGES}.values.0.spec.ports.0.port",
        0,
        {("Invalid", f"{IMAGES}.values[0].spec.ports[0].port")},
    ),
    (
        f"{IMAGES}.values.0.spec.ports.0.port",
        65536,
        {("Invalid", f"{IMAGES}.values[0].spec.ports[0].port")},
    ),
    (f"{IMAGES}.values.1.id", "a", {("Duplicate", f"{IMAGES}.values[1]")}),
    (
        f"{IMAGES}.values.0.spawner.labels",
        [{"key": f"k{n}", "value": "v"} for n in range(33)],
        {("TooMany", f"{IMAGES}.values[0].spawner.labels"), NIL},
    ),
    (f"{SIZES}.spawner.default", "", {("Invalid", f"{SIZES}.spawner.default")}),
    (
        f"{SIZES}.values.0.spec.resources.requests.cpu",
        "lots",
        {("Invalid", f"{SIZES}.values[0].spec.resources.requests.cpu")},
    ),
    (PROBE, {}, {("Invalid", PROBE)}),
    (
        PROBE,
        {**JUPYTER, "minProbeIntervalSeconds": 9, "probeIntervalSeconds": 8},
        {("Invalid", PROBE)},
    ),
    (
        PROBE,
        {"jupyter": {"lastActivity": False, "portId": "web"}},
        {("Invalid", f"{PROBE}.jupyter.lastActivity")},
    ),
    (
        "spec.activityRules",
        idle({"pauseWorkspace": False}, 15),
        {("Invalid", "spec.activityRules[0].config.secondsSinceActive")},
    ),
    (
        "spec.activityRules",
        idle({"pauseWorkspace": False}, 2**31),
        {("Invalid", "spec.activityRules[0].config.secondsSinceActive")},
    ),
    ("spec.activityRules", idle({}, 16), {("Invalid", "spec.activityRules[0].effect")}),
    (
        "spec.filterRules",
        filtered({"matchNamespace": GPU}, HIDE, "ALL"),
        {("NotSupported", "spec.filterRules[0].scope"), NIL},
    ),
    ("spec.filterRules", filtered({}, HIDE), {("Invalid", "spec.filterRules[0].match[0]")}),
    (
        "spec.filterRules",
        filtered({"matchPodConfig": GPU}, {}),
        {("Invalid", "spec.filterRules[0].effect")},
    ),
    (
        "spec.filterRules",
        filtered({"matchPodConfig": GPU}, {"api": {"denyMessage": {"text": "no!"}}}),
        {("Invalid", "spec.filterRules[0].effect.api")},
    ),
    # The rules beyond the schema name entries of lists by id.
    (
        "spec.podTemplate.podMetadata.labels",
        {"no label!": "x"},
        {("Invalid", "spec.podTemplate.podMetadata.labels")},
    ),
    (
        "spec.podTemplate.podMetadata.labels",
        {"team": "a b"},
        {("Invalid", "spec.podTemplate.podMetadata.labels")},
    ),
    (
        "spec.podTemplate.podMetadata.annotations",
        {"-x": "y"},
        {("Invalid", "spec.podTemplate.podMetadata.annotations")},
    ),
    (
        "spec.podTemplate.extraEnv",
        [{"name": "P", "value": "{{ nothing }}"}],
        {("Invalid", "spec.podTemplate.extraEnv[P].value")},
    ),
    (
        "spec.podTemplate.extraEnv",
        [{"name": "P", "value": '{{ httpPathPrefix "web"'}],
        {("Invalid", "spec.podTemplate.extraEnv[P].value")},
    ),
    (
        "spec.podTemplate.probes",
        {"startupProbe": {"httpGet": {"port": 1, "path": "{{ no }}"}}},
        {("Invalid", "spec.podTemplate.probes.startupProbe.httpGet.path")},
    ),
    (f"{IMAGES}.spawner.default", "lost", {("Invalid", f"{IMAGES}.spawner.default")}),
    (f"{SIZES}.spawner.default", "lost", {("Invalid", f"{SIZES}.spawner.default")}),
    (
        f"{IMAGES}.values.0.redirect",
        {"to": "lost"},
        {("Invalid", f"{IMAGES}.values[a].redirect.to")},
    ),
    (f"{IMAGES}.values.0.redirect", {"to": "a"}, {("Invalid", f"{IMAGES}.values[a].redirect.to")}),
    (
        f"{IMAGES}.values.0.spec.ports.1",
        {"id": "other", "port": 1},
        {("Invalid", f"{IMAGES}.values[a].spec.ports[other].id")},
    ),
    (PROBE, {"podExec": {"script": "echo"}}, {("Invalid", f"{PROBE}.podExec.script")}),
    (
        PROBE,
        {"jupyter": {"lastActivity": True, "portId": "lost"}},
        {("Invalid", f"{PROBE}.jupyter.portId")},
    ),
    ("spec.activityRules", [PAUSE], {("Required", PROBE)}),
    (
        "spec.podTemplate.ports.0.httpProxy",
        {"requestHeaders": {"set": {"X": "{{ no }}"}}},
        {("Invalid", "spec.podTemplate.ports[0].httpProxy.requestHeaders.set[X]")},
    ),
    (
        "spec.filterRules",
        filtered({"matchPodConfig": {"selector": {"matchLabels": {"no key!": "no value!"}}}}, HIDE),
        {("Invalid", "spec.filterRules[0].match[0].matchPodConfig.selector.matchLabels")},
    ),
    (
        "spec.filterRules",
        filtered(
            {
                "matchNamespace": {
                    "selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}
                }
            },
            HIDE,
        ),
        {
            (
                "Required",
                "spec.filterRules[0].match[0].matchNamespace.selector.matchExpressions[0].values",
            )
        },
    ),
    (
        "spec.filterRules",
        filtered(
            {
                "matchNamespace": {
                    "selector": {
                        "matchExpressions": [
                            {"key": "a", "operator": "Exists", "values": ["b"]},
                            {"key": "no key!", "operator": "Near", "values": ["no value!"]},
                        ]
                    }
                }
            },
            HIDE,
        ),
        {
            (
                "Forbidden",
                "spec.filterRules[0].match[0].matchNamespace.selector.matchExpressions[0].values",
            ),
            (
                "Invalid",
                "spec.filterRules[0].match[0].matchNamespace.selector.matchExpressions[1].operator",
            ),
            (
                "Invalid",
                "spec.filterRules[0].match[0].matchNamespace.selector.matchExpressions[1].key",
            ),
            (
                "Invalid",
                "spec.filterRules[0].match[0].matchNamespace.selector.matchExpressions[1].values[0]",
            ),
        },
    ),
    (
        "spec.filterRules",
        filtered({"matchPodConfig": GPU}, {"ui": {"hide": False}}),
        {("Invalid", "spec.filterRules[0].effect")},
    ),
    (
        "spec.filterRules",
        filtered({"matchPodConfig": GPU}, HIDE, "WORKSPACE_KIND"),
        {("Invalid", "spec.filterRules[0].match[0].matchPodConfig")},
    ),
]


BAD = {"matchLabels": {"no label!": "x"}}
WHERE = [
    (
        "spec.activityRules",
        lambda bad: idle({"pauseWorkspace": False}, 16, {"matchPodConfig": {"selector": bad}}),
        "spec.activityRules[0].match.matchPodConfig.selector",
    ),
    (
        "spec.activityRules",
        lambda bad: idle({"pauseWorkspace": False}, 16, {"matchNamespace": {"selector": bad}}),
        "spec.activityRules[0].match.matchNamespace.selector",
    ),
    (
        "spec.filterRules",
        lambda bad: filtered({"matchPodConfig": {"selector": bad}}, HIDE),
        "spec.filterRules[0].match[0].matchPodConfig.selector",
    ),
    (
        "spec.filterRules",
        lambda bad: filtered({"matchImageConfig": {"selector": bad}}, HIDE),
        "spec.filterRules[0].match[0].matchImageConfig.selector",
    ),
    (
        "spec.filterRules",
        lambda bad: filtered({"matchNamespace": {"selector": bad}}, HIDE),
        "spec.filterRules[0].match[0].matchNamespace.selector",
    ),
    (
        f"{SIZES}.values.0.spec.affinity",
        lambda bad: near(labelSelector=bad),
        f"{SIZES}.values[small].spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector",
    ),
    (
        f"{SIZES}.values.0.spec.affinity",
        lambda bad: near(namespaceSelector=bad),
        f"{SIZES}.values[small].spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespaceSelector",
    ),
]


def near(**selectors: Any) -> dict[str, Any]:
    return {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", **selectors}
            ]
        }
    }


@pytest.mark.parametrize(("path", "made", "at"), WHERE, ids=[at for _, _, at in WHERE])
@pytest.mark.parametrize(
    ("selector", "type", "below"),
    [
        (BAD, "Invalid", "matchLabels"),
        ({"matchLabels": {"team": "not a value"}}, "Invalid", "matchLabels"),
        ({"matchLabels": {"a/b/c": "x"}}, "Invalid", "matchLabels"),
        (
            {"matchExpressions": [{"key": "-", "operator": "Exists"}]},
            "Invalid",
            "matchExpressions[0].key",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]},
            "Invalid",
            "matchExpressions[0].operator",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "-"]}]},
            "Invalid",
            "matchExpressions[0].values[1]",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "NotIn"}]},
            "Required",
            "matchExpressions[0].values",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
            "Forbidden",
            "matchExpressions[0].values",
        ),
    ],
)
def test_an_invalid_selector_is_refused_at_its_field(
    path: str, made: Any, at: str, selector: Any, type: str, below: str
) -> None:
    assert pairs(judge(changed(bench(), path, made(selector)))) == {(type, f"{at}.{below}")}


def test_a_size_with_invalid_node_labels_is_refused() -> None:
    found = judge(
        changed(
            bench(), f"{SIZES}.values.0.spec.nodeSelector", {"no label!": "x", "fine": "no value!"}
        )
    )
    assert {cause.field for cause in found.causes} == {f"{SIZES}.values[small].spec.nodeSelector"}
    assert len(found.causes) == 2


def test_a_stored_kind_with_an_invalid_selector_can_be_changed() -> None:
    stored = changed(
        bench(), "spec.filterRules", filtered({"matchPodConfig": {"selector": BAD}}, HIDE)
    )
    assert not judge(changed(stored, "spec.spawner.hidden", True), stored).causes
    worse = changed(
        stored,
        "spec.activityRules",
        idle({"pauseWorkspace": False}, 16, {"matchNamespace": {"selector": BAD}}),
    )
    assert pairs(judge(worse, stored)) == {
        ("Invalid", "spec.activityRules[0].match.matchNamespace.selector.matchLabels")
    }


@pytest.mark.parametrize(("path", "value", "wanted"), BREAKS)
def test_an_error_has_its_type_and_field(
    path: str, value: Any, wanted: set[tuple[str, str]]
) -> None:
    assert pairs(judge(changed(bench(), path, value))) == wanted


def test_all_errors_are_returned_at_once() -> None:
    kind = changed(changed(bench(), "spec.spawner.displayName", ""), "spec.spawner.logo", {})
    assert pairs(judge(kind)) == {
        ("Invalid", "spec.spawner.displayName"),
        ("Invalid", "spec.spawner.logo"),
    }
    kind = changed(
        changed(bench(), f"{IMAGES}.spawner.default", "lost"), f"{SIZES}.spawner.default", "lost"
    )
    assert len(judge(kind).causes) == 2


def test_a_valid_kind_is_allowed_unchanged() -> None:
    kind = changed(
        bench(),
        "spec.podTemplate.extraEnv",
        [{"name": "P", "value": '{{ httpPathPrefix "web" }}'}, {"name": "J", "value": '{"a":{}}'}],
    )
    kind = changed(kind, PROBE, JUPYTER)
    kind = changed(kind, "spec.activityRules", [PAUSE])
    result = judge(kind)
    assert not result.causes
    assert not result.warnings


def test_a_redirect_cycle_is_one_error() -> None:
    kind = changed(
        changed(bench(), f"{IMAGES}.values.0.redirect", {"to": "b"}),
        f"{IMAGES}.values.1.redirect",
        {"to": "a"},
    )
    assert pairs(judge(kind)) <= {
        ("Invalid", f"{IMAGES}.values[{one}].redirect.to") for one in "ab"
    }
    assert len(judge(kind).causes) == 1


def test_two_ports_of_an_image_cannot_have_the_same_number() -> None:
    kind = changed(
        bench(),
        "spec.podTemplate.ports.1",
        {"id": "other", "protocol": "HTTP", "defaultDisplayName": "Other"},
    )
    kind = changed(kind, f"{IMAGES}.values.0.spec.ports.1", {"id": "other", "port": 8888})
    assert pairs(judge(kind)) == {("Invalid", f"{IMAGES}.values[a].spec.ports[other].port")}


def test_only_the_last_activity_rule_may_have_no_match() -> None:
    probed = changed(
        bench(), PROBE, {**JUPYTER, "probeIntervalSeconds": 60, "minProbeIntervalSeconds": 60}
    )
    matched = {**PAUSE, "match": {"matchPodConfig": GPU}}
    assert not judge(changed(probed, "spec.activityRules", [matched, PAUSE])).causes
    assert pairs(judge(changed(probed, "spec.activityRules", [PAUSE, matched]))) == {
        ("Invalid", "spec.activityRules[0].match")
    }
    twice = pairs(judge(changed(probed, "spec.activityRules", [PAUSE, PAUSE])))
    assert twice == {
        ("Invalid", "spec.activityRules[0].match"),
        ("Invalid", "spec.activityRules[1].match"),
    }


def test_a_rule_shorter_than_two_probes_gives_a_warning() -> None:
    kind = changed(bench(), PROBE, JUPYTER)
    result = judge(
        changed(kind, "spec.activityRules", [{**PAUSE, "config": {"secondsSinceActive": 7199}}])
    )
    assert not result.causes
    assert len(result.warnings) == 1


def test_the_home_path_of_a_kind_cannot_change() -> None:
    assert pairs(
        judge(changed(bench(), "spec.podTemplate.volumeMounts.home", "/home/you"), bench())
    ) == {("Invalid", "spec.podTemplate.volumeMounts.home")}


def test_the_spec_of_an_option_in_use_cannot_change_but_its_texts() -> None:
    used = Lookup([bench()], [workspace()])
    assert not judge(
        changed(bench(), f"{IMAGES}.values.0.spawner.displayName", "Another name"), bench(), used
    ).causes
    assert not judge(
        changed(bench(), f"{IMAGES}.values.0.redirect", {"to": "b"}), bench(), used
    ).causes
    assert not judge(
        changed(bench(), f"{IMAGES}.values.1.spec.image", "registry.example/std:2"), bench(), used
    ).causes
    for value in ("registry.example/std:2",):
        found = judge(changed(bench(), f"{IMAGES}.values.0.spec.image", value), bench(), used)
        assert pairs(found) == {("Invalid", f"{IMAGES}.values[a]")}
        assert "redirect" in found.causes[0].message
    removed = changed(
        changed(bench(), f"{IMAGES}.values", [image("b")]), f"{IMAGES}.spawner.default", "b"
    )
    assert pairs(judge(removed, bench(), used)) == {("Invalid", f"{IMAGES}.values[a]")}
    assert not judge(removed, bench(), Lookup([bench()])).causes


def test_a_kind_in_use_cannot_be_deleted() -> None:
    refused = review(
        WORKSPACE_KINDS,
        "DELETE",
        bench(),
        None,
        Lookup([bench()], [workspace("dora"), workspace("emil")]),
    )
    assert refused.conflict is not None
    assert "default/dora" in refused.conflict
    assert "2 workspaces" in refused.conflict
    assert review(WORKSPACE_KINDS, "DELETE", bench(), None, Lookup([bench()])).conflict is None


def test_a_deleted_kind_can_lose_its_finalizer() -> None:
    going = copy.deepcopy(bench())
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    going["spec"]["podTemplate"]["options"]["imageConfig"]["spawner"]["default"] = "lost"
    assert not judge(going, bench()).causes
