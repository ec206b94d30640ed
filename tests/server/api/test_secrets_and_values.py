"""Secrets, whose values are never told, and the options of a kind as its filter rules show them."""

from __future__ import annotations

import base64
import json

import pytest
from requests_and_objects import Ask

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.server.api.workspaces.kinds.filtering import (
    Context,
    Effect,
    effects,
    unknown_options,
)
from jupyter_workspaces.server.api.workspaces.kinds.manifest import read_manifest
from jupyter_workspaces.server.api.workspaces.kinds.typed import Reading, part, written
from jupyter_workspaces.server.http.problems import InvalidObject, Problem


def value(text: str) -> Object:
    return {"base64": base64.b64encode(text.encode()).decode()}


async def test_a_key_is_set_kept_or_dropped_by_what_an_update_says_of_it(
    ask: Ask, cluster: ApiServer
) -> None:
    made = {"name": "login", "contents": {"user": value("ana"), "word": value("x"), "none": {}}}
    assert (await ask("POST", "secrets/default", {"data": made}))[1]["data"]["contents"] == {
        "user": {},
        "word": {},
    }

    change = {"type": "", "contents": {"user": {}, "fresh": value("y"), "unknown": {}}}
    code, body = await ask("PUT", "secrets/default/login", {"data": change})
    assert (code, body["data"]) == (
        200,
        {"type": "Opaque", "immutable": False, "contents": {"fresh": {}, "user": {}}},
    )
    row = cluster.engine.registry.get("", "v1", "secrets")
    assert row is not None
    stored = cluster.engine.store.get(row.name, "default", "login")
    assert stored is not None
    assert stored.decode()["data"] == {
        "user": value("ana")["base64"],
        "fresh": value("y")["base64"],
    }


async def test_no_answer_about_secrets_has_a_value(ask: Ask) -> None:
    secret = {"name": "login", "contents": {"word": value("open sesame")}}
    answers = [await ask("POST", "secrets/default", {"data": secret})]
    answers += [await ask("GET", path) for path in ("secrets/default", "secrets/default/login")]

    assert [code for code, _ in answers] == [201, 200, 200]
    assert value("open sesame")["base64"] not in json.dumps(answers)


def kind(*rules: Object) -> Object:
    def option(name: str, **labels: str) -> Object:
        return {
            "id": name,
            "spawner": {
                "displayName": name,
                "labels": [{"key": key, "value": text} for key, text in labels.items()],
            },
        }

    options = {
        "imageConfig": {
            "spawner": {"default": "plain"},
            "values": [option("plain"), option("fast", tier="gold")],
        },
        "podConfig": {
            "spawner": {"default": "small"},
            "values": [option("small"), option("gpu", gpu="1")],
        },
    }
    return {"spec": {"podTemplate": {"options": options}, "filterRules": list(rules)}}


def rule(scope: str, effect: Object, *match: Object) -> Object:
    return {
        "scope": scope,
        "effect": effect,
        "match": [
            {name: {"selector": selector}} for one in match for name, selector in one.items()
        ],
    }


GOLD = {"metadata": {"labels": {"tier": "gold"}}}
HIDE, DENY = {"api": {"hide": True}}, {"api": {"deny": True, "denyMessage": {"text": "ask us"}}}


