"""Durability: a killed process, a restart, a full disk, a read-only file, damaged databases."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from api_objects import WIDGETS, widget
from conftest import TOKEN, Running

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube import catalog, errors
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.localkube.apiserver.store.store import StorageError, Store

SERVER = """
import asyncio, sys
from pathlib import Path
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store

async def main():
    server = ApiServer(Store.open(Path(sys.argv[1])), sys.argv[2])
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    server.apply_manifest(namespace)
    print(await server.start("127.0.0.1", 0), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def body(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", **metadata},
        "spec": {"n": 1},
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "cluster.db")
    yield opened
    opened.close()


@pytest.mark.slow
async def test_every_acknowledged_write_survives_a_killed_process(tmp_path: Path) -> None:
    database = tmp_path / "cluster.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(database), TOKEN, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with timeout(20):
        port = int(await process.stdout.readline())
    answered: dict[str, str] = {}

    async def token() -> str:
        return TOKEN

    async def write(cluster: Cluster, writer: int) -> None:
        for number in range(100_000):
            try:
                created = await cluster.create(
                    catalog.CONFIG_MAPS, {"metadata": {"name": f"w{writer}-{number}"}}, "default"
                )
            except (errors.ClusterError, aiohttp.ClientError):
                return
            answered[created["metadata"]["name"]] = created["metadata"]["resourceVersion"]
            if len(answered) == 300:
                os.kill(process.pid, signal.SIGKILL)

    try:
        async with (
            Cluster(
                Endpoint(f"http://127.0.0.1:{port}", "test", None, token, embedded=True)
            ) as cluster,
            timeout(60),
        ):
            await asyncio.gather(*(write(cluster, writer) for writer in range(4)))
    finally:
        if process.returncode is None:
            process.kill()
        async with timeout(10):
            await process.wait()

    assert len(answered) >= 300
    store = Store.open(database)
    stored = {found.name: str(found.revision) for found in store.list("configmaps")}
    assert answered.items() <= stored.items()
    assert store.revision >= max(int(revision) for revision in answered.values())
    store.close()


def test_revisions_continue_after_a_restart_without_the_newest_object(
    tmp_path: Path,
) -> None:
    store = Store.open(tmp_path / "cluster.db")
    store.put("things", body("a"))
    store.put("things", body("b"))
    store.delete("things", "default", "b")
    before = store.revision
    store.close()

    store = Store.open(tmp_path / "cluster.db")
    assert store.revision == before
    assert store.put("things", body("c")).revision == before + 1
    assert [found.name for found in store.list("things")] == ["a", "c"]
    store.close()


def test_the_log_is_bounded_by_events_and_by_bytes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_workspaces.localkube.apiserver.store import store as module

    start = store.revision
    monkeypatch.setattr(module, "LOG_BYTES", 20_000)
    for number in range(20):
        store.put("things", body("a") | {"spec": {"text": "x" * 3000, "n": number}})

    assert store.since("things", start) is None
    recent = store.since("things", store.revision - 3)
    assert recent is not None
    assert [change.revision for change in recent] == [
        store.revision - 2,
        store.revision - 1,
        store.revision,
    ]


def test_a_full_disk_rejects_writes_and_loses_nothing(api: Running) -> None:
    async def ask(method: str, path: str, document: Any = None) -> tuple[int, Any]:
        session = await api.kept_session()
        async with session.request(method, api.url + path, json=document) as response:
            return response.status, await response.json()

    async def room(pages: int) -> None:
        """SQLite's own limit gives the same error as a disk without room."""
        api.store._connection.execute(f"PRAGMA max_page_count = {pages}")

    maps = catalog.CONFIG_MAPS.path("default")
    assert api.call(ask("POST", maps, {"metadata": {"name": "kept"}, "data": {"k": "v"}}))[0] == 201
    api.call(room(1))

    answers = [
        api.call(
            ask("POST", maps, {"metadata": {"name": f"big{number}"}, "data": {"k": "x" * 100_000}})
        )
        for number in range(2)
    ]
    for code, refused in answers:
        assert code == 507
        assert refused["kind"] == "Status"
        assert "Free some space" in refused["message"]
    assert api.call(ask("PATCH", f"{maps}/kept", None))[0] in (400, 415)
    assert api.call(ask("GET", f"{maps}/kept"))[1]["data"] == {"k": "v"}
    assert api.call(ask("GET", f"{maps}/big0"))[0] == 404

    api.call(room(1_000_000))
    assert (
        api.call(ask("POST", maps, {"metadata": {"name": "big0"}, "data": {"k": "x" * 100_000}}))[0]
        == 201
    )


def test_a_read_only_database_rejects_writes_and_serves_reads(store: Store) -> None:
    store.put("things", body("a"))
    store._connection.execute("PRAGMA query_only = 1")

    with pytest.raises(StorageError, match="could not be stored"):
        store.put("things", body("b"))
    with pytest.raises(StorageError):
        store.delete("things", "default", "a")
    assert [found.name for found in store.list("things")] == ["a"]

    store._connection.execute("PRAGMA query_only = 0")
    store.put("things", body("b"))


@pytest.mark.parametrize(
    "damage", [b"this is no database, not at all" * 50, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_damaged_database_is_reported_and_not_changed(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "cluster.db"
    path.write_bytes(damage)

    with pytest.raises(StorageError, match=r"cluster\.db is damaged") as refused:
        Store.open(path)
    assert "move it away" in str(refused.value)
    assert path.read_bytes() == damage


def test_a_row_that_is_not_an_object_is_reported_as_damage(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    store = Store.open(path)
    store.put("things", body("a"))
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE objects SET body = ?", (b'{"metadata": 5}',))
    connection.commit()
    connection.close()

    with pytest.raises(StorageError, match="is damaged"):
        Store.open(path)


def test_the_error_of_a_database_that_cannot_be_created_has_its_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        Store.open(tmp_path / "missing" / "cluster.db")


async def test_writes_survive_a_restart(api: Running) -> None:
    async with api.cluster() as cluster:
        created = await cluster.create(WIDGETS, widget("a"), "default")
    api.stop()
    api.start()

    async with api.cluster() as cluster:
        assert await cluster.get(WIDGETS, "a", "default") == created
        definition = await cluster.get(catalog.CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
        assert definition["metadata"]["generation"] == 1


def changed(tmp_path: Path, *statements: str) -> Path:
    """A database with one object, after another program has changed it."""
    path = tmp_path / "cluster.db"
    store = Store.open(path)
    store.put("things", body("a"))
    store.close()
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["DELETE FROM meta"], "has no row 'revision'"),
        (["UPDATE meta SET value = 1"], "its revision is 1, but there are objects of revision 2"),
        (["UPDATE meta SET value = 'many'"], "its revision is 'many'"),
        (["DROP TABLE meta"], "no table meta with the columns key, value"),
        (["DROP TABLE objects"], "no table objects with the columns"),
        (["ALTER TABLE objects ADD COLUMN more TEXT"], "no table objects with the columns"),
        (["CREATE TABLE bookmarks (url TEXT)"], "a table 'bookmarks', which is not ours"),
        (["PRAGMA user_version = 7"], "its tables have version 7"),
        (
            ["DROP TABLE meta", "DROP TABLE objects", "CREATE TABLE bookmarks (url TEXT)"],
            "no table objects",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_database_changed_by_others_is_rejected_and_kept(
    tmp_path: Path, statements: list[str], said: str
) -> None:
    path = changed(tmp_path, *statements)
    before = path.read_bytes()

    with pytest.raises(StorageError) as refused:
        Store.open(path)

    assert said in str(refused.value)
    assert str(path) in str(refused.value)
    assert "Restore a copy of the file" in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_database_is_rejected_and_kept(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "cluster.db"
    store = Store.open(path)
    for number in range(200):
        store.put("things", body(f"a{number}", annotations={"a": "x" * 500}))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])

    with pytest.raises(StorageError, match="damaged"):
        Store.open(path)

    assert path.read_bytes() == whole[: int(len(whole) * kept)]


def test_an_empty_file_with_a_write_ahead_log_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    store = Store.open(path)
    store.put("things", body("a"))
    log = path.with_name("cluster.db-wal")
    copies = log.read_bytes()
    store.close()
    path.write_bytes(b"")
    log.write_bytes(copies)

    with pytest.raises(
        StorageError, match=r"the file is empty, but changes to it are in cluster\.db-wal"
    ):
        Store.open(path)
    assert log.read_bytes() == copies


def test_a_database_without_a_version_can_be_opened(tmp_path: Path) -> None:
    path = changed(tmp_path, "PRAGMA user_version = 0")

    store = Store.open(path)

    assert [found.name for found in store.list("things")] == ["a"]
    store.close()
