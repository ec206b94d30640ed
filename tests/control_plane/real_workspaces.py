"""`python real_workspaces.py FOLDER`: a real control plane where workspaces run.

Our node joins it as a kubelet, our controller runs, and claims get folders. It prints
`KUBECONFIG=…` when it is ready and ends by SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from claim_volumes import ClaimVolumes
from control_plane import ControlPlane

from jupyter_workspaces import controller
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.local.initial_objects import install
from jupyter_workspaces.local.settings import POD_VARIABLE, node_settings
from jupyter_workspaces.localkube.node import Agent, stop_pods
from jupyter_workspaces.localkube.node.kubelet import Kubelet


async def run(plane: ControlPlane, folder: Path) -> None:
    """Run until SIGTERM.

    Raises:
        Exception: if one of the parts fails before.
    """
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with Cluster(from_kubeconfig(plane.kubeconfig)) as cluster:
        await install(cluster)
        kubelet = Kubelet(cluster, folder, plane.kubelet_trust())
        agent = Agent(cluster, folder, node_settings(), kubelet_port=await kubelet.start())
        parts = [
            asyncio.create_task(ClaimVolumes(cluster, folder / "volumes").run(), name="claims"),
            asyncio.create_task(agent.run(), name="node"),
            asyncio.create_task(controller.run(cluster), name="controller"),
        ]
        asked = asyncio.create_task(ended.wait(), name="SIGTERM")
        print(f"KUBECONFIG={plane.kubeconfig}", flush=True)
        try:
            done, _ = await asyncio.wait([asked, *parts], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asked, *parts):
                task.cancel()
            await asyncio.gather(asked, *parts, return_exceptions=True)
            await kubelet.stop()
            await asyncio.to_thread(stop_pods, folder, POD_VARIABLE)
    for task in done - {asked}:
        task.result()


def main(arguments: Sequence[str]) -> int:
    (name,) = arguments
    folder = Path(name).resolve()
    node = folder / "node"
    node.mkdir(parents=True)
    plane = ControlPlane(folder / "control-plane")
    try:
        plane.start()
        asyncio.run(run(plane, node))
    finally:
        plane.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
