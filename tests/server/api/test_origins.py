"""The API rejects browser requests from pages of other sites.

The header sets are those that Chromium sends.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable

import pytest
from tornado.httpclient import HTTPResponse
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from jupyter_workspaces.server.http.origins import is_cross_site

Raw = Callable[..., Awaitable[HTTPResponse]]
EVIL, PORTAL = "https://evil.example", "https://portal.example"


def sent(site: str, mode: str, dest: str, **more: str) -> dict[str, str]:
    """What Chromium says of a request."""
    return {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, **more}


OF_ANOTHER_SITE = {
    "script tag": sent("cross-site", "no-cors", "script", Referer=f"{EVIL}/"),
    "picture": sent("cross-site", "no-cors", "image"),
    "stylesheet": sent("cross-site", "no-cors", "style"),
    "prefetch": sent("cross-site", "no-cors", "empty", **{"Sec-Purpose": "prefetch"}),
    "fetch": sent("cross-site", "cors", "empty", Origin=EVIL, Referer=f"{EVIL}/"),
    "fetch without cors": sent("cross-site", "no-cors", "empty"),
    "EventSource": sent("cross-site", "cors", "empty", Origin=EVIL, Accept="text/event-stream"),
    "module": sent("cross-site", "cors", "script", Origin=EVIL),
    "frame": sent("cross-site", "navigate", "iframe", **{"Sec-Fetch-User": "?1"}),
    "object": sent("cross-site", "navigate", "object"),
    "embed": sent("cross-site", "no-cors", "embed"),
    "page on another port": sent("same-site", "cors", "empty", Origin="http://localhost:1"),
    "script on another port": sent("same-site", "no-cors", "script"),
    "frame on another port": sent("same-site", "navigate", "iframe"),
    "sandboxed frame": sent("cross-site", "cors", "empty", Origin="null"),
    "no Fetch Metadata": {"Origin": EVIL},
    "no Fetch Metadata, no origin": {"Origin": "null"},
    "no address": {"Origin": "http://["},
    "a value of tomorrow": sent("nearly-same-site", "cors", "empty"),
    "a value twice": sent("same-origin, cross-site", "cors", "empty"),
    "another scheme": sent("cross-site", "cors", "empty", Origin="http://HOST"),
}
OF_OURS_OR_OF_NOBODY = {
    "program": {},
    "own fetch": sent("same-origin", "cors", "empty", Referer="http://HOST/lab"),
    "own script": sent("same-origin", "no-cors", "script"),
    "own frame": sent("same-origin", "navigate", "iframe"),
    "own fetch with origin": sent("same-origin", "cors", "empty", Origin="http://HOST"),
    "typed address": sent("none", "navigate", "document", **{"Sec-Fetch-User": "?1"}),
    "followed link": sent("cross-site", "navigate", "document", Referer=f"{EVIL}/"),
    "link on another port": sent("same-site", "navigate", "document"),
}


def request(headers: dict[str, str], method: str = "GET") -> HTTPServerRequest:
    held = {name: value.replace("HOST", "here.example:8888") for name, value in headers.items()}
    start = RequestStartLine(method, "/", "HTTP/1.1")
    return HTTPServerRequest(
        start_line=start, headers=HTTPHeaders({"Host": "here.example:8888", **held})
    )


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_another_sites_requests_are_known_for_what_they_are(headers: dict[str, str]) -> None:
    assert is_cross_site(request(headers), {})
    assert is_cross_site(request(headers), {"allow_origin": PORTAL})
    assert is_cross_site(request(headers), {"allow_origin_pat": r"https://portal\.example"})


@pytest.mark.parametrize("headers", OF_OURS_OR_OF_NOBODY.values(), ids=OF_OURS_OR_OF_NOBODY)
def test_our_own_requests_links_and_programs_pass(headers: dict[str, str]) -> None:
    assert not is_cross_site(request(headers), {})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_form_that_another_site_sends_is_no_link(method: str) -> None:
    assert is_cross_site(
        request(sent("cross-site", "navigate", "document", Origin=EVIL), method), {}
    )
    assert is_cross_site(request(sent("cross-site", "navigate", "document"), method), {})


def test_a_link_opens_no_websocket() -> None:
    assert is_cross_site(
        request(sent("cross-site", "navigate", "document", Upgrade="websocket")), {}
    )
    assert is_cross_site(
        request(sent("cross-site", "navigate", "document")), {}, lets_navigate=False
    )


@pytest.mark.parametrize(
    ("settings", "trusts"),
    [
        ({"allow_origin": PORTAL}, True),
        ({"allow_origin": "*"}, True),
        ({"allow_origin_pat": r"https://[a-z]+\.example"}, True),
        ({"allow_origin_pat": r"https://portal"}, False),
        ({"allow_origin": "https://other.example"}, False),
        ({}, False),
    ],
)
def test_origins_that_the_administrator_names_pass(settings: dict[str, str], trusts: bool) -> None:
    """By `Origin`, and by `Referer` for frames and pictures, which have no other."""
    for headers in (
        sent("cross-site", "cors", "empty", Origin=PORTAL),
        sent("cross-site", "navigate", "iframe", Referer=f"{PORTAL}/page?a=b"),
        {"Origin": PORTAL},
    ):
        assert is_cross_site(request(headers), settings) is not trusts


def test_no_setting_trusts_a_page_without_an_origin() -> None:
    assert is_cross_site(request(OF_ANOTHER_SITE["sandboxed frame"]), {"allow_origin": "*"})


def test_behind_a_proxy_that_names_another_host_the_browsers_word_counts() -> None:
    own = sent("same-origin", "cors", "empty", Origin="https://public.example")
    assert not is_cross_site(request(own), {}, knows_host=False)
    assert is_cross_site(request(OF_ANOTHER_SITE["fetch"]), {}, knows_host=False)


@pytest.mark.parametrize(
    "path",
    [
        "healthcheck",
        "events",
        "workspaces",
        "workspaces/team-a",
        "workspacekinds",
        "secrets/default",
        "nothing",
    ],
)
async def test_the_api_answers_another_sites_page_nothing(raw: Raw, path: str) -> None:
    """Whoever is signed in, and also where nobody needs to be."""
    cookie = {"Authorization": "", "Cookie": await _signed_in(raw)}
    for name in (
        "script tag",
        "fetch",
        "frame",
        "EventSource",
        "page on another port",
        "no Fetch Metadata",
        "no address",
    ):
        answer = await raw("GET", path, headers={**OF_ANOTHER_SITE[name], **cookie})
        assert (name, answer.code) == (name, 403)
        assert (
            json.loads(answer.body)["error"]["message"]
            == "This page's origin may not use the API of this server."
        )
    answer = await raw(
        "GET",
        path if path != "events" else "cluster",
        headers={**OF_OURS_OR_OF_NOBODY["followed link"], **cookie},
    )
    assert answer.code in (200, 404)


async def test_a_referer_that_is_no_address_is_no_fault_of_the_server(
    raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    for path, status in (("cluster", 200), ("nothing", 404)):
        answer = await raw("GET", path, headers={"Referer": "http://["})
        assert answer.code == status
    assert [
        record for record in caplog.records if record.exc_info and record.levelno >= logging.WARNING
    ] == []


async def test_the_apis_pages_are_not_shown_in_frames_of_other_sites(raw: Raw) -> None:
    answer = await raw("GET", "swagger/index.html")
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


async def test_a_request_that_shows_the_token_may_come_from_anywhere(raw: Raw) -> None:
    answer = await raw("GET", "workspaces", headers=OF_ANOTHER_SITE["fetch"])
    assert answer.code == 200


async def _signed_in(raw: Raw) -> str:
    """The cookie of a browser that has signed in."""
    answer = await raw("GET", "cluster")
    return "; ".join(line.partition(";")[0] for line in answer.headers.get_list("Set-Cookie"))
