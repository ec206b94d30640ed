"""A JupyterLab of the node serves at its prefix to users with its token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from node_cluster import node_cluster

pytestmark = pytest.mark.slow

PREFIX = "/workspace/connect/default/dora/jupyterlab"


@pytest.mark.parametrize("namespaces", [None, False], ids=["mounted", "linked"])
async def test_a_lab_serves_at_its_prefix_to_who_has_the_token(
    tmp_path: Path, namespaces: bool | None
) -> None:
    container: dict[str, Any] = {
        "image": "docker.io/kubeflownotebookswg/jupyter-scipy:v1.9.0",
        "command": None,
        "ports": [{"containerPort": 8888}],
        "env": [
            {"name": "NB_PREFIX", "value": PREFIX + "/"},
            {
                "name": "JUPYTER_TOKEN",
                "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}},
            },
        ],
        "volumeMounts": [{"name": "home-volume", "mountPath": "/home/jovyan"}],
    }
    async with node_cluster(tmp_path, namespaces=namespaces) as nodes:
        await nodes.secret("token", token="open-sesame")
        home = await nodes.claim("home")
        (home / "notes.txt").write_text("mine")
        (home / "tornado.py").write_text(
            "raise SystemExit('a file of the user that is called like a module')"
        )
        volumes = [{"name": "home-volume", "persistentVolumeClaim": {"claimName": "home"}}]
        await nodes.program(
            "dora", "", container=container, volumes=volumes, terminationGracePeriodSeconds=15
        )

        address = (await nodes.ready("dora"))["status"]["podIP"]

        async with aiohttp.ClientSession(
            f"http://{address}:8888", headers={"Authorization": "token open-sesame"}
        ) as known:
            async with known.get(f"{PREFIX}/api/contents/notes.txt") as answer:
                assert (await answer.json())["content"] == "mine"
            async with known.get(f"{PREFIX}/lab") as answer:
                assert answer.status == 200
            async with known.post(f"{PREFIX}/api/kernels", json={"name": "python3"}) as answer:
                assert answer.status == 201
        async with (
            aiohttp.ClientSession(f"http://{address}:8888") as stranger,
            stranger.get(f"{PREFIX}/api/contents") as answer,
        ):
            assert answer.status == 403

        assert "open-sesame" not in await nodes.log("dora")
        assert not [
            process
            for process in psutil.process_iter(["cmdline"])
            if "open-sesame" in " ".join(process.info["cmdline"] or ())
        ]
        await nodes.delete("dora")
        await nodes.gone("dora")
        assert (home / "notes.txt").read_text() == "mine"
