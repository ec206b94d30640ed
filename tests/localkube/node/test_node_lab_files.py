"""JupyterLab's file browser shows volumes outside the home, without writing into the home."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from node_cluster import node_cluster

from jupyter_workspaces.localkube.node.processes import mounts

pytestmark = pytest.mark.slow

KIND = mounts.namespaces()
BASE = "/workspace/connect/default/dora/jupyterlab"


class Lab:
    """A Lab with a home, and two claims at /data/measurements and /data/results."""

    def __init__(self, session: aiohttp.ClientSession, home: Path, measurements: Path) -> None:
        self.session, self.home, self.measurements = session, home, measurements

    async def ask(self, method: str, address: str, status: int = 200, /, **body: Any) -> Any:
        async with self.session.request(
            method, f"{BASE}/api/{address}", json=body or None
        ) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return await answer.json() if text else None

    async def names(self, path: str) -> list[str]:
        model = await self.ask("GET", f"contents/{path}")
        return sorted(entry["path"] for entry in model["content"])


@asynccontextmanager
async def lab(directory: Path, namespaces: bool) -> AsyncIterator[Lab]:
    mounted = [
        ("home-volume", "/home/jovyan"),
        ("measurements", "/data/measurements"),
        ("results", "/data/results"),
    ]
    container = {
        "image": "jupyterlab",
        "command": None,
        "ports": [{"containerPort": 8888}],
        "env": [
            {"name": "NB_PREFIX", "value": BASE},
            {"name": "JUPYTER_TOKEN", "value": "open-sesame"},
        ],
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounted],
    }
    async with node_cluster(directory, namespaces=None if namespaces else False) as nodes:
        home, measurements = await nodes.claim("home-volume"), await nodes.claim("measurements")
        await nodes.claim("results")
        volumes = [
            {"name": name, "persistentVolumeClaim": {"claimName": name}} for name, _ in mounted
        ]
        await nodes.program(
            "dora", "", container=container, volumes=volumes, terminationGracePeriodSeconds=15
        )
        address = (await nodes.ready("dora"))["status"]["podIP"]
        async with aiohttp.ClientSession(
            f"http://{address}:8888", headers={"Authorization": "token open-sesame"}
        ) as session:
            yield Lab(session, home, measurements)


@pytest.mark.parametrize("namespaces", [True, False], ids=["mounted", "linked"])
async def test_volumes_appear_in_the_file_browser_at_their_paths(
    tmp_path: Path, namespaces: bool
) -> None:
    if namespaces and KIND is None:
        pytest.skip("this user can make no mount namespace here")
    async with lab(tmp_path, namespaces) as found:
        (found.home / "notes.txt").write_text("mine")
        (found.measurements / "deep").mkdir()
        (found.measurements / "deep" / "a.b.csv").write_text("1,2")

        assert await found.names("") == ["data", "notes.txt"]
        assert await found.names("data") == ["data/measurements", "data/results"]
        assert await found.names("data/measurements") == ["data/measurements/deep"]
        (entry,) = (await found.ask("GET", "contents/data/measurements/deep"))["content"]
        assert (entry["name"], entry["path"]) == ("a.b.csv", "data/measurements/deep/a.b.csv")
        assert (await found.ask("GET", "contents/data/measurements/deep/a.b.csv"))[
            "content"
        ] == "1,2"
        assert [found.name for found in found.home.iterdir() if not found.name.startswith(".")] == [
            "notes.txt"
        ]


async def test_files_in_volumes_are_written_moved_kept_and_deleted_where_they_are(
    tmp_path: Path,
) -> None:
    async with lab(tmp_path, KIND is not None) as found:
        body = {"type": "file", "format": "text", "content": "3,4"}
        saved = await found.ask("PUT", "contents/data/measurements/new.csv", 201, **body)
        assert (saved["path"], saved["name"]) == ("data/measurements/new.csv", "new.csv")
        assert (found.measurements / "new.csv").read_text() == "3,4"

        (kept,) = [await found.ask("POST", "contents/data/measurements/new.csv/checkpoints", 201)]
        assert await found.ask("GET", "contents/data/measurements/new.csv/checkpoints") == [kept]
        await found.ask(
            "PUT", "contents/data/measurements/new.csv", **{**body, "content": "spoilt"}
        )
        await found.ask("POST", f"contents/data/measurements/new.csv/checkpoints/{kept['id']}", 204)
        assert (found.measurements / "new.csv").read_text() == "3,4"

        await found.ask(
            "PATCH", "contents/data/measurements/new.csv", path="data/measurements/old.csv"
        )
        assert (found.measurements / "old.csv").read_text() == "3,4"
        await found.ask("PATCH", "contents/data/measurements/old.csv", path="mine.csv")
        assert (found.home / "mine.csv").read_text() == "3,4"
        copied = await found.ask("POST", "contents/data/measurements", 201, copy_from="mine.csv")
        assert copied["path"] == "data/measurements/mine.csv"
        await found.ask("DELETE", "contents/data/measurements/mine.csv", 204)
        assert await found.names("data/measurements") == []
        assert [found.name for found in found.home.iterdir() if not found.name.startswith(".")] == [
            "mine.csv"
        ]


async def test_a_volume_itself_is_not_deleted_or_moved_from_the_file_browser(
    tmp_path: Path,
) -> None:
    async with lab(tmp_path, KIND is not None) as found:
        (found.measurements / "precious").write_text("1")

        for path in ("data", "data/measurements"):
            refusal = await found.ask("DELETE", f"contents/{path}", 400)
            assert "contains a volume of this workspace" in refusal["message"]
            await found.ask("PATCH", f"contents/{path}", 400, path="elsewhere")

        assert os.listdir(found.measurements) == ["precious"]


async def test_a_notebook_in_a_volume_runs_there(tmp_path: Path) -> None:
    async with lab(tmp_path, KIND is not None) as found:
        (found.measurements / "a.ipynb").write_text(
            '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
        )

        session = await found.ask(
            "POST",
            "sessions",
            201,
            **{
                "path": "data/measurements/a.ipynb",
                "type": "notebook",
                "name": "a.ipynb",
                "kernel": {"name": "python3"},
            },
        )
        code = "import os, pathlib; pathlib.Path('here').write_text(os.getcwd())"
        async with found.session.ws_connect(
            f"{BASE}/api/kernels/{session['kernel']['id']}/channels"
        ) as channels:
            header = {
                "msg_id": "1",
                "msg_type": "execute_request",
                "session": "x",
                "username": "",
                "version": "5.4",
            }
            content = {
                "code": code,
                "silent": False,
                "store_history": False,
                "user_expressions": {},
                "allow_stdin": False,
            }
            await channels.send_json(
                {
                    "header": header,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                }
            )
            while True:
                message = await channels.receive_json(timeout=30)
                if message["msg_type"] == "execute_reply":
                    assert message["content"]["status"] == "ok", message["content"]
                    break

        assert (found.measurements / "here").exists()
