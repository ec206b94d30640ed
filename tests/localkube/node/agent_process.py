"""The node as a process of its own, for tests that kill it.

Usage: `agent_process.py URL TOKEN DIRECTORY`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.local.settings import node_settings
from jupyter_workspaces.localkube.node import run


async def main(url: str, token: str, directory: str) -> None:
    async def given() -> str:
        return token

    async with Cluster(Endpoint(url, "test", None, given, embedded=True)) as cluster:
        await run(cluster, Path(directory), node_settings())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
