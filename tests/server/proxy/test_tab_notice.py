"""The notice in a workspace's tab: which pages get its script, and the state that it reads."""

from __future__ import annotations

import gzip
import json

import pytest

from jupyter_workspaces.server.proxy.pages.tab_notice import (
    SETTING,
    ScriptAppender,
    accepts_notice,
    allows_notice,
    script,
    script_element,
    version,
)

from .conftest import at_both_bases

OPENS_TAB = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
TAB = "workspace/connect/team-a/small/.tab/web/"
ELEMENT = b"<script async src="


async def got(browser, rest, headers=OPENS_TAB, **more):
    async with browser.request(
        "GET", rest, headers={**browser.signed, **headers}, **more
    ) as answer:
        return answer.status, answer.headers, await answer.read()


async def told(browser):
    status, headers, body = await got(
        browser, "state", {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}, path=TAB
    )
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    return json.loads(body)


def appended(page, size=1):
    appender = ScriptAppender(b"<added>")
    return b"".join(
        [
            *(appender.feed(page[at : at + size]) for at in range(0, len(page), size)),
            appender.finish(),
        ]
    )


@at_both_bases
@pytest.mark.parametrize("query", ["", "?gzip", "?pieces=7", "?gzip&pieces=7"])
async def test_the_page_of_a_tab_gets_one_script_element_after_its_last_byte(browser, query):
    _, plain_headers, plain = await got(browser, f"page{query}", {})
    plain = gzip.decompress(plain) if plain_headers.get("Content-Encoding") == "gzip" else plain
    status, headers, page = await got(
        browser, f"page{query}", {**OPENS_TAB, "Accept-Encoding": "gzip, br"}
    )

    source = f"{browser.base}{TAB}notice.js?v={version()}"
    assert status == 200
    assert page == plain + f'<script async src="{source}"></script>'.encode()
    assert headers["ETag"] == 'W/"v1"'
    assert "Sec-Fetch-Dest" in headers.getall("Vary", ())
    assert "Content-Encoding" not in headers
    assert "Content-Length" not in headers


@pytest.mark.parametrize("jp_base_url", ["/"])
@pytest.mark.parametrize(
    "destination", ["iframe", "frame", "empty", "object", "embed", "script", "serviceworker", None]
)
async def test_every_other_request_gets_the_very_bytes_of_the_program(browser, destination):
    sent = (
        {}
        if destination is None
        else {"Sec-Fetch-Dest": destination, "Sec-Fetch-Site": "same-origin"}
    )
    _, headers, page = await got(browser, "page?gzip", {**sent, "Accept": "text/html"})
    assert headers["Content-Encoding"] == "gzip"
    assert headers["ETag"] == '"v1"'
    assert int(headers["Content-Length"]) == len(page)
    assert gzip.decompress(page).endswith(b"</html>\n")


@pytest.mark.parametrize("jp_base_url", ["/"])
async def test_a_head_request_is_told_the_programs_own_length(browser):
    async with browser.request("HEAD", "page", headers={**browser.signed, **OPENS_TAB}) as answer:
        assert int(answer.headers["Content-Length"]) > 0
        assert answer.headers["ETag"] == '"v1"'


@pytest.mark.parametrize("jp_base_url", ["/"])
async def test_it_can_be_switched_off(browser, server):
    server.web_app.settings[SETTING] = False
    _, headers, page = await got(browser, "page?gzip", {**OPENS_TAB, "Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    assert ELEMENT not in gzip.decompress(page)


@pytest.mark.parametrize("jp_base_url", ["/"])
@pytest.mark.parametrize(
    ("kind", "disposition", "body"),
    [
        ("text/html", "attachment; filename=a.html", b"<html></html>"),
        ("text/html; charset=utf-16", "", "<html></html>".encode("utf-16")),
        ("application/xhtml+xml", "", b"<html></html>"),
        ("text/plain", "", b"<html></html>"),
        ("application/json", "", b'"<html></html>"'),
        ("text/html", "", b"<p>a piece of a page"),
        ("text/html", "", b"<html><script>'</html>' +"),
        ("text/html", "", b""),
    ],
)
async def test_what_is_no_complete_page_stays_as_it_is(browser, kind, disposition, body):
    async with browser.request(
        "POST",
        "typed",
        params={"type": kind, **({"disposition": disposition} if disposition else {})},
        data=body,
        headers={**browser.signed, **OPENS_TAB, "Origin": browser.origin},
    ) as answer:
        assert (answer.status, await answer.read()) == (200, body)


@pytest.mark.parametrize(
    "page",
    [b"<html></html>", b"<html></HTML >\r\n\n", b"x" * 5000 + b"</html>", b"</html> </html>"],
)
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_the_end_of_a_page_is_found_wherever_the_stream_is_cut(page, size):
    assert appended(page, size) == page + b"<added>"


@pytest.mark.parametrize(
    "page",
    [b"", b"<html>", b"</html><!-- more", b"</html>" + b" " * 300, b"</html-x>", b"<!--</html>-->"],
)
def test_a_page_that_ends_otherwise_gets_nothing(page):
    assert appended(page, 3) == page


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("", True),
        ("frame-ancestors 'self'; report-uri /api/security/csp-report", True),
        ("default-src 'self'", True),
        ("default-src *; script-src * 'unsafe-inline'", True),
        ("script-src 'self' 'nonce-a'", True),
        ("default-src 'none'; script-src 'self'; connect-src 'self'", True),
        ("DEFAULT-SRC 'SELF'", True),
        ("default-src 'none'", False),
        ("script-src 'nonce-a'", False),
        ("script-src 'self' 'nonce-a' 'strict-dynamic'", False),
        ("script-src 'self'; script-src-elem 'none'", False),
        ("script-src 'self'; connect-src https://elsewhere.example", False),
        ("script-src", False),
        ("script-src 'none'; script-src 'self'", False),
        ("sandbox allow-scripts", False),
        ("default-src https://cdn.example", False),
    ],
)
def test_a_page_whose_policy_does_not_allow_the_script_is_left_alone(policy, allowed):
    assert allows_notice(policy) == allowed
    assert (
        accepts_notice(200, "text/html", "utf-8", [("Content-Security-Policy", policy)]) == allowed
    )
    both = [
        ("Content-Security-Policy", "default-src 'self'"),
        ("content-security-policy-report-only", policy),
    ]
    assert accepts_notice(200, "text/html", "", both) == allowed
    assert (
        accepts_notice(
            200, "text/html", "", [("Content-Security-Policy", f"default-src 'self', {policy}")]
        )
        == allowed
    )


