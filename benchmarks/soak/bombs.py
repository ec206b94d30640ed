"""The attacks, by strangers, users and workspaces. Each returns the responses."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from .servers import NAME, Address, Servers

LIMIT_SECONDS = 180.0
IDLE_CONNECTIONS = 1200
IDLE_SECONDS = 15.0
BODY_BYTES = 500 * 2**20
BODIES = 6
SLOW_BROWSERS = 3
MESSAGE_BYTES = 60 * 2**20
SLOW_SECONDS = 10.0

Bomb = Callable[[Servers], Awaitable["Outcome"]]


@dataclass
class Outcome:
    """Responses by status.

    "cut off" counts closed connections, "no answer" those that took over three minutes.
    """

    answers: Counter[str] = field(default_factory=Counter)

    @property
    def failures(self) -> int:
        return sum(
            count
            for status, count in self.answers.items()
            if status[0] == "5" or status == "no answer"
        )

    def words(self) -> str:
        return (
            ", ".join(f"{count} × {status}" for status, count in sorted(self.answers.items()))
            or "no answers"
        )


async def nothing_signed_in(servers: Servers) -> Outcome:
    """Bodies that are expensive to parse, from somebody who has not signed in or has no rights."""
    outcome = Outcome()
    async with _session(servers) as session:
        for address, headers in (
            (servers.serve, {}),
            (servers.serve, STRANGER),
            (servers.jupyter, {}),
        ):
            for body in (YAML_FLOW, YAML_ALIASES, YAML_DEEP, YAML_VOLUMES):
                await _send(
                    session, outcome, "POST", f"{address.url}/workspacekinds", headers | YAML, body
                )
            await _send(
                session,
                outcome,
                "POST",
                f"{address.url}/workspaces/default",
                headers | JSON,
                JSON_DEEP,
            )
        for body in (YAML_FLOW, JSON_DEEP):
            await _send(
                session,
                outcome,
                "POST",
                f"{servers.cluster.url}/api/v1/namespaces/default/configmaps",
                YAML,
                body,
            )
    return outcome


async def large_bodies(servers: Servers) -> Outcome:
    """Six bodies of 500 MB at once to each server, not signed in."""
    outcome = Outcome()
    urls = [
        f"{servers.serve.url}/workspacekinds",
        f"{servers.jupyter.url}/workspacekinds",
        f"{servers.cluster.url}/api/v1/namespaces",
    ]
    async with _session(servers) as session:
        for url in urls:
            await asyncio.gather(
                *(
                    _send(session, outcome, "POST", url, JSON, _zeros(BODY_BYTES))
                    for _ in range(BODIES)
                )
            )
    return outcome


async def idle_connections(servers: Servers) -> Outcome:
    """Open 1,200 idle connections each to `serve` and the API server while a user is active."""
    outcome = Outcome()
    writers: list[asyncio.StreamWriter] = []
    try:
        for address in (servers.serve, servers.cluster):
            for _ in range(IDLE_CONNECTIONS):
                try:
                    _, writer = await asyncio.open_connection(
                        "127.0.0.1", urlsplit(address.url).port, limit=2**10
                    )
                except OSError:
                    outcome.answers["refused"] += 1
                    continue
                writers.append(writer)
        outcome.answers["connections"] += len(writers)
        async with _session(servers) as session:
            for _ in range(10):
                await _send(
                    session,
                    outcome,
                    "GET",
                    f"{servers.serve.url}/workspaces/default",
                    servers.serve.signed_in,
                )
                await _send(
                    session,
                    outcome,
                    "GET",
                    f"{servers.cluster.url}/api/v1/namespaces",
                    servers.cluster.signed_in,
                )
                await asyncio.sleep(IDLE_SECONDS / 10)
    finally:
        for writer in writers:
            writer.close()
    return outcome


async def yaml_and_json(servers: Servers) -> Outcome:
    """The same expensive bodies, and odd numbers, from a user."""
    outcome = Outcome()
    async with _session(servers) as session:
        for address in (servers.serve, servers.jupyter):
            headers = address.signed_in
            for body in (YAML_FLOW, YAML_ALIASES, YAML_DEEP, YAML_VOLUMES):
                await _send(
                    session, outcome, "POST", f"{address.url}/workspacekinds", headers | YAML, body
                )
            for body in (JSON_DEEP, JSON_NUMBER, JSON_TWICE):
                await _send(
                    session,
                    outcome,
                    "POST",
                    f"{address.url}/workspaces/default",
                    headers | JSON,
                    body,
                )
            claim = {
                "data": {
                    "name": "huge",
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "standard",
                }
            }
            for size in ("1e999999999", "9" * 5000, "1" + "0" * 400 + "Ei"):
                claim["data"]["requests"] = {"storage": size}  # type: ignore[assignment]
                body = json.dumps(claim).encode()
                await _send(
                    session,
                    outcome,
                    "POST",
                    f"{address.url}/persistentvolumeclaims/default",
                    headers | JSON,
                    body,
                )
        for body in (YAML_FLOW, YAML_ALIASES, YAML_DEEP, JSON_DEEP, JSON_NUMBER):
            url = f"{servers.cluster.url}/api/v1/namespaces/default/configmaps"
            await _send(session, outcome, "POST", url, servers.cluster.signed_in | YAML, body)
    return outcome


async def json_patches(servers: Servers) -> Outcome:
    """Copies of copies: each operation doubles the document."""
    outcome = Outcome()
    patch = {"Content-Type": "application/json-patch+json"}
    async with _session(servers) as session:
        configmaps = f"{servers.cluster.url}/api/v1/namespaces/default/configmaps"
        made = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "soak"},
            "data": {"text": "x" * 200},
        }
        await _send(
            session,
            outcome,
            "POST",
            configmaps,
            servers.cluster.signed_in | JSON,
            json.dumps(made).encode(),
        )
        for path in ("/data", "/spec/podTemplate/podMetadata/labels"):
            copies = [
                {"op": "copy", "from": path, "path": f"{path}/k{number}"} for number in range(24)
            ]
            body = json.dumps(copies).encode()
            await _send(
                session,
                outcome,
                "PATCH",
                f"{configmaps}/soak",
                servers.cluster.signed_in | patch,
                body,
            )
            for address in (servers.serve, servers.jupyter):
                copies = [{"op": "copy", "from": "", "path": f"/k{number}"} for number in range(24)]
                url = f"{address.url}/workspaces/default/{NAME}"
                await _send(
                    session,
                    outcome,
                    "PATCH",
                    url,
                    address.signed_in | patch,
                    json.dumps(copies).encode(),
                )
                await _send(session, outcome, "PATCH", url, address.signed_in | patch, body)
    return outcome


async def long_lists(servers: Servers) -> Outcome:
    """A pod with 4,000 variables, and a strategic merge patch that adds 6,000."""
    outcome = Outcome()
    async with _session(servers) as session:
        pods, signed_in = (
            f"{servers.cluster.url}/api/v1/namespaces/default/pods",
            servers.cluster.signed_in,
        )
        container = {
            "name": "main",
            "image": "x",
            "env": [{"name": f"e{number}", "value": "v"} for number in range(4000)],
        }
        pod = {
            "metadata": {"name": "long"},
            "spec": {"nodeName": "none", "containers": [container]},
        }
        await _send(session, outcome, "POST", pods, signed_in | JSON, json.dumps(pod).encode())
        added = {
            "name": "main",
            "env": [{"name": f"n{number}", "value": "v"} for number in range(6000)],
        }
        patch = json.dumps({"spec": {"containers": [added]}}).encode()
        media = {"Content-Type": "application/strategic-merge-patch+json"}
        await _send(session, outcome, "PATCH", f"{pods}/long", signed_in | media, patch)
    return outcome


async def patterns(servers: Servers) -> Outcome:
    """A CRD whose pattern backtracks for ever in some engines, and filters of lists."""
    outcome = Outcome()
    async with _session(servers) as session:
        root, signed_in = servers.cluster.url, servers.cluster.signed_in
        url = f"{root}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        await _send(
            session, outcome, "POST", url, signed_in | JSON, json.dumps(DEFINITION).encode()
        )
        thing = {
            "apiVersion": "soak.example/v1",
            "kind": "Thing",
            "metadata": {"name": "one"},
            "spec": {"text": "a" * 40 + "!"},
        }
        things = f"{root}/apis/soak.example/v1/namespaces/default/things"
        await _send(session, outcome, "POST", things, signed_in | JSON, json.dumps(thing).encode())
        for pattern in ("*a" * 500, "name:" + "*" * 4000, "(a+)+$"):
            for address in (servers.serve, servers.jupyter):
                await _send(
                    session,
                    outcome,
                    "GET",
                    f"{address.url}/workspaces/default?filter={pattern}",
                    address.signed_in,
                )
    return outcome


async def pages(servers: Servers) -> Outcome:
    """Pages that are hard to rewrite below a base URL."""
    outcome = Outcome()
    async with _session(servers) as session:
        for name in ("ordinary", "brackets", "quotes", "comments", "script", "attributes"):
            await _send(
                session, outcome, "GET", f"{servers.proxied}pages/{name}", servers.jupyter.signed_in
            )
        await _send(session, outcome, "GET", f"{servers.proxied}packed", servers.jupyter.signed_in)
    return outcome


async def slow_browsers(servers: Servers) -> Outcome:
    """Three browsers that do not read what a workspace sends: 20 messages of 60 MB each."""
    outcome = Outcome()
    async with _session(servers) as session:
        url = f"{servers.proxied}flood?bytes={MESSAGE_BYTES}"
        sockets = [
            await session.ws_connect(url, headers=servers.jupyter.signed_in, max_msg_size=0)
            for _ in range(SLOW_BROWSERS)
        ]
        for socket in sockets:
            transport = socket.get_extra_info("socket")
            assert transport is not None
            outcome.answers["sockets"] += 1
            socket._response.connection.transport.pause_reading()  # type: ignore[union-attr]
        await asyncio.sleep(SLOW_SECONDS)
    return outcome


BOMBS: Mapping[str, Bomb] = {
    "not signed in": nothing_signed_in,
    "large bodies": large_bodies,
    "idle connections": idle_connections,
    "YAML and JSON": yaml_and_json,
    "JSON patches": json_patches,
    "long lists": long_lists,
    "patterns": patterns,
    "pages": pages,
    "slow browsers": slow_browsers,
}

STRANGER = {"kubeflow-userid": "mallory"}
JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}
YAML_FLOW = b"a: [" + b"1," * 2**19 + b"1]"
YAML_ALIASES = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40)
)
YAML_DEEP = b"a: " + b"[" * 2**19
YAML_VOLUMES = (
    b"apiVersion: kubeflow.org/v1beta1\nkind: WorkspaceKind\nmetadata: {name: bomb}\n"
    b"spec:\n  podTemplate:\n    extraVolumes:\n"
    b"    - &v0 {name: a, items: [x, x, x, x, x, x, x, x]}\n"
    + b"".join(
        b"    - &v%d {name: a, items: [%s]}\n" % (n, b", ".join([b"*v%d" % (n - 1)] * 8))
        for n in range(1, 9)
    )
)
JSON_DEEP = b'{"data": ' + b"[" * 2**19
JSON_NUMBER = b'{"data": {"name": ' + b"9" * 2**19 + b"}}"
JSON_TWICE = (
    b'{"data": {' + b",".join(b'"a": {"b%d": 1}' % number for number in range(2**15)) + b"}}"
)
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.soak.example"},
    "spec": {
        "group": "soak.example",
        "scope": "Namespaced",
        "names": {
            "plural": "things",
            "singular": "thing",
            "kind": "Thing",
            "listKind": "ThingList",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"text": {"type": "string", "pattern": "^(a+)+$"}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


def _session(servers: Servers) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cadata=servers.authority)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, force_close=True),
        timeout=aiohttp.ClientTimeout(total=LIMIT_SECONDS),
    )


async def _send(
    session: aiohttp.ClientSession,
    outcome: Outcome,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any = None,
) -> None:
    try:
        async with session.request(
            method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            async for _ in answer.content.iter_any():
                pass
            outcome.answers[str(answer.status)] += 1
    except asyncio.TimeoutError:
        outcome.answers["no answer"] += 1
    except (aiohttp.ClientError, OSError):
        outcome.answers["cut off"] += 1


async def _zeros(size: int) -> AsyncIterator[bytes]:
    piece = bytes(2**18)
    while size > 0:
        yield piece[:size]
        size -= len(piece)


__all__ = ["BOMBS", "Address", "Outcome"]
