"""The parts of the embedded cluster that a folder of recordings needs, as a process: `python embedded_parts.py FOLDER [--controller] [--node]`.

It writes `kubeconfig` into FOLDER once it answers, and ends by SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
from pathlib import Path

import played_node
import yaml

from jupyter_workspaces import controller
from jupyter_workspaces.cluster.client import Cluster
from jupyter_workspaces.cluster.endpoint import Endpoint
from jupyter_workspaces.local import controllers
from jupyter_workspaces.local.admission import Admission
from jupyter_workspaces.local.apiserver.server import ApiServer
from jupyter_workspaces.local.apiserver.store import Store
from jupyter_workspaces.local.install import install


async def run(folder: Path, with_controller: bool, with_node: bool) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    store, bearer = Store.open(folder / "cluster.db"), secrets.token_hex(8)
    server = ApiServer(store, bearer, Admission(store) if with_controller else None)
    server.logs = played_node.logs
    url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"

    async def token() -> str:
        return bearer

    async with Cluster(Endpoint(url, "recordings", token=token)) as cluster:
        await install(cluster)
        components = [controllers.run(cluster, folder)]
        components += [played_node.PlayedNode(cluster).run()] if with_node else []
        components += [controller.run(cluster)] if with_controller else []
        tasks = [asyncio.create_task(component) for component in components]
        tasks.append(asyncio.create_task(stopped.wait()))
        write_kubeconfig(folder, url, bearer)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await server.stop()
    store.close()
    for task in done:
        task.result()


def write_kubeconfig(folder: Path, url: str, token: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "recordings", "cluster": {"server": url}}],
        "users": [{"name": "owner", "user": {"token": token}}],
        "contexts": [{"name": "recordings", "context": {"cluster": "recordings", "user": "owner"}}],
        "current-context": "recordings",
    }
    partial = folder / "kubeconfig.partial"
    partial.write_text(yaml.safe_dump(document), encoding="utf-8")
    partial.replace(folder / "kubeconfig")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--controller", action="store_true")
    parser.add_argument("--node", action="store_true")
    chosen = parser.parse_args()
    asyncio.run(run(chosen.folder, chosen.controller, chosen.node))
