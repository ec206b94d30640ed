"""A failing task of the controller is restarted and shown by `/readyz`."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from played_cluster import Play

from jupyter_workspaces.controller.kubeflow_watch import KubeflowWatch
from jupyter_workspaces.controller.leader_election import Times
from jupyter_workspaces.controller.process import Controller, Options
from jupyter_workspaces.controller.runner import run

QUICK = Times(lease=3, deadline=2, renew=1, stop=1)


async def test_readyz_names_a_failing_task_until_it_works_again(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with play() as played:
        await played.stop_controller()
        broken = True

        async def work(*args: Any, **named: Any) -> None:
            if broken:
                raise ZeroDivisionError
            await run(*args, **named)

        async def start(self: KubeflowWatch) -> None:
            """The embedded cluster has no Deployments, so nobody else's controller."""

        monkeypatch.setattr(KubeflowWatch, "start", start)
        monkeypatch.setattr("jupyter_workspaces.controller.process.run", work)
        options = Options("default", "me", webhook=None, health=("127.0.0.1", 0), times=QUICK)
        controller = Controller(played.cluster.endpoint, options)
        serving = asyncio.create_task(controller.serve())
        try:
            async with aiohttp.ClientSession() as session:

                async def ask(path: str) -> tuple[int, str]:
                    async with session.get(
                        f"http://127.0.0.1:{controller.health.port}{path}"
                    ) as answer:
                        return answer.status, await answer.text()

                async def told(code: int, words: str) -> bool:
                    if not controller.health.port:
                        return False
                    found = await ask("/readyz")
                    return found[0] == code and words in found[1]

                await played.until(
                    lambda: told(500, "[-]tasks leadership fails"), "the failure to be told"
                )
                assert "ZeroDivisionError" in (await ask("/readyz"))[1]
                assert (await ask("/healthz"))[0] == 200
                assert not serving.done()
                broken = False
                await played.make(paused=True)
                await played.state("Paused")
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
