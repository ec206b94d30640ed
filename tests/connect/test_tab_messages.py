"""Documents that a person opens get a script that says when their workspace is gone; everything else passes as it is."""

from __future__ import annotations

import gzip
import json

import pytest
from multidict import CIMultiDict

from jupyter_workspaces.connect.pages import LOOKS
from jupyter_workspaces.connect.rewriting import PublicPath
from jupyter_workspaces.connect.tab_messages import NAME, SETTING, STATE_HEADER, element, script, takes_script

from .conftest import PATH, at_both_bases
from .raw_workspace import raw_workspace
from .upstream import PAGE

OPENED = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept": "text/html"}


def added(browser):
    """What stands at the end of a page."""
    return element(PublicPath(browser.base, f"{browser.base}{PATH}"), "small")


def reply(body=b"<p>hello", **headers):
    lines = {"Content-Type": "text/html", "Content-Length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return b"HTTP/1.1 200 OK\r\n" + b"".join(f"{name}: {value}\r\n".encode() for name, value in lines.items()) + b"\r\n" + body


@at_both_bases
@pytest.mark.parametrize("query", ["", "?gzip", "?gzip&pieces=7"])
async def test_a_document_that_is_opened_ends_with_the_script(browser, query):
    async with browser.request("GET", f"page{query}", headers=browser.signed | OPENED) as answer:
        body = await answer.read()
        assert body.endswith(added(browser))
        assert body.count(b"<script async") == 1
        assert b"</body></html>" in body
        assert "Content-Encoding" not in answer.headers
        assert answer.headers["ETag"] == 'W/"v1"'
        assert answer.headers["Vary"] == "Sec-Fetch-Dest"
        if browser.base == "/":
            assert body == PAGE.encode() + added(browser)


@pytest.mark.parametrize("jp_base_url", ["/"])
@pytest.mark.parametrize("destination", [None, "iframe", "empty", "script"])
async def test_a_page_that_is_not_opened_as_a_document_passes_as_it_is(browser, destination):
    more = {} if destination is None else OPENED | {"Sec-Fetch-Dest": destination}
    async with browser.request("GET", "page?gzip", headers=browser.signed | more | {"Accept-Encoding": "br, gzip"}) as answer:
        body = gzip.decompress(await answer.read())
        assert answer.headers["Content-Length"] == str(len(gzip.compress(PAGE.encode())))
    assert body == PAGE.encode()


@pytest.mark.parametrize("jp_base_url", ["/"])
async def test_a_document_is_asked_for_in_an_encoding_that_can_be_read(browser):
    async with browser.request("GET", "echo", headers=browser.signed | OPENED | {"Accept-Encoding": "br, gzip, zstd"}) as answer:
        assert ["Accept-Encoding", "gzip, deflate"] in json.loads(await answer.read())["headers"]


@pytest.mark.parametrize("jp_base_url", ["/"])
@pytest.mark.parametrize(
    "answer",
    [
        reply(Content_Encoding="br"),
        reply(Content_Type="application/json"),
        reply(Content_Type="text/html; charset=utf-16"),
        reply(Content_Disposition="attachment; filename=report.html"),
        reply(Content_Security_Policy="script-src 'nonce-a'"),
        reply(Cache_Control="private, No-Transform"),
        reply().replace(b"200 OK", b"404 Not Found"),
    ],
    ids=["unknown encoding", "data", "UTF-16", "download", "policy", "no-transform", "error"],
)
async def test_what_cannot_take_the_script_passes_as_it_is(view, browser, answer):
    async with raw_workspace(view, answer), browser.request("GET", "x", headers=browser.signed | OPENED) as response:
        raw = response.content
        assert response.headers["Content-Length"] == "8"
        if response.headers.get("Content-Encoding") != "br":  # which this body is not, so it cannot be read
            assert await raw.read() == b"<p>hello"


@pytest.mark.parametrize(
    ("policies", "taken"),
    [
        ([], True),
        (["frame-ancestors 'self'; report-uri /x"], True),
        (["default-src 'self'"], True),
        (["default-src 'none'; script-src 'SELF' 'unsafe-eval'"], True),
        (["script-src *"], True),
        (["script-src 'self'; script-src-elem 'none'"], False),
        (["default-src 'none'"], False),
        (["script-src 'self' 'strict-dynamic' 'nonce-x'"], False),
        (["script-src 'unsafe-inline' https:"], False),
        (["sandbox allow-scripts"], False),
        (["frame-ancestors 'self', default-src 'none'"], False),
        (["frame-ancestors 'self'", "default-src 'none'"], False),
        (["require-trusted-types-for 'script'"], False),
    ],
)
def test_a_policy_says_whether_the_script_may_run(policies, taken):
    assert takes_script(200, "text/html", "utf-8", CIMultiDict(), policies) is taken


async def test_the_names_in_the_element_are_escaped():
    path = PublicPath('/user/"><img src=x>/', '/user/"><img src=x>/workspace/connect/a/b/c/')
    text = element(path, '"><script>').decode()
    assert text.count("<") == 2
    assert text.startswith("<script ")


async def test_no_document_gets_it_when_the_setting_says_so(browser, server):
    server.web_app.settings[SETTING] = False
    async with browser.request("GET", "page", headers=browser.signed | OPENED) as answer:
        assert b"tab-messages" not in await answer.read()


@at_both_bases
async def test_anybody_may_read_the_script_which_holds_nothing_of_anybody(browser):
    async with browser.request("GET", path=NAME, headers={}) as answer:
        text = await answer.text()
        assert answer.status == 200
        assert answer.content_type == "text/javascript"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
    assert text == script().decode()
    assert browser.token not in text
    assert json.dumps(LOOKS["paused"].title + ".") in text


@pytest.mark.parametrize(("state", "told"), [("delete", "gone"), ("paused", "paused"), ("unready", "starting")])
async def test_answers_for_a_workspace_that_is_away_name_its_state(browser, view, state, told):
    async with browser.request("GET", "x") as answer:
        assert STATE_HEADER not in answer.headers
    getattr(view, state)()
    async with browser.request("GET", "x") as answer:
        assert answer.headers[STATE_HEADER] == told
