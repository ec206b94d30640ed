"""An open panel while the cluster's API fails: staleness, few requests, quick recovery."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TOKEN, Lab
from flaky_api import FlakyApi, flaky_api
from playwright.sync_api import Browser, expect
from test_main_path import context, open_panel, row

from jupyter_workspaces.kube.endpoint import from_kubeconfig

__all__ = ["context"]

pytestmark = pytest.mark.usefixtures("any_cluster")

MOST_A_MINUTE = 40
COUNTED_SECONDS = 20.0
"""The span in which the panel's requests are counted."""
RECOVERY_SECONDS = {"refuse": 10.0, "html": 10.0, "hang": 30.0}


class Failing:
    """A proxy that fails on demand, in a thread of its own; `kubeconfig` leads to it."""

    def __init__(self, upstream: Path, folder: Path) -> None:
        self.kubeconfig = folder / "failing-kubeconfig"
        self._upstream = upstream
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with flaky_api(from_kubeconfig(self._upstream)) as self._api:
            cluster = {"name": "failing", "cluster": {"server": self._api.url}}
            reference = {
                "name": "failing",
                "context": {"cluster": "failing", "user": "nobody", "namespace": "default"},
            }
            user = {"name": "nobody", "user": {}}
            document = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "contexts": [reference],
                "users": [user],
            }
            self.kubeconfig.write_text(json.dumps(document | {"current-context": "failing"}))
            self._ready.set()
            await self._over.wait()

    def ask(self, do: Callable[[FlakyApi], Any]) -> Any:
        async def done() -> Any:
            return do(self._api)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)


@pytest.fixture(scope="module")
def failing(
    lab: Lab, cluster_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Failing]:
    upstream = Path(cluster_environment.get("KUBECONFIG") or lab.home / "kubeconfig")
    request(lab, "GET", "workspaces/default")  # the server at `/` starts the cluster
    made = Failing(upstream, tmp_path_factory.mktemp("failing"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def failing_lab(start_lab: Callable[..., Lab], failing: Failing) -> Lab:
    """A server that reaches the same cluster through the proxy."""
    return start_lab("/", f"--JupyterWorkspaces.kubeconfig={failing.kubeconfig}")


def request(lab: Lab, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    asked = urllib.request.Request(
        f"{lab.url}workspaces/api/v1/{path}", data, headers, method=method
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def paused(name: str) -> Any:
    options = {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"}
    return {
        "data": {
            "name": name,
            "kind": "jupyterlab",
            "paused": True,
            "podTemplate": {"options": options},
        }
    }


@pytest.mark.parametrize("mode", RECOVERY_SECONDS)
def test_an_open_panel_says_that_it_is_not_live_and_catches_up(
    context: Browser,
    lab: Lab,
    failing: Failing,
    failing_lab: Lab,
    mode: str,
    picture: Callable[..., None],
) -> None:
    name = f"made-while-{mode}"
    page = open_panel(context, failing_lab)
    live = page.locator(".jp-ClusterWorkspaces .cw-live")
    expect(live).to_have_text("live")

    failing.ask(lambda api: (api.reset(), api.fail(mode)))
    began = time.monotonic()
    request(lab, "POST", "workspaces/default", paused(name))
    try:
        expect(live).to_have_text(re.compile(r"not live since \d+"), timeout=30_000)
        expect(live).not_to_have_attribute("data-state", "live")
        picture(page, f"panel-not-live-{mode}")
        page.wait_for_timeout(max(0.0, COUNTED_SECONDS - (time.monotonic() - began)) * 1000)
        counted_seconds = time.monotonic() - began
        expect(row(page, name)).to_have_count(0)
        asked: Counter[str] = failing.ask(lambda api: api.reset())
        assert max(asked.values()) <= MOST_A_MINUTE * max(counted_seconds / 60, 0.5), asked
    finally:
        failing.ask(lambda api: api.fail("ok"))
    expect(row(page, name)).to_be_visible(timeout=RECOVERY_SECONDS[mode] * 1000)
    expect(live).to_have_text("live", timeout=10_000)
    request(lab, "DELETE", f"workspaces/default/{name}")
    page.close()
