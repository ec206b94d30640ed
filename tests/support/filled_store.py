"""Copies of a store that was filled once per process, instead of filling one for each test.

Filling a store takes several times as long as starting an API server on it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.local.admission import Admission
from jupyter_workspaces.local.initial_objects import install
from jupyter_workspaces.localkube.apiserver.access import default_roles
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store

FILE = "cluster.db"
_TOKEN = "a-token-for-the-template"

_filled: dict[object, bytes] = {}


def filled_store(directory: Path, fill: Callable[[ApiServer], None]) -> Store:
    """Open a new store in `directory` with the default roles and what `fill` creates."""
    if fill not in _filled:
        with tempfile.TemporaryDirectory() as folder:
            store = Store.open(Path(folder) / FILE)
            server = ApiServer(store, _TOKEN, Admission(store))
            default_roles.ensure(server.engine)
            fill(server)
            store.close()
            _filled[fill] = (Path(folder) / FILE).read_bytes()
    return _copy(fill, directory)


async def installed_store(directory: Path, *, admission: bool = True) -> Store:
    """Open a new store in `directory` with the initial objects of a local cluster."""
    key = ("installed", admission)
    if key not in _filled:
        with tempfile.TemporaryDirectory() as folder:
            store = Store.open(Path(folder) / FILE)
            server = ApiServer(store, _TOKEN, Admission(store) if admission else None)
            url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
            try:
                async with Cluster(Endpoint(url, "template", None, _token, embedded=True)) as one:
                    await install(one)
            finally:
                await server.stop()
                store.close()
            _filled[key] = (Path(folder) / FILE).read_bytes()
    return _copy(key, directory)


async def _token() -> str:
    return _TOKEN


def _copy(key: object, directory: Path) -> Store:
    (directory / FILE).write_bytes(_filled[key])
    return Store.open(directory / FILE)
