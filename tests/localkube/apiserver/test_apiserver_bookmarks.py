"""A bookmark never overtakes an event, because all events up to its revision were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_workspaces.kube.catalog import CONFIG_MAPS
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.store import watch
from jupyter_workspaces.localkube.apiserver.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store.open(tmp_path / "cluster.db")
    yield found
    found.close()


async def test_a_change_at_the_time_of_a_bookmark_is_sent_before_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row(CONFIG_MAPS)
    written = False

    class RunsOut:
        """Time that runs out in the moment in which a change is committed."""

        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        async def __aenter__(self) -> None:
            nonlocal written
            if not written:
                written = True
                store.put(
                    row.name, {"metadata": {"name": "late", "namespace": "default", "uid": "1"}}
                )
                raise asyncio.TimeoutError

        async def __aexit__(self, *_: Any) -> None:
            return

    monkeypatch.setattr(watch, "timeout", RunsOut)
    monkeypatch.setattr(watch, "BOOKMARK_SECONDS", 0.0)
    store.put(row.name, {"metadata": {"name": "first", "namespace": "default", "uid": "0"}})
    events = watch.watch(
        store,
        row,
        None,
        None,
        revision=store.revision,
        seconds=5,
        bookmarks=True,
        initial_events=False,
    )
    first = await events.__anext__()
    assert (first.type, first.object and first.object.name) == ("ADDED", "late")
    await events.aclose()
