"""Bodies in protobuf, for every built-in kind, are the same objects as in JSON."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_workspaces.localkube.apiserver.http import protobuf
from jupyter_workspaces.localkube.apiserver.http.requests import BOUNDS
from jupyter_workspaces.localkube.apiserver.objects import decoding, structures
from jupyter_workspaces.localkube.apiserver.objects.rows import built_in

EXAMPLES: dict[str, Any] = json.loads(
    Path(__file__).with_name("protobuf_examples.json").read_text(encoding="utf-8")
)
"""Objects with all fields, encoded by Kubernetes' Go code (tools/kubernetes_structures.py)."""


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def message(api_version: str, kind: str, raw: bytes) -> bytes:
    about = field(1, api_version.encode()) + field(2, kind.encode())
    return b"k8s\0" + field(1, about) + field(2, raw) + field(3, b"") + field(4, b"")


def test_every_built_in_kind_has_an_example() -> None:
    resources = (row.resource for row in built_in())
    assert {f"{found.group}/{found.version}/{found.kind}" for found in resources} <= EXAMPLES.keys()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_protobuf_of_go_decodes_to_its_json(name: str) -> None:
    structure = structures.of(*name.split("/"))
    assert structure is not None
    wire = base64.b64decode(EXAMPLES[name]["protobuf"])

    read = decoding.decode(structure, protobuf.decode(wire, BOUNDS))

    assert read == decoding.decode(structure, EXAMPLES[name]["json"])
    assert not read[1]


def test_empty_values_are_left_out_as_in_json() -> None:
    metadata = (
        field(1, b"made")
        + field(3, b"")
        + field(11, field(1, b"app") + field(2, b"x"))
        + field(8, b"")
    )
    raw = (
        field(1, metadata)
        + field(2, field(1, b"key") + field(2, b"\xff\x00"))
        + field(3, b"Opaque")
        + field(5, 1)
        + field(15, b"unknown")
    )

    assert protobuf.decode(message("v1", "Secret", raw), BOUNDS) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "made", "labels": {"app": "x"}},
        "data": {"key": "/wA="},
        "type": "Opaque",
        "immutable": True,
    }


def test_an_absent_value_of_a_map_is_empty() -> None:
    read = protobuf.decode(message("v1", "ConfigMap", field(2, field(1, b"key"))), BOUNDS)
    assert read["data"] == {"key": ""}


def test_zero_of_a_pointer_is_kept() -> None:
    read = protobuf.decode(message("apps/v1", "StatefulSet", field(2, field(1, 0))), BOUNDS)
    assert read["spec"]["replicas"] == 0


def test_packed_numbers_are_decoded() -> None:
    context = field(4, bytes([7, 8]))  # supplementalGroups
    read = protobuf.decode(message("v1", "Pod", field(2, field(14, context))), BOUNDS)
    assert read["spec"]["securityContext"]["supplementalGroups"] == [7, 8]


@pytest.mark.parametrize("api_version", ["v1", "apps/v1", "kubeflow.org/v1beta1"])
def test_delete_options_are_accepted_in_every_group(api_version: str) -> None:
    read = protobuf.decode(
        message(api_version, "DeleteOptions", field(1, 0) + field(4, b"Foreground")), BOUNDS
    )
    assert (read["gracePeriodSeconds"], read["propagationPolicy"]) == (0, "Foreground")


def test_an_unknown_kind_is_named_in_the_error() -> None:
    with pytest.raises(protobuf.UnknownKind, match="Deployment"):
        protobuf.decode(message("apps/v1", "Deployment", b""), BOUNDS)


@pytest.mark.parametrize(
    "raw",
    [
        field(1, 1),  # a message was expected
        field(2, field(1, b"x")),  # replicas is a number
        field(2, field(1, 0))[:-1],
        field(2, b"\xff"),
        field(1, field(8, b"\x08" + b"\xff" * 8 + b"\x7f")),  # the year 292 billion
        field(1, field(1, b"\xff\xfe")),  # no UTF-8
    ],
)
def test_a_malformed_message_is_rejected(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        protobuf.decode(message("apps/v1", "StatefulSet", raw), BOUNDS)


async def test_go_clients_can_write_all_kinds(api: Any) -> None:
    metadata = field(1, b"set") + field(3, b"default")
    labels = field(1, field(1, b"a") + field(2, b"b"))
    container = field(1, b"main") + field(2, b"registry.example/x:1")
    template = field(1, field(11, field(1, b"a") + field(2, b"b"))) + field(2, field(2, container))
    spec = field(1, 0) + field(2, labels) + field(3, template) + field(5, b"set")
    body = message("apps/v1", "StatefulSet", field(1, metadata) + field(2, spec))

    async with api.session() as session:
        path = "/apis/apps/v1/namespaces/default/statefulsets"
        headers = {"Content-Type": protobuf.MEDIA, "Accept": f"{protobuf.MEDIA}, */*"}
        async with session.post(path, data=body, headers=headers) as answer:
            made = await answer.json()

    assert answer.status == 201, made
    assert made["spec"]["replicas"] == 0
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/x:1"
