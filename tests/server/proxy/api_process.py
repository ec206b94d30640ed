"""API server in a process of its own.

`python api_process.py FOLDER` prints its port. The process ends with its standard input.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
from pathlib import Path

from jupyter_workspaces.kube.catalog import NAMESPACES, SECRETS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import AlreadyExists
from jupyter_workspaces.localkube.apiserver.access.users import User
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.resources.catalog import WORKSPACES

ADMIN, NOBODY = "token-of-the-administrator", "token-of-nobody"


async def ensure_secret(cluster: Cluster) -> None:
    """Create the Secret with the workspace's token, unless it exists."""
    data = {"token": base64.b64encode(b"the-token-of-the-workspace").decode()}
    owner = {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "name": "small",
        "uid": "the-uid-of-small",
        "controller": True,
    }
    metadata = {
        "name": "small-token",
        "labels": {"notebooks.kubeflow.org/workspace-name": "small"},
        "ownerReferences": [owner],
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    with contextlib.suppress(AlreadyExists):
        await cluster.create(SECRETS, secret, "team-a")


async def main(folder: Path) -> None:
    async def token() -> str:
        return ADMIN

    store = Store.open(folder / "cluster.db")
    server = ApiServer(store, ADMIN, identities={NOBODY: User("nobody", ())})
    port = await server.start("127.0.0.1", 0)
    async with Cluster(
        Endpoint(f"http://127.0.0.1:{port}", "local cluster", None, token)
    ) as cluster:
        await cluster.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}
        )
        await ensure_secret(cluster)
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
