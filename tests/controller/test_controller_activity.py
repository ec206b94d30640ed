"""Activity probes of a real HTTP server, which stands for the program of a pod, and pauses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Any

import pytest
from aiohttp import web
from played_cluster import Play, PlayedCluster
from thief import as_root, thief

from jupyter_workspaces.controller.workspaces import activity
from jupyter_workspaces.kube.catalog import EVENTS, SECRETS
from jupyter_workspaces.resources import metadata_keys

PROBE = {
    "jupyter": {"lastActivity": True, "portId": "jupyterlab"},
    "probeIntervalSeconds": 1,
    "minProbeIntervalSeconds": 1,
}
PATH = "/workspace/connect/default/dora/jupyterlab/api/status"


class Program:
    """Server that answers `api/status`; `asked` has path and token of each request."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[tuple[str, str]] = []
        self.body: Any = {"last_activity": ago(0)}
        self.status = 200
        self.text: str | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, request.headers.get("Authorization", "")))
        if self.text is not None:
            return web.Response(text=self.text, status=self.status)
        return web.json_response(self.body, status=self.status)


def ago(seconds: float) -> str:
    return (
        datetime.fromtimestamp(time.time() - seconds, timezone.utc)
        .isoformat()
        .replace("+00:00", "Z")
    )


@asynccontextmanager
async def program() -> AsyncIterator[Program]:
    made = Program()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


async def probed(played: PlayedCluster, result: str, words: str = "") -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        activity: dict[str, Any] = (await played.status()).get("activity") or {}
        last = activity.get("lastProbe") or {}
        return activity if last.get("result") == result and words in last["message"] else None

    return await played.until(found, f"a probe with {result} ({words})")


async def test_a_probe_sends_the_token_to_the_address_of_the_pod(play: Play) -> None:
    async with program() as lab, play() as played:
        lab.body = {"last_activity": "2026-01-02T03:04:05.678901Z", "kernels": 0}
        await played.make_kind("lab", activityProbe=PROBE)
        await played.make(kind="lab")
        await played.run_pod(port=lab.port)
        activity = await probed(played, "Success")
        assert activity["lastActivity"] == 1767323045678
        assert activity["lastUpdate"] >= activity["lastProbe"]["startTime"] > 1767323045678
        assert "rules" not in activity
        path, authorization = lab.asked[0]
        secret = (await played.owned(SECRETS))[0]
        assert path == PATH
        assert authorization.startswith("token ")
        assert len(authorization) > 40
        assert secret["data"]["token"] not in authorization, "as it is, not as base64"


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (500, "oops", "returned 500"),
        (302, "", "returned 302"),
        (200, "not json", "last_activity"),
        (200, '{"last_activity": 5}', "last_activity"),
        (200, '{"last_activity": "yesterday"}', "last_activity"),
        (200, '{"last_activity": "2026-01-02T03:04:05"}', "time zone"),
        (200, "[]", "last_activity"),
        (200, " " * (2**20 + 1), "over 1048576 bytes"),
    ],
)
async def test_an_unusable_response_is_a_failure_with_a_reason(
    play: Play, status: int, text: str, words: str
) -> None:
    async with program() as lab, play() as played:
        lab.status, lab.text = status, text
        await played.make_kind("lab", activityProbe=PROBE)
        await played.make(kind="lab")
        await played.run_pod(port=lab.port)
        activity = await probed(played, "Failure", words)
        assert (activity["lastActivity"], activity["lastUpdate"]) == (0, 0)
        assert (await played.status())["state"] == "Running"


@as_root
async def test_a_listener_of_another_user_gets_no_token(play: Play) -> None:
    with thief("127.0.0.1") as other:
        async with play() as played:
            await played.make_kind("lab", activityProbe=PROBE)
            await played.make(kind="lab")
            await played.run_pod(port=other.port)
            await probed(
                played, "Failure", "Another user's program listens at this workspace's address"
            )
        count, taken = await asyncio.to_thread(other.stop)

    assert count >= 1
    assert taken == b""


async def test_a_program_that_does_not_listen_is_probed_again(play: Play) -> None:
    async with program() as lab, play() as played:
        await played.make_kind("lab", activityProbe=PROBE)
        await played.make(kind="lab")
        await played.run_pod(port=1)
        await probed(played, "Failure", "127.0.0.1")
        await played.run_pod(port=lab.port)
        await probed(played, "Success")