@pytest.mark.parametrize(
    ("rules", "context", "wanted"),
    [
        ([], Context(), {"small": Effect(), "gpu": Effect()}),
        (
            [rule("POD_CONFIG", HIDE, {"matchPodConfig": {"matchLabels": {"gpu": "1"}}})],
            Context(),
            {"small": Effect()},
        ),
        (
            [rule("POD_CONFIG", DENY, {"matchNamespace": {}})],
            Context(),
            {"small": Effect(), "gpu": Effect()},
        ),
        (
            [
                rule("POD_CONFIG", DENY, {"matchNamespace": {"matchLabels": {"tier": "gold"}}}),
                rule("POD_CONFIG", HIDE, {"matchNamespace": {}}),
            ],
            Context(namespace=GOLD),
            {
                "small": Effect(deny=True, deny_message="ask us"),
                "gpu": Effect(deny=True, deny_message="ask us"),
            },
        ),
        (
            [rule("POD_CONFIG", HIDE, {"matchImageConfig": {}})],
            Context(),
            {"small": Effect(), "gpu": Effect()},
        ),
        (
            [rule("POD_CONFIG", HIDE, {"matchImageConfig": {"matchLabels": {"tier": "gold"}}})],
            Context(image_config="fast"),
            {},
        ),
        (
            [
                rule(
                    "POD_CONFIG",
                    HIDE,
                    {"matchPodConfig": {"matchExpressions": [{"key": "gpu", "operator": "Near"}]}},
                )
            ],
            Context(),
            None,
        ),
        (
            [rule("IMAGE_CONFIG", HIDE, {"matchNamespace": {}})],
            Context(namespace=GOLD),
            {"small": Effect(), "gpu": Effect()},
        ),
        (
            [rule("POD_CONFIG", {"ui": {"hide": True}}, {"matchPodConfig": {}})],
            Context(pod_config="gpu"),
            {"gpu": Effect(hide=True)},
        ),
    ],
)
def test_the_first_rule_that_fits_decides(
    rules: list[Object], context: Context, wanted: dict[str, Effect] | None
) -> None:
    found = {
        name: effect
        for (dimension, name), effect in effects(kind(*rules), context).items()
        if dimension == "podConfig"
    }

    assert found == ({"small": Effect(), "gpu": Effect()} if wanted is None else wanted)


def test_options_that_the_kind_does_not_have_are_named() -> None:
    causes = unknown_options(kind(), Context(image_config="lost", pod_config="lost"))

    assert [cause.field for cause in causes] == ["context.imageConfig.id", "context.podConfig.id"]


MANIFEST = "apiVersion: kubeflow.org/v1beta1\nkind: WorkspaceKind\nmetadata: {name: k}\n"


def test_what_nobody_set_is_written_as_zero() -> None:
    spawner = read_manifest(MANIFEST.encode())["spec"]["spawner"]

    assert spawner == {"displayName": "", "description": "", "icon": {}, "logo": {}}
    size = written(
        part("spec", "podTemplate", "options", "podConfig", "values"),
        [{"id": "a", "spec": {"resources": {"limits": {"memory": "1024Mi"}}}}],
    )
    assert size[0]["spec"]["resources"]["limits"] == {"memory": "1Gi"}


@pytest.mark.parametrize(
    ("text", "status", "problems"),
    [
        ("spec: {spawner: {a: 1, b: 2}}", 422, 2),
        ("spec: {spawner: {displayName: x, displayName: y}, c: 3}", 422, 2),
        ("spec: {spawner: {displayName: 5}}", 400, 0),
        ("spec: {podTemplate: {ports: {}}}", 400, 0),
        ("spec: {activityRules: [{config: {secondsSinceActive: 99999999999}}]}", 400, 0),
        ("spec: []", 400, 0),
        ("spec: {spawner: {hidden: 'yes'}}", 400, 0),
    ],
)
def test_each_problem_of_a_manifest_is_told(text: str, status: int, problems: int) -> None:
    with pytest.raises(Problem) as refused:
        read_manifest((MANIFEST + text).encode())

    causes = refused.value.causes if isinstance(refused.value, InvalidObject) else ()
    assert (refused.value.status, [cause.field for cause in causes]) == (
        status,
        ["<nil>"] * problems,
    )


@pytest.mark.parametrize(
    "text",
    [
        MANIFEST + "---\n: [",
        "# a comment\n---\n" + MANIFEST,
        MANIFEST + "spec: null\nstatus: null\n",
    ],
)
def test_only_the_first_document_is_read(text: str) -> None:
    assert read_manifest(text.encode())["metadata"] == {"name": "k"}


def test_json_is_read_in_any_case() -> None:
    reading = Reading(any_case=True)

    assert reading.read(part("spec", "spawner"), {"DISPLAYNAME": "x", "hidden": None}) == {
        "displayName": "x"
    }
    assert (reading.unknown, reading.wrong) == ([], [])
