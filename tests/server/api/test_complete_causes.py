"""A refusal names everything that is wrong, where Kubeflow's backend names it."""

from __future__ import annotations

from typing import Any

import pytest
from requests_and_objects import Ask, Object, workspace

KIND = """
apiVersion: kubeflow.org/v1beta1
kind: WorkspaceKind
metadata: {name: causes}
spec:
  spawner: {displayName: Workbench, description: A bench, icon: {url: "https://pics.example/i.svg"},\
 logo: {url: "https://pics.example/l.svg"}}
  podTemplate:
    volumeMounts: {home: /home/me}
    ports: [{id: web, protocol: HTTP, defaultDisplayName: Web page}]
    extraEnv: [{name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]
    probes: {readinessProbe: {PROBE}}
    options:
      imageConfig:
        spawner: {default: std}
        values: [{id: std, spawner: {displayName: Standard},\
 spec: {image: "registry.example/std:1", ports: [{id: web, port: 8888}]}}]
      podConfig:
        spawner: {default: small}
        values: [{id: small, spawner: {displayName: Small},\
 spec: {resources: {requests: {cpu: CPU}}}}]
"""


def manifest(probe: str = "{tcpSocket: {port: 1}}", cpu: str = "100m") -> str:
    return KIND.replace("{PROBE}", probe).replace("CPU}", f"{cpu}}}")


async def make(ask: Ask, text: str) -> tuple[int, Any]:
    return await ask("POST", "workspacekinds", text, media="application/yaml")  # type: ignore[no-any-return]


def fields(answer: Object) -> list[tuple[str, str]]:
    causes = answer["error"]["cause"]["validation_errors"]
    return [(cause["type"].removeprefix("FieldValue"), cause["field"]) for cause in causes]


async def test_a_bad_label_key_does_not_hide_its_bad_value(ask: Ask) -> None:
    body = workspace()
    body["data"]["podTemplate"]["podMetadata"] = {
        "labels": {"no key!": "no value!"},
        "annotations": {"a/": "", "x" * 64: ""},
    }

    code, answer = await ask("POST", "workspaces/default", body)

    at = "data.podTemplate.podMetadata"
    labels, annotations = [("Invalid", f"{at}.labels")] * 2, [("Invalid", f"{at}.annotations")] * 3
    assert (code, fields(answer)) == (422, labels + annotations)


@pytest.mark.parametrize("mode", [2**31, -(2**31) - 1, 2**70, 1.5])
async def test_a_mode_that_is_no_int32_is_a_body_that_cannot_be_read(ask: Ask, mode: float) -> None:
    body = workspace()
    body["data"]["podTemplate"]["volumes"]["secrets"] = [
        {"secretName": "s", "mountPath": "/s", "defaultMode": mode}
    ]

    assert (await ask("POST", "workspaces/default", body))[0] == 400


@pytest.mark.parametrize("mode", [2**31 - 1, -(2**31)])
async def test_a_mode_that_is_an_int32_is_named_by_its_field(ask: Ask, mode: int) -> None:
    body = workspace()
    body["data"]["podTemplate"]["volumes"]["secrets"] = [
        {"secretName": "s", "mountPath": "/s", "defaultMode": mode}
    ]

    code, answer = await ask("POST", "workspaces/default", body)

    assert (code, fields(answer)) == (
        422,
        [("Invalid", "data.podTemplate.volumes.secrets[0].defaultMode")],
    )


@pytest.mark.parametrize(
    "text",
    [
        manifest(cpu="lots"),
        manifest(cpu="true"),
        manifest(cpu="[1]"),
        manifest("{tcpSocket: {port: 2147483648}}"),
        manifest("{tcpSocket: {port: 1.5}}"),
        manifest("{httpGet: {port: true}}"),
    ],
)
async def test_numbers_that_go_cannot_decode_are_a_manifest_that_cannot_be_read(
    ask: Ask, text: str
) -> None:
    code, answer = await make(ask, text)

    assert code == 400, answer


async def test_a_kind_is_stored_as_go_writes_it(ask: Ask) -> None:
    code, answer = await make(ask, manifest("{tcpSocket: {}}", cpu="null"))

    assert code == 201, answer
    template = answer["data"]["podTemplate"]
    assert template["probes"]["readinessProbe"]["tcpSocket"] == {"port": 0}
    assert template["extraEnv"][0]["valueFrom"]["resourceFieldRef"] == {
        "resource": "limits.cpu",
        "divisor": "0",
    }
    assert template["options"]["podConfig"]["values"][0]["spec"]["resources"] == {
        "requests": {"cpu": "0"}
    }
