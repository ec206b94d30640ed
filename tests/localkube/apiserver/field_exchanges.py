"""Sequences of writes with recorded answers of a real API server, to compare managed fields.

`python tests/localkube/apiserver/field_exchanges.py --kubeconfig FILE` plays them on a real cluster
and records `field_exchanges.json` again. The long sequences are random with a fixed seed, because
managed fields depend on long histories.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.types import Object

RECORDED = Path(__file__).with_suffix(".json")
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
GROUP = "fields.example.org"
SEEDS = 2
ESTABLISH_SECONDS = 20
_SERVERS = ("uid", "creationTimestamp", "resourceVersion", "managedFields", "namespace", "name")


@dataclass
class Step:
    """One request. `path` is below the namespace of the sequence, with or without an API group."""

    method: str
    path: str
    body: Any
    media: str = "application/json"
    query: Object = field(default_factory=dict)


Sequence = list[Step]


def thing_definition() -> Object:
    """Return a CRD with all ways to merge lists and maps."""
    item = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "port": {"type": "integer", "default": 1},
            "note": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        },
    }
    spec = {
        "type": "object",
        "properties": {
            "size": {"type": "integer"},
            "color": {"type": "string", "default": "red"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "whole": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "x-kubernetes-map-type": "atomic",
            },
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "names": {
                "type": "array",
                "items": {"type": "string"},
                "x-kubernetes-list-type": "set",
            },
            "words": {"type": "array", "items": {"type": "string"}},
            "share": {"x-kubernetes-int-or-string": True},
            "parts": {
                "type": "array",
                "items": item,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
            "pairs": {
                "type": "array",
                "items": item,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name", "port"],
            },
            "inner": {
                "type": "object",
                "properties": {
                    "a": {"type": "string"},
                    "deep": {"type": "object", "properties": {"b": {"type": "string"}}},
                },
            },
        },
    }
    status = {
        "type": "object",
        "properties": {"state": {"type": "string"}, "parts": spec["properties"]["parts"]},
    }  # type: ignore[index]
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}
        },
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [version],
        },
    }


def thing(spec: Object | None, **metadata: Any) -> Object:
    body: Object = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Thing",
        "metadata": {"name": "one", **metadata},
    }
    return body if spec is None else body | {"spec": spec}


def _some(chance: random.Random, choices: dict[str, Any]) -> Object:
    """Return some of these fields, each with one of its values."""
    return {
        name: chance.choice(values) for name, values in choices.items() if chance.random() < 0.35
    }


def _items(chance: random.Random) -> Any:
    names = chance.sample(["a", "b", "c", "d"], chance.randint(0, 3))
    more = {"port": [1, 2], "note": ["x", "y"], "tags": [["t"], ["t", "u"], []]}
    return [{"name": name, **_some(chance, more)} for name in names]


def _thing_spec(chance: random.Random) -> Object:
    return _some(
        chance,
        {
            "size": [1, 2],
            "color": ["red", "green"],
            "labels": [{"a": "1"}, {"a": "2", "b": "1"}, {"c": "1"}, {}],
            "whole": [{"a": "1"}, {"a": "2", "b": "1"}],
            "open": [
                {"x": {"y": 1, "z": [1, 2]}},
                {"x": {"y": 2}, "l": [{"name": "q"}]},
                {"x": "text"},
                {},
            ],
            "names": [["a"], ["b", "a"], ["c", "b"], []],
            "words": [["a"], ["b", "a"], []],
            "share": [1, "1"],
            "parts": [_items(chance)],
            "pairs": [_items(chance)],
            "inner": [
                {"a": "1"},
                {"a": "2", "deep": {"b": "1"}},
                {"deep": {"b": "2"}},
                {"deep": {}},
            ],
        },
    )


def _metadata(chance: random.Random) -> Object:
    return _some(
        chance,
        {
            "labels": [{"a": "1"}, {"b": "2", "a": "2"}],
            "annotations": [{"n": "1"}, {"m": "1"}],
            "finalizers": [["x.y/a"], ["x.y/b"]],
        },
    )


def things(seed: int, count: int) -> Sequence:
    """Yield applies and updates of one custom object in turn."""
    chance, path = random.Random(seed), f"/apis/{GROUP}/v1/{{namespace}}/things/one"
    steps: Sequence = []
    for _ in range(count):
        kind = chance.random()
        manager = {"fieldManager": chance.choice(["a", "b", "c"])}
        if kind < 0.6 or not steps:
            more = {"force": "true"} if chance.random() < 0.5 else {}
            steps.append(
                Step(
                    "PATCH",
                    path,
                    thing(_thing_spec(chance), **_metadata(chance)),
                    APPLY,
                    manager | more,
                )
            )
        elif kind < 0.75:
            patch = {
                "spec": _thing_spec(chance)
                | {chance.choice(["size", "labels", "parts", "inner"]): None}
            }
            steps.append(
                Step("PATCH", path, patch, MERGE, {"fieldManager": chance.choice(["u", "v", "a"])})
            )
        elif kind < 0.85:
            status = _some(chance, {"state": ["x", "y"], "parts": [_items(chance)]})
            steps.append(
                Step(
                    "PATCH",
                    path + "/status",
                    thing(None) | {"status": status},
                    APPLY,
                    manager | {"force": "true"},
                )
            )
        elif kind < 0.95:
            steps.append(
                Step(
                    "PATCH",
                    path + "/status",
                    {"status": {"state": chance.choice(["p", None])}},
                    MERGE,
                    manager,
                )
            )
        else:
            steps.append(
                Step(
                    "PATCH",
                    path,
                    [{"op": "add", "path": "/metadata/managedFields", "value": [{}]}],
                    JSON_PATCH,
                    manager,
                )
            )
    return steps


def _containers(chance: random.Random, delete: bool = False) -> Any:
    found = []
    for name in chance.sample(["main", "side", "more"], chance.randint(1, 3)):
        if delete and chance.random() < 0.2:
            found.append({"name": name, "$patch": "delete"})
            continue
        env: list[Object] = [
            {"name": one, "value": chance.choice("12")}
            for one in chance.sample("ABC", chance.randint(0, 3))
        ]
        if delete and env and chance.random() < 0.3:
            env[0] = {"name": env[0]["name"], "$patch": "delete"}
        ports = [
            {
                "containerPort": chance.choice([80, 81]),
                **({"protocol": "UDP"} if chance.random() < 0.3 else {}),
            }
        ]
        container = {
            "name": name,
            "image": chance.choice(["i:1", "i:2"]),
            **_some(chance, {"env": [env], "ports": [ports], "args": [["x"], ["y", "z"]]}),
        }
        resources = {"limits": {"cpu": chance.choice(["1", "2"])}, "requests": {"cpu": "1"}}
        found.append(
            container
            | _some(
                chance,
                {"resources": [resources], "volumeMounts": [[{"name": "a", "mountPath": "/a"}]]},
            )
        )
    return found


def _template(chance: random.Random, delete: bool = False) -> Object:
    volumes = [{"name": "a", "emptyDir": {}}] + _some(chance, {"b": [1]}).get("b", 0) * [
        {"name": "b", "configMap": {"name": "c"}}
    ]
    spec = {
        "containers": _containers(chance, delete),
        "volumes": volumes,
        **_some(chance, {"nodeSelector": [{"a": "b"}], "terminationGracePeriodSeconds": [1, 5]}),
    }
    if delete and chance.random() < 0.3:
        spec["$setElementOrder/containers"] = [{"name": one["name"]} for one in spec["containers"]]
    metadata = {
        "labels": {"app": "one", **_some(chance, {"l": ["1", "2"]})},
        **_some(chance, {"annotations": [{"n": "1"}, {"m": "2"}]}),
    }
    return {"metadata": metadata, "spec": spec}


def stateful_sets(seed: int, count: int) -> Sequence:
    """Yield applies, updates and strategic merge patches of one StatefulSet in turn."""
    chance, path = random.Random(seed), "/apis/apps/v1/{namespace}/statefulsets/one"
    selector = {"matchLabels": {"app": "one"}}

    def whole() -> Object:
        spec = {
            "selector": selector,
            "serviceName": "one",
            "replicas": 0,
            "template": _template(chance),
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "one", **_metadata(chance)},
            "spec": spec,
        }

    steps = [Step("PATCH", path, whole(), APPLY, {"fieldManager": "a"})]
    while len(steps) < count:
        kind = chance.random()
        if kind < 0.5:
            more = {"force": "true"} if chance.random() < 0.6 else {}
            steps.append(
                Step("PATCH", path, whole(), APPLY, {"fieldManager": chance.choice("ab")} | more)
            )
        elif kind < 0.9:
            patch = {
                "spec": {"template": _template(chance, delete=True)},
                "metadata": _metadata(chance),
            }
            steps.append(
                Step("PATCH", path, patch, STRATEGIC, {"fieldManager": chance.choice("uv")})
            )
        else:
            steps.append(Step("PUT", path, whole(), query={"fieldManager": chance.choice("ua")}))
    return steps


def sequences() -> Iterator[tuple[str, Sequence]]:
    for seed in range(SEEDS):
        yield f"things {seed}", things(seed, 40)
        yield f"stateful sets {seed}", stateful_sets(seed, 25)


def seen(status: int, body: Any, revision: str | None) -> Object:
    """Return what must be the same on all servers: outcome, object, managers, whether it is new."""
    if status >= 400:
        found = (body.get("details") or {}).get("causes") or ()
        causes = sorted(
            {(cause.get("reason", ""), cause.get("field", ""), _conflict(cause)) for cause in found}
        )
        return {
            "status": status,
            "reason": body.get("reason"),
            "causes": [list(one) for one in causes],
        }
    metadata = body["metadata"]
    managers = {
        " ".join(
            entry[key]
            for key in ("manager", "operation", "apiVersion", "subresource")
            if entry.get(key)
        ): [
            "time" in entry,
            entry["fieldsV1"],
        ]
        for entry in metadata.get("managedFields", ())
        if body["kind"] == "Thing"
        or entry.get("subresource") != "status"  # of others, controllers write it meanwhile
    }
    kept = {
        key: value for key, value in body.items() if key not in ("kind", "apiVersion", "metadata")
    }
    if body["kind"] != "Thing":
        kept.pop("status", None)
    found = {
        "status": status,
        "object": kept,
        "metadata": {key: value for key, value in metadata.items() if key not in _SERVERS},
        "managers": managers,
    }
    if body["kind"] == "Thing":
        found["changed"] = metadata["resourceVersion"] != revision
    return found


def _conflict(cause: Object) -> str:
    return str(cause["message"]) if cause.get("reason") == "FieldManagerConflict" else ""


class Player:
    """Plays sequences on a server, each in its own namespace."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def prepare(self) -> None:
        await self._send(
            "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", thing_definition()
        )
        deadline = time.monotonic() + ESTABLISH_SECONDS
        while (await self._send("GET", f"/apis/{GROUP}/v1/things"))[0] != 200:
            assert time.monotonic() < deadline, "the definition is not served"
            await asyncio.sleep(0.1)

    async def play(self, steps: Sequence, namespace: str) -> list[Object]:
        await self._send(
            "POST",
            "/api/v1/namespaces",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        )
        found, revision = [], None
        for step in steps:
            path = step.path.replace("{namespace}", f"namespaces/{namespace}")
            status, body = await self._send(step.method, path, step.body, step.media, step.query)
            found.append(seen(status, body, revision))
            if status < 400:
                revision = body["metadata"]["resourceVersion"]
        return found

    async def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        media: str = "application/json",
        query: Object | None = None,
    ) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body)
        async with self._session.request(
            method, self._url + path, data=data, params=query, headers={"Content-Type": media}
        ) as response:
            return response.status, json.loads(text) if (text := await response.text()).startswith(
                "{"
            ) else text


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kubeconfig", type=Path, required=True)
    endpoint = from_kubeconfig(parser.parse_args().kubeconfig)
    trust: ssl.SSLContext | bool = endpoint.ssl_context or True
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust), headers=await endpoint.headers()
    ) as session:
        player = Player(endpoint.url, session)
        await player.prepare()
        recorded = {
            name: await player.play(steps, f"fields-{uuid.uuid4().hex[:8]}")
            for name, steps in sequences()
        }
    lines = (
        f"{json.dumps(name)}: [\n"
        + ",\n".join(json.dumps(one, sort_keys=True) for one in answers)
        + "\n]"
        for name, answers in recorded.items()
    )
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
