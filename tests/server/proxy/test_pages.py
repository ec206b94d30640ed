"""Placeholder pages of workspaces that cannot be opened: their state, action and polling."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from types import SimpleNamespace

import pytest

from jupyter_workspaces.kube.errors import Forbidden, Unreachable
from jupyter_workspaces.server.connection import NotReady
from jupyter_workspaces.server.http.problems import Problem

STATUS = "workspace/status/team-a/small/web"


@pytest.fixture
def page(browser):
    async def fetch():
        async with browser.request(
            "GET", "lab", headers={**browser.signed, "Accept": "text/html"}
        ) as answer:
            return answer.status, answer.headers, (await answer.read()).decode()

    return fetch


async def refusal(browser):
    async with browser.request("GET", "api/x") as answer:
        return answer.status, json.loads(await answer.read())


async def test_a_paused_workspace_offers_resume(page, browser, view):
    view.paused()

    status, headers, text = await page()

    assert status == 503
    assert headers["Retry-After"] == "30"
    assert headers["Cache-Control"] == "no-store"
    assert "small is paused" in text
    assert (
        f'<form id="act" method="post" action="{browser.base}{STATUS}">'
        '<button name="action" value="resume">Resume' in text
    )


async def test_resume_resumes_and_shows_the_start(page, browser, view):
    view.paused()

    async with browser.request(
        "POST",
        path=STATUS,
        data={"action": "resume"},
        headers={"Cookie": await browser.cookie(), "Origin": browser.origin},
    ) as answer:
        assert answer.status == 202

    assert view.there["spec"]["paused"] is False
    assert "small is starting" in (await page())[2]


async def test_resume_works_without_scripts(browser, view):
    view.paused()
    headers = {**browser.signed, "Accept": "text/html"}
    async with browser.request(
        "POST", path=STATUS, data={"action": "resume"}, headers=headers
    ) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == f"{browser.base}workspace/connect/team-a/small/web/"


async def test_resume_from_another_site_is_refused(browser, view):
    view.paused()
    headers = {"Cookie": await browser.cookie(), "Origin": "https://evil.example"}
    async with browser.request(
        "POST", path=STATUS, data={"action": "resume"}, headers=headers
    ) as answer:
        assert answer.status == 403
    assert view.there["spec"]["paused"] is True


async def test_a_starting_workspace_names_its_steps_and_the_reason(page, browser, view):
    view.unready()
    view.steps[-1] = SimpleNamespace(name="Ready", state="current", seconds=None)

    status, headers, text = await page()

    assert (status, headers["Retry-After"]) == (503, "2")
    assert "waiting until it answers" in text
    assert [step in text for step in ("Accepted", "Scheduled", "Started", "Ready")] == [True] * 4
    async with browser.request("GET", path=STATUS) as answer:
        told = json.loads(await answer.read())
    assert (told["state"], told["ready"]) == ("starting", False)
    assert [step["state"] for step in told["steps"]] == ["done", "done", "done", "current"]
    assert told["steps"][0]["seconds"] == 0.5


async def test_the_page_is_told_when_the_workspace_is_ready(browser):
    async with browser.request("GET", path=STATUS) as answer:
        assert json.loads(await answer.read())["ready"] is True


async def test_a_failed_workspace_says_why_and_offers_restart(page, browser, view):
    view.unready()
    view.there["status"].update(
        state="Error", stateMessage="Its program keeps ending (exit code 1)."
    )

    status, _, text = await page()

    assert status == 503
    assert "keeps ending (exit code 1)" in text
    async with browser.request("POST", path=STATUS, data={"action": "restart"}) as answer:
        assert answer.status == 202
    assert view.restarted == ["small"]


async def test_a_workspace_that_is_gone_is_not_found(page, view):
    view.there = None
    status, _, text = await page()
    assert status == 404
    assert "Workspace &#x27;small&#x27; not found in namespace &#x27;team-a&#x27;" in text
    assert "<form" not in text


async def test_an_unknown_port_names_those_that_are(browser):
    async with browser.request("GET", path="workspace/connect/team-a/small/other/") as answer:
        assert answer.status == 404
        assert "Its ports: web" in json.loads(await answer.read())["message"]


async def test_a_port_that_takes_no_connections_is_still_starting(page, browser, view):
    view.pod["metadata"]["annotations"]["jupyter-workspaces/local-port.8888"] = "1"

    status, _, text = await page()

    assert status == 503
    assert "does not accept connections yet" in text
    async with browser.request("GET", path=STATUS) as answer:
        assert json.loads(await answer.read())["ready"] is False


async def test_scripts_get_json_instead_of_pages(browser, view):
    view.unready()
    assert await refusal(browser) == (
        503,
        {"message": "small: Started; waiting until it answers.", "reason": "Starting"},
    )


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (Forbidden("workspaces is forbidden: nobody may"), 403, "nobody may"),
        (Unreachable("The cluster is away."), 503, "The cluster is away."),
        (asyncio.TimeoutError(), 503, "did not answer in time"),
    ],
)
async def test_a_namespace_that_the_server_may_not_see_says_why(page, view, error, status, words):
    view.unreachable = error
    found, _, text = await page()
    assert found == status
    assert words in text


async def test_what_the_cluster_says_is_text_not_markup(page, view):
    view.unready()
    view.there["status"]["stateMessage"] = "<script>alert(1)</script>"
    _, headers, text = await page()
    assert "<script>alert" not in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "http://" not in text
    assert "https://" not in text


async def test_a_write_to_a_paused_workspace_is_refused_before_its_body(browser, view):
    view.paused()
    async with browser.request(
        "POST", "x", data=b"1", headers={**browser.signed, "Expect": "100-continue"}
    ) as answer:
        assert answer.status == 503


async def test_a_workspace_that_still_stops_cannot_be_resumed_yet(page, browser, view):
    view.there["spec"]["paused"] = True

    status, _, text = await page()

    assert status == 503
    assert "small is stopping" in text
    assert "<form" not in text
    async with browser.request("POST", path=STATUS, data={"action": "resume"}) as answer:
        assert answer.status == 409
        assert json.loads(await answer.read())["message"] == "small is not paused."


async def test_a_cluster_that_is_not_there_yet_is_waited_for(page, browser, view):
    view.problem = NotReady("The cluster is not ready yet. Try again in a moment.")

    status, headers, text = await page()

    assert (status, headers["Retry-After"]) == (503, "2")
    assert "small is waiting for its cluster" in text
    assert (await refusal(browser))[0] == 503


async def test_steps_that_cannot_be_read_are_left_out(page, view):
    async def progress(namespace, name):
        raise Problem(HTTPStatus.FORBIDDEN, "no")

    view.unready()
    view.progress = progress
    assert (await page())[0] == 503