@pytest.mark.parametrize("status", [201, 204, 206, 304, 404, 500])
def test_only_a_page_that_is_whole_and_was_found_gets_the_script(status):
    assert not accepts_notice(status, "text/html", "", [])


def test_a_page_whose_scripts_must_prove_their_integrity_is_left_alone():
    assert not accepts_notice(
        200, "text/html", "", [("Integrity-Policy", "blocked-destinations=(script)")]
    )


def test_a_page_that_may_not_be_transformed_is_left_alone():
    assert not accepts_notice(200, "text/html", "", [("Cache-Control", "private, No-Transform")])
    assert accepts_notice(200, "text/html", "", [("Cache-Control", "private")])


def test_an_address_cannot_leave_its_attribute():
    assert b'">' not in script_element('/user/"><b>/', "web").replace(b'"></script>', b"")


async def test_the_script_is_kept_by_browsers_and_asks_for_a_sign_in(browser, view):
    view.paused()
    status, headers, body = await got(
        browser, "notice.js", {"Sec-Fetch-Site": "same-origin"}, path=TAB
    )
    assert (status, body) == (200, script())
    assert headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in headers["Cache-Control"]
    for name in ("notice.js", "state"):
        async with browser.request("GET", name, path=TAB, headers={}) as answer:
            assert answer.status == 403
        assert (
            await got(
                browser,
                name,
                {"Sec-Fetch-Site": "same-origin", "Authorization": "token wrong"},
                path=TAB,
            )
        )[0] == 403


async def test_other_sites_read_neither_script_nor_state(browser):
    for name in ("notice.js", "state"):
        headers = {
            "Cookie": await browser.cookie(),
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "no-cors",
            "Sec-Fetch-Dest": "script",
        }
        async with browser.request("GET", name, path=TAB, headers=headers) as answer:
            assert answer.status == 403


@at_both_bases
async def test_the_tab_is_told_what_happened_and_where_to_go(browser, view):
    page = f"{browser.base}workspace/connect/team-a/small/web/"
    assert await told(browser) == {
        "state": "running",
        "message": "Workspace 'small' is running.",
        "action": None,
    }

    view.unready()
    starting = await told(browser)
    assert (starting["state"], starting["action"]) == ("starting", None)
    assert starting["message"].startswith("Workspace 'small' is starting. ")

    view.paused()
    paused = "Workspace 'small' was paused. Its files are kept."
    assert await told(browser) == {
        "state": "paused",
        "message": paused,
        "action": {"label": "Resume", "url": page},
    }

    view.there["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert (await told(browser))["message"] == "Workspace 'small' is being deleted."

    view.delete()
    back = {"label": "Back to workspaces", "url": browser.base}
    assert await told(browser) == {
        "state": "gone",
        "message": "Workspace 'small' was deleted.",
        "action": back,
    }


async def test_the_tab_is_told_that_the_cluster_does_not_answer(browser, view):
    from jupyter_workspaces.kube.errors import Unreachable

    view.unreachable = Unreachable("The cluster does not answer.")
    found = await told(browser)
    assert found == {
        "state": "cluster",
        "message": "Workspace 'small' cannot be reached. The cluster does not answer.",
        "action": None,
    }


async def test_a_refusal_says_in_its_timing_that_it_is_ours(browser, view):
    async with browser.request("GET", "api/contents") as answer:
        assert "Server-Timing" not in answer.headers
    view.paused()
    async with browser.request("GET", "api/contents") as answer:
        assert (answer.status, answer.headers["Server-Timing"]) == (
            503,
            "jupyter-workspaces;desc=paused",
        )
    view.delete()
    async with browser.request("GET", "api/contents") as answer:
        assert (answer.status, answer.headers["Server-Timing"]) == (
            410,
            "jupyter-workspaces;desc=gone",
        )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_the_tabs_addresses_change_nothing(browser, view, method):
    view.paused()
    for name in ("notice.js", "state"):
        async with browser.request(method, name, path=TAB, data=b"action=resume") as answer:
            assert answer.status == 405
    assert view.there["spec"]["paused"]
