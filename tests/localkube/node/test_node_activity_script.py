"""Activity probes of the type `podExec`: their script runs in the container."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from node_cluster import NodeCluster, node_cluster

from jupyter_workspaces.controller.workspaces import pod_script
from jupyter_workspaces.controller.workspaces.pod_script import ScriptFailed
from jupyter_workspaces.kube.types import Object


@asynccontextmanager
async def workspace(directory: Path, **container: Any) -> AsyncIterator[tuple[NodeCluster, Object]]:
    async with node_cluster(directory) as nodes:
        await nodes.program("p", "echo up; sleep 600", container=container)
        await nodes.says("p", "up")
        yield nodes, await nodes.pod("p")


async def ask(nodes: NodeCluster, pod: Object, script: str, seconds: int = 30) -> int | None:
    return await pod_script.ask(nodes.cluster, pod, {"script": script, "timeoutSeconds": seconds})


async def test_what_a_scripts_answers_mean(tmp_path: Path) -> None:
    async with workspace(tmp_path) as (nodes, pod):
        before = int(time.time() * 1000)
        for answer in (
            "",
            '{"has_activity": true}',
            "{}",
            '{"has_activity": true, "last_activity": "2020-01-01T00:00:00Z"}',
        ):
            found = await ask(
                nodes, pod, f"#!/bin/sh\necho noise\nprintf '%s' '{answer}' > $OUTPUT_JSON_PATH"
            )
            assert (found or 0) >= before, answer
        assert (await ask(nodes, pod, "#!/bin/sh\ntrue") or 0) >= before  # no file at all
        assert (
            await ask(nodes, pod, "#!/bin/sh\necho '{\"has_activity\": false}' > $OUTPUT_JSON_PATH")
            is None
        )
        told = await ask(
            nodes,
            pod,
            '#!/bin/sh\necho \'{"last_activity": "2026-01-02T03:04:05Z"}\' > $OUTPUT_JSON_PATH',
        )
        assert told == 1767323045000


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho 'no such kernel' >&2; exit 3", "exit code 3: no such kernel"),
        ("#!/no/such/interpreter\n", "exit code 12"),
        ("#!/bin/sh\necho '{' > $OUTPUT_JSON_PATH", "no valid JSON"),
        ('#!/bin/sh\necho \'{"last_activity": "yesterday"}\' > $OUTPUT_JSON_PATH', "no valid JSON"),
        (
            '#!/bin/sh\necho \'{"last_activity": "2026-01-02T03:04:05"}\' > $OUTPUT_JSON_PATH',
            "without a time zone",
        ),
    ],
)
async def test_a_script_that_fails_says_how(tmp_path: Path, script: str, words: str) -> None:
    async with workspace(tmp_path) as (nodes, pod):
        with pytest.raises(ScriptFailed, match=words):
            await ask(nodes, pod, script)


async def test_a_script_that_hangs_is_ended(tmp_path: Path) -> None:
    async with workspace(tmp_path) as (nodes, pod):
        with pytest.raises(asyncio.TimeoutError):
            await ask(
                nodes,
                pod,
                f"#!/bin/sh\ntouch {tmp_path}/began\nsleep 4; touch {tmp_path}/went-on",
                seconds=2,
            )
        assert (tmp_path / "began").exists()
        assert (
            await ask(nodes, pod, "#!/bin/sh\nsleep 4")
        ) is not None  # as long as the first would have gone on

        assert not (tmp_path / "went-on").exists()


async def test_a_script_leaves_nothing_behind_and_has_the_containers_environment(
    tmp_path: Path,
) -> None:
    async with workspace(tmp_path, env=[{"name": "COLOUR", "value": "blue"}]) as (nodes, pod):
        await ask(
            nodes, pod, f'#!/bin/sh\necho "$COLOUR $TMPDIR $OUTPUT_JSON_PATH" > {tmp_path}/seen'
        )

        colour, place, output = (tmp_path / "seen").read_text().split()
        assert colour == "blue"
        assert output.startswith(f"{place}/.ws-activity-probe-")
        assert not list(Path(place).glob(".ws-activity-probe-*"))