@pytest.mark.slow
async def test_probes_without_news_are_written_once_an_hour(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with program() as lab, play() as played:
        lab.body = {"last_activity": "2026-01-02T03:04:05Z"}
        await played.make_kind("lab", activityProbe=PROBE)
        await played.make(kind="lab")
        await played.run_pod(port=lab.port)
        first = await probed(played, "Success")
        written = (await played.workspace())["metadata"]["resourceVersion"]

        async def asked_again() -> bool:
            return len(lab.asked) >= 4

        await played.until(asked_again, "three more probes")
        assert (await played.workspace())["metadata"]["resourceVersion"] == written

        lab.body = {"last_activity": "2026-01-02T03:04:06Z"}

        async def newer() -> bool:
            return bool((await played.status())["activity"]["lastActivity"] > first["lastActivity"])

        await played.until(newer, "what the program told")
        monkeypatch.setattr(activity, "QUIET_SECONDS", 0.0)
        told = (await played.status())["activity"]["lastUpdate"]

        async def told_again() -> bool:
            return bool((await played.status())["activity"]["lastUpdate"] > told)

        await played.until(told_again, "the time of the last probe")


async def test_a_script_that_cannot_run_is_a_failure_with_advice(play: Play) -> None:
    async with play() as played:
        probe = {
            "podExec": {"script": "#!/bin/sh\ntrue"},
            "probeIntervalSeconds": 1,
            "minProbeIntervalSeconds": 1,
            "jupyter": None,
        }
        kind = await played.make_kind("lab")
        await played.change_kind(kind["metadata"]["name"], activityProbe=probe)
        await played.make(kind="lab")
        await played.run_pod()
        await probed(played, "Failure", "jupyter probe")


@pytest.mark.slow
async def test_an_idle_workspace_is_paused_with_a_reason_until_it_is_resumed(
    play: Play,
) -> None:
    async with program() as lab, play() as played:
        rule = {"config": {"secondsSinceActive": 18}, "effect": {"pauseWorkspace": True}}
        await played.make_kind("lab", activityProbe=PROBE, activityRules=[rule])
        await played.make(kind="lab")
        lab.body = {"last_activity": ago(14)}
        await played.run_pod(port=lab.port)
        activity = await probed(played, "Success")
        assert (
            activity["rules"]["pauseWorkspace"]["eligibleAfter"]
            == activity["lastActivity"] + 18_000
        )
        assert (await played.workspace())["spec"]["paused"] is False

        await played.end_pods()
        status = await played.state("Paused", message="not used for")
        assert "after 18 seconds" in status["stateMessage"]
        events = (await played.cluster.list(EVENTS, "default")).items
        assert [event["reason"] for event in events if event["reason"] == "PausedWhenIdle"] == [
            "PausedWhenIdle"
        ]

        lab.body = {"last_activity": ago(0)}
        await played.change("dora", {"paused": False})
        await played.run_pod(port=lab.port)
        await played.state("Running")
        activity = await probed(played, "Success")
        assert metadata_keys.PAUSED_BECAUSE not in (
            (await played.workspace())["metadata"].get("annotations") or {}
        )


async def test_a_new_or_exempt_workspace_is_not_paused(
    play: Play,
) -> None:
    async with program() as lab, play() as played:
        lab.body = {"last_activity": ago(3600)}
        young = {
            "config": {"secondsSinceActive": 16, "minRunningSeconds": 600},
            "effect": {"pauseWorkspace": True},
        }
        exempt = {"config": {"secondsSinceActive": 16}, "effect": {"pauseWorkspace": False}}
        await played.make_kind("young", activityProbe=PROBE, activityRules=[young])
        await played.make_kind("exempt", activityProbe=PROBE, activityRules=[exempt])
        for name in ("young", "exempt"):
            await played.make(name, kind=name)
            await played.run_pod(name, port=lab.port)

        async def asked_twice() -> bool:
            return all(
                sum(f"/{name}/" in path for path, _ in lab.asked) >= 3
                for name in ("young", "exempt")
            )

        await played.until(asked_twice, "three probes of each")
        assert not (await played.workspace("young"))["spec"]["paused"]
        assert not (await played.workspace("exempt"))["spec"]["paused"]
        assert "rules" not in (await played.status("exempt"))["activity"]


async def test_slow_probes_do_not_delay_other_workspaces(play: Play) -> None:
    async with play() as played:
        writers: list[asyncio.StreamWriter] = []
        silent = await asyncio.start_server(
            lambda reader, writer: writers.append(writer), "127.0.0.1", 0
        )
        try:
            await played.make_kind("lab", activityProbe=PROBE)
            port = silent.sockets[0].getsockname()[1]
            for number in range(10):
                await played.make(f"slow-{number}", kind="lab", size="tiny_cpu")
                await played.run_pod(f"slow-{number}", port=port)
            start = time.monotonic()
            await played.make("quick", kind="rstudio", image="rstudio_tidyverse_190")
            await played.run_pod("quick")
            await played.state("Running", "quick")
            assert time.monotonic() - start < 3
        finally:
            silent.close()
            for writer in writers:
                writer.close()
