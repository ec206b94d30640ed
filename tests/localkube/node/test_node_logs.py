"""Logs on disk: rotated files, tails, previous runs and following."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from node_cluster import node_cluster
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.errors import BadRequest
from jupyter_workspaces.localkube.apiserver.pods.logs import LogOptions, LogsUnavailable
from jupyter_workspaces.localkube.node import PodLogs
from jupyter_workspaces.localkube.node.records import (
    ENDED,
    ContainerRecord,
    PodFiles,
    PodRecord,
)

POD: dict[str, Any] = {"metadata": {"uid": "u1", "name": "lab"}, "status": {}}


def line(second: int, text: str, tag: str = "F") -> str:
    return f"2026-01-01T00:00:{second:02d}.000000000Z stdout {tag} {text}\n"


@pytest.fixture
def files(tmp_path: Path) -> PodFiles:
    """A pod whose container runs for the second time."""
    files = PodFiles(tmp_path, "u1")
    files.below("containers", "main")
    files.save(PodRecord("u1", "default", "lab", containers={"main": ContainerRecord(attempt=2)}))
    files.log("main", 1).write_text(line(0, "before"))
    files.log("main", 2).with_name("2.log.1").write_text(line(1, "one") + line(2, "two"))
    files.log("main", 2).write_text(line(3, "thr", "P") + line(3, "ee") + line(4, "four"))
    return files


async def read(directory: Path, **options: Any) -> str:
    return b"".join(
        [piece async for piece in PodLogs(directory)(POD, "main", LogOptions(**options))]
    ).decode()


async def test_rotated_files_are_read_as_one_log(tmp_path: Path, files: PodFiles) -> None:
    assert await read(tmp_path) == "one\ntwo\nthree\nfour\n"


@pytest.mark.parametrize(
    ("lines", "text"),
    [(0, ""), (1, "four\n"), (2, "three\nfour\n"), (99, "one\ntwo\nthree\nfour\n")],
)
async def test_the_last_lines_are_read(
    tmp_path: Path, files: PodFiles, lines: int, text: str
) -> None:
    assert await read(tmp_path, tail_lines=lines) == text


async def test_lines_since_a_time_are_read(tmp_path: Path, files: PodFiles) -> None:
    assert (
        await read(tmp_path, since=datetime(2026, 1, 1, 0, 0, 3, tzinfo=timezone.utc))
        == "three\nfour\n"
    )


async def test_lines_carry_their_time_when_asked(tmp_path: Path, files: PodFiles) -> None:
    assert (
        await read(tmp_path, timestamps=True, tail_lines=1)
        == "2026-01-01T00:00:04.000000000Z four\n"
    )


async def test_no_more_bytes_are_read_than_asked(tmp_path: Path, files: PodFiles) -> None:
    assert await read(tmp_path, limit_bytes=5) == "one\nt"


async def test_the_run_before_is_read(tmp_path: Path, files: PodFiles) -> None:
    assert await read(tmp_path, previous=True) == "before\n"


async def test_no_run_before_says_so(tmp_path: Path, files: PodFiles) -> None:
    files.log("main", 1).unlink()

    with pytest.raises(
        LogsUnavailable, match='previous terminated container "main" in pod "lab" not found'
    ):
        await read(tmp_path, previous=True)


async def test_a_log_is_followed_over_a_rotation_to_its_end(
    tmp_path: Path, files: PodFiles
) -> None:
    got: list[bytes] = []

    async def follow() -> None:
        async for piece in PodLogs(tmp_path)(POD, "main", LogOptions(follow=True, tail_lines=1)):
            got.append(piece)

    following = asyncio.create_task(follow())
    await until(lambda: b"".join(got) == b"four\n")
    log = files.log("main", 2)
    with log.open("a") as file:
        file.write(line(5, "five"))
    log.rename(log.with_name("2.log.1"))
    log.write_text(line(6, "six"))
    await until(lambda: b"".join(got) == b"four\nfive\nsix\n")
    files.run("main", 2, ENDED).write_text("{}")

    async with timeout(5):
        await following


async def test_a_pod_that_waits_has_no_log_and_says_why(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("strange", "", container={"image": "acme/spark", "command": None})
        await nodes.state("strange", "waiting", "ImageNotAvailable")

        with pytest.raises(
            BadRequest,
            match="is waiting to start: No program on this computer is known for image",
        ):
            await nodes.log("strange")


async def test_a_log_is_followed_through_the_api(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "talking", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"
        )
        await nodes.says("talking", "line 1")

        async with (
            nodes.cluster.stream(
                PODS.path("default", "talking", "log"), query={"follow": "true"}
            ) as content,
            timeout(10),
        ):
            lines = [await content.readline() for _ in range(20)]

        assert lines == [f"line {number}\n".encode() for number in range(1, 21)]
