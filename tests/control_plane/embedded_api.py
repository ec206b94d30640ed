"""The local API server with its controllers in this process, to compare with a real one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.local.initial_objects import install
from jupyter_workspaces.local.settings import PROVISIONER
from jupyter_workspaces.localkube import controllers
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store


@asynccontextmanager
async def embedded_api(folder: Path) -> AsyncIterator[Endpoint]:
    """Yield how to reach it. It has neither a node nor our admission."""
    bearer = secrets.token_hex(16)

    async def token() -> str:
        return bearer

    folder.mkdir(parents=True, exist_ok=True)
    store = Store.open(folder / "cluster.db")
    server = ApiServer(store, bearer)
    port = await server.start("127.0.0.1", 0)
    endpoint = Endpoint(f"http://127.0.0.1:{port}", "embedded", None, token, embedded=True)
    try:
        async with Cluster(endpoint) as cluster:
            await install(cluster)
            running = asyncio.create_task(controllers.run(cluster, folder, PROVISIONER))
            try:
                yield endpoint
            finally:
                running.cancel()
                ended = (await asyncio.gather(running, return_exceptions=True))[0]
            if not isinstance(ended, asyncio.CancelledError):
                raise AssertionError("a controller ended") from ended
    finally:
        await server.stop()
        store.close()
