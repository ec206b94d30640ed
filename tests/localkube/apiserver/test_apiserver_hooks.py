"""Admission, logs of pods, and streams whose clients disconnect or do not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import pytest
from api_objects import WIDGETS, pod, widget
from conftest import TOKEN, Running
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube import catalog, errors
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.pods.logs import LogOptions, LogsUnavailable
from jupyter_workspaces.resources.admission import Review


async def test_admission_refuses_warns_and_conflicts(run: Callable[..., Running]) -> None:
    asked: list[tuple[str, str, bool, bool]] = []

    def review(
        resource: Resource, operation: str, old: Object | None, new: Object | None
    ) -> Review:
        if resource != WIDGETS:
            return Review()
        asked.append((resource.kind, operation, old is not None, new is not None))
        if operation == "DELETE":
            return Review(conflict="it is in use")
        assert new is not None
        assert new["spec"]["color"] == "red", "defaults come before admission"
        if new["spec"]["size"] == 13:
            return Review(causes=[Cause("FieldValueForbidden", "Forbidden: unlucky", "spec.size")])
        return Review(warnings=['size "3" is small'])

    api = run(admission=review)
    async with api.cluster() as cluster, api.session() as session:
        with pytest.raises(errors.Invalid) as refused:
            await cluster.create(WIDGETS, widget("a", size=13), "default")
        assert refused.value.causes == (
            Cause("FieldValueForbidden", "Forbidden: unlucky", "spec.size"),
        )

        async with session.post(WIDGETS.path("default"), json=widget("a")) as response:
            assert response.status == 201
            assert response.headers["Warning"] == '299 - "size \\"3\\" is small"'
        await cluster.patch(
            WIDGETS, "a", {"status": {"state": "x"}}, "default", subresource="status"
        )
        with pytest.raises(errors.Conflict, match="it is in use"):
            await cluster.delete(WIDGETS, "a", "default")

    assert asked == [
        ("Widget", "CREATE", False, True),
        ("Widget", "CREATE", False, True),
        ("Widget", "DELETE", True, False),
    ]


@pytest.mark.parametrize(
    ("mode", "warned", "code"),
    [("Strict", False, 400), ("Warn", True, 201), ("Ignore", False, 201)],
)
async def test_unknown_and_duplicate_fields_follow_field_validation(
    api: Running, mode: str, warned: bool, code: int
) -> None:
    text = (
        '{"apiVersion":"example.org/v1","kind":"Widget","metadata":{"name":"a"},'
        '"spec":{"size":1,"size":2,"surprise":{"x":1}}}'
    )
    async with api.session() as session:
        async with session.post(
            f"{WIDGETS.path('default')}?fieldValidation={mode}",
            data=text,
            headers={"Content-Type": "application/json"},
        ) as response:
            assert response.status == code
            warnings = response.headers.getall("Warning", [])
            document = await response.json()
        if code == 400:
            assert "strict decoding error" in document["message"]
        assert any("spec.surprise" in warning for warning in warnings) is warned
        assert any("duplicate field" in warning for warning in warnings) is warned


async def log_of_two_lines(
    pod: Mapping[str, Any], container: str, options: LogOptions
) -> AsyncGenerator[bytes, None]:
    if container == "waiting":
        raise LogsUnavailable('container "waiting" is waiting to start: WaitingForRoom')
    yield b"first\n"
    if options.follow:
        yield b"second\n"
        await asyncio.Event().wait()


async def test_a_log_is_read_and_followed(api: Running) -> None:
    api.server.logs = log_of_two_lines
    containers = [{"name": "main", "image": "lab"}, {"name": "waiting", "image": "lab"}]
    async with api.cluster() as cluster, api.session() as session:
        await cluster.create(
            catalog.NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}}
        )
        await cluster.create(
            catalog.PODS, pod("a", containers=containers, nodeName="here"), "default"
        )
        path = catalog.PODS.path("default", "a", "log")

        async with session.get(path, params={"container": "main"}) as response:
            assert response.content_type == "text/plain"
            assert await response.text() == "first\n"
        async with session.get(path, params={"container": "waiting"}) as response:
            assert response.status == 400
            assert "WaitingForRoom" in (await response.json())["message"]
        async with session.get(path, params={"follow": "true", "container": "main"}) as response:
            assert await response.content.readline() == b"first\n"
            assert await response.content.readline() == b"second\n"
            response.close()
        await until(lambda: len(api.server._rest.streams) == 0)


async def test_a_watch_ends_when_its_client_disconnects(api: Running) -> None:
    async with api.session() as session:
        async with session.get(WIDGETS.path("default"), params={"watch": "true"}) as response:
            await until(lambda: len(api.server._rest.streams) == 1)
            response.close()
        await until(lambda: len(api.server._rest.streams) == 0)


async def test_streams_are_bounded(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_workspaces.localkube.apiserver.http import streams

    monkeypatch.setattr(streams, "MAX_STREAMS", 1)
    path, query = WIDGETS.path("default"), {"watch": "true"}
    async with (
        api.session() as session,
        session.get(path, params=query),
        session.get(path, params=query) as refused,
    ):
        assert refused.status == 429
        assert refused.headers["Retry-After"] == "1"


async def test_only_the_watcher_that_does_not_read_is_disconnected(
    api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_workspaces.localkube.apiserver.store import watch

    monkeypatch.setattr(watch, "QUEUE", 20)
    async with api.cluster() as cluster, api.session() as session:
        big = widget("a", anything={"text": "x" * 300_000})
        async with session.get(WIDGETS.path("default"), params={"watch": "true"}) as slow:
            await until(lambda: len(api.server._rest.streams) == 1)
            await cluster.create(WIDGETS, big, "default")
            for number in range(80):
                await cluster.patch(WIDGETS, "a", {"spec": {"size": number % 2 + 1}}, "default")

            async with timeout(15):
                lines = (await slow.content.read()).count(b"\n")
            assert lines < 81
            await until(lambda: len(api.server._rest.streams) == 0)


async def test_a_watcher_that_never_reads_is_disconnected(
    api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_workspaces.localkube.apiserver.http import streams
    from jupyter_workspaces.localkube.apiserver.store import watch

    monkeypatch.setattr(watch, "QUEUE", 5)
    monkeypatch.setattr(streams, "STALL_SECONDS", 0.1)
    _, writer = await asyncio.open_connection(
        "127.0.0.1", api.port, ssl=api.trust, server_hostname="127.0.0.1", limit=2**10
    )
    path = f"{WIDGETS.path('default')}?watch=true"
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    await until(lambda: len(api.server._rest.streams) == 1)
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("a", anything={"text": "x" * 500_000}), "default")
        for number in range(40):
            await cluster.patch(WIDGETS, "a", {"spec": {"size": number % 2 + 1}}, "default")

    await until(lambda: len(api.server._rest.streams) == 0)
    writer.transport.abort()
