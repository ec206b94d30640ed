"""A running server finds a restarted local cluster and another one in the kubeconfig."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import NAMESPACES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.kubeconfig.sources import EndpointSource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local import launch
from jupyter_workspaces.local.initial_objects import install
from jupyter_workspaces.local.parts import Parts
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.server.api.workspaces.services import WorkspacesServices
from jupyter_workspaces.server.app import JupyterWorkspaces
from jupyter_workspaces.server.connection import ApiConnection, ClusterConnection, NotReady

USABLE_SECONDS = 3.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    path = tmp_path / "cluster"
    yield path
    launch.stop(path, pods=True)


def start(home: Path) -> None:
    launch.start(home, parts=Parts(controller=False, node="off"))


Api = ApiConnection[WorkspacesServices]


@asynccontextmanager
async def serving(app: JupyterWorkspaces) -> AsyncIterator[Api]:
    connection = ClusterConnection(app.choose_endpoint, app._files_of)
    api = Api(connection, "/api", partial(WorkspacesServices, prefix="/api"))
    connection.start()
    await api.ready()
    try:
        yield api
    finally:
        await connection.stop()
        assert not tasks(), "tasks that nobody stopped"


def tasks() -> list[str]:
    """Of caches and api, by name."""
    return [
        name
        for task in asyncio.all_tasks()
        if (name := task.get_name()).startswith(
            ("reflector", "connection", "feed", "restarts", "watch")
        )
    ]


async def followed(stream: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [event async for event in stream]


def names(api: Api) -> list[str]:
    return [found.name for found in api.services.about.namespaces()]


async def usable(api: Api, condition: Callable[[], bool]) -> None:
    """Raise `TimeoutError` if the new cluster is not served within `USABLE_SECONDS`."""
    async with timeout(USABLE_SECONDS):
        while True:
            with suppress(NotReady):
                if await api.ready() and condition():
                    return
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_cluster_that_was_reset_is_found_again_by_itself(home: Path) -> None:
    await asyncio.to_thread(start, home)
    async with serving(JupyterWorkspaces(directory=str(home))) as api:
        before, first = api.services.cluster, api.services.feed
        reflectors = len(tasks())
        hearing = asyncio.create_task(followed(api.services.feed.subscribe(None, None)))
        await asyncio.to_thread(launch.reset, home)
        with pytest.raises(NotReady, match="was stopped"):
            await until_down(api)
        assert not hearing.done()

        await asyncio.to_thread(start, home)
        await until(
            lambda: changed(api, before), "another cache, without any request", USABLE_SECONDS
        )
        await usable(api, lambda: "default" in names(api))
        async with timeout(USABLE_SECONDS):
            events = await hearing

        assert b"event: resync" in events[-1]
        assert api.services.feed.epoch != first.epoch
        await until(lambda: ended_to(reflectors), "the end of the former cache", 10)


async def changed(api: Api, before: Any) -> bool:
    return api.services.cluster is not before


async def ended_to(count: int) -> bool:
    return len(tasks()) <= count


async def until_down(api: Api) -> None:
    """Ask until the server knows that the cluster is away; raises what it then says."""
    async with timeout(10):
        while True:
            await api.ready()
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stop", "kill -9"])
async def test_a_cluster_that_ended_and_was_started_again_is_usable_at_once(
    home: Path, end: str
) -> None:
    await asyncio.to_thread(start, home)
    async with serving(JupyterWorkspaces(directory=str(home))) as api:
        before, stream = api.services.cluster, api.services.feed.subscribe(None, None)
        assert b"event: snapshot" in await anext(stream)
        if end == "stop":
            await asyncio.to_thread(launch.stop, home)
        else:
            psutil.Process(launch.status(home).pid).send_signal(signal.SIGKILL)
        await until(lambda: away(api), "the cluster to be missed", 10)
        # The pauses between the attempts have grown by then.
        await until(lambda: has_failed(api, 4), "the fourth failed attempt of each watch", 30)

        await asyncio.to_thread(start, home)
        async with timeout(USABLE_SECONDS):
            await until(lambda: back(api), "the server to use it", USABLE_SECONDS)
            await api.ready()
            await api.services.cluster.cluster.create(NAMESPACES, namespace("new"))
            await until(lambda: knows(api, "new"), "a new namespace in the cache", USABLE_SECONDS)

        assert api.services.cluster is before
        await stream.aclose()


async def has_failed(api: Api, times: int) -> bool:
    """Whether each watch of the cache has failed `times` times in a row."""
    return all(
        health.failures >= times
        for health in api.services.cluster.health
        if health.name.startswith("watch")
    )


async def back(api: Api) -> bool:
    return not api.connection._is_down()


async def knows(api: Api, name: str) -> bool:
    return name in names(api)


async def away(api: Api) -> bool:
    return api.connection._is_down()


@pytest.mark.slow
async def test_a_request_right_after_the_start_is_answered(home: Path) -> None:
    """Also when one was refused a moment before, because the cluster was stopped."""
    await asyncio.to_thread(start, home)
    async with serving(JupyterWorkspaces(directory=str(home))) as api:
        for again in (launch.stop, launch.reset):
            await asyncio.to_thread(again, home)
            with pytest.raises(NotReady, match="was stopped"):
                await until_down(api)
            await asyncio.to_thread(start, home)

            async with timeout(USABLE_SECONDS):
                await api.ready()
            assert "default" in names(api)


# Kubeconfigs


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture
def clusters(tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[tuple[Object, Object]]]:
    """`async with clusters() as (one, two)`: entries of a kubeconfig for two API servers."""

    @asynccontextmanager
    async def both() -> AsyncIterator[tuple[Object, Object]]:
        servers, stores, entries = [], [], []
        for name in ("one", "two"):
            store, token = Store.open(tmp_path / f"{name}.db"), secrets.token_hex(8)
            server = ApiServer(store, token)
            port = await server.start("127.0.0.1", 0)
            servers.append(server)
            stores.append(store)
            path = tmp_path / f"{name}.kubeconfig"
            entry = {"name": name, "server": f"http://127.0.0.1:{port}", "token": token}
            write(path, entry)
            async with Cluster(from_kubeconfig(path)) as cluster:
                await install(cluster)
                await cluster.create(NAMESPACES, namespace(f"only-in-{name}"))
            entries.append(entry)
        try:
            yield entries[0], entries[1]
        finally:
            for server, store in zip(servers, stores, strict=True):
                await server.stop()
                store.close()

    return both


def write(path: Path, *entries: Object, current: str = "", **user: Any) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": one["name"], "cluster": {"server": one["server"]}} for one in entries
        ],
        "users": [{"name": one["name"], "user": {"token": one["token"]} | user} for one in entries],
        "contexts": [
            {"name": one["name"], "context": {"cluster": one["name"], "user": one["name"]}}
            for one in entries
        ],
        "current-context": current or entries[0]["name"],
    }
    partial = path.with_suffix(".partial")
    partial.write_text(yaml.safe_dump(document), encoding="utf-8")
    partial.replace(path)


async def test_another_current_context_is_another_cluster(clusters: Any, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    async with clusters() as (one, two):
        write(kubeconfig, one, two)
        async with serving(JupyterWorkspaces(kubeconfig=str(kubeconfig))) as api:
            assert "only-in-one" in names(api)
            hearing = asyncio.create_task(followed(api.services.feed.subscribe(None, None)))

            write(kubeconfig, one, two, current="two")
            await usable(api, lambda: "only-in-two" in names(api))

            assert "only-in-one" not in names(api)
            async with timeout(USABLE_SECONDS):
                assert b"event: resync" in (await hearing)[-1]


async def test_nothing_is_served_of_the_former_cluster_while_the_new_one_is_away(
    clusters: Any, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    async with clusters() as (one, two):
        write(kubeconfig, one)
        async with serving(JupyterWorkspaces(kubeconfig=str(kubeconfig))) as api:
            write(kubeconfig, two | {"server": "http://127.0.0.1:9"})
            await until(lambda: refused(api), "a refusal", USABLE_SECONDS)
            with pytest.raises(NotReady):
                await api.ready(0.1, stale=True)

            write(kubeconfig, one)
            await usable(api, lambda: "only-in-one" in names(api))


async def refused(api: Api) -> bool:
    try:
        await api.ready(0.05)
    except NotReady:
        return True
    return False


async def test_a_kubeconfig_that_cannot_be_read_changes_nothing(
    clusters: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    async with clusters() as (one, two):
        write(kubeconfig, one)
        async with serving(JupyterWorkspaces(kubeconfig=str(kubeconfig))) as api:
            before = api.services.cluster
            kubeconfig.write_text("users: [{name: x, user: {token: canary-secret", encoding="utf-8")
            await until(lambda: warned(caplog), "a warning", USABLE_SECONDS)
            await api.ready()

            assert api.services.cluster is before
            assert "canary-secret" not in caplog.text
            write(kubeconfig, two)
            await usable(api, lambda: "only-in-two" in names(api))


async def warned(caplog: pytest.LogCaptureFixture) -> bool:
    return "The changed kubeconfig cannot be used" in caplog.text


def test_what_makes_another_endpoint(tmp_path: Path) -> None:
    path, authority = tmp_path / "kubeconfig", tmp_path / "ca.crt"
    authority.write_text("one", encoding="utf-8")
    entry = {"name": "a", "server": "https://a.example.org", "token": "t"}
    source = EndpointSource((path,))
    login = {"name": "oidc", "config": {"client-id": "c", "id-token": "1", "refresh-token": "2"}}

    def look(*entries: Object, **user: Any) -> Any:
        write(path, *entries, **user)
        return source.read()

    first = look(entry, **{"auth-provider": login})
    assert not source.has_changed(first)
    rotated = look(
        entry,
        **{
            "auth-provider": login
            | {"config": login["config"] | {"id-token": "3", "refresh-token": "4"}}
        },
    )
    assert source.has_changed(first)
    assert rotated.has_same_endpoint_as(first)
    for other in (
        look(entry | {"server": "https://b.example.org"}, **{"auth-provider": login}),
        look(entry | {"token": "u"}, **{"auth-provider": login}),
        look(entry, **{"auth-provider": login | {"config": {"client-id": "d"}}}),
    ):
        assert not other.has_same_endpoint_as(first)
    path.unlink()
    assert not source.read().has_same_endpoint_as(source.read())


def test_a_certificate_authority_that_is_replaced_in_place_is_another_endpoint(
    tmp_path: Path,
) -> None:
    path, authority = tmp_path / "kubeconfig", tmp_path / "ca.crt"
    authority.write_text("one", encoding="utf-8")
    write(path, {"name": "a", "server": "https://a.example.org", "token": "t"})
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    source = EndpointSource((path,))

    before = source.read()
    authority.write_text("another", encoding="utf-8")

    assert source.has_changed(before)
    assert not source.read().has_same_endpoint_as(before)
