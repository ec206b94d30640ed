"""Pages of other sites get nothing from a workspace, however the user is signed in."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from jupyter_workspaces.server.http.identity import HeaderIdentities

STATUS = "workspace/status/team-a/small/web"
EVIL = "https://evil.example"


def sent(site, mode, dest, **more):
    """Headers that Chromium adds to a request."""
    return {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, **more}


OF_ANOTHER_SITE = {
    "script tag": sent("cross-site", "no-cors", "script", Referer=f"{EVIL}/"),
    "fetch": sent("cross-site", "cors", "empty", Origin=EVIL),
    "frame": sent("cross-site", "navigate", "iframe", Accept="text/html"),
    "EventSource": sent("cross-site", "cors", "empty", Origin=EVIL, Accept="text/event-stream"),
    "script on another port": sent("same-site", "no-cors", "script"),
    "frame on another port": sent("same-site", "navigate", "iframe", Accept="text/html"),
    "no Fetch Metadata": {"Origin": EVIL},
    "sandboxed frame": sent("cross-site", "no-cors", "image", Origin="null"),
}
OURS = {
    "program": {},
    "own fetch": sent("same-origin", "cors", "empty"),
    "own frame": sent("same-origin", "navigate", "iframe", Accept="text/html"),
    "typed address": sent("none", "navigate", "document", Accept="text/html"),
    "followed link": sent("cross-site", "navigate", "document", Accept="text/html"),
}


@pytest.fixture(params=["nobody is asked", "cookie", "headers of a proxy"])
def signed_in(request, browser, server, view, jp_asyncio_loop):
    """Return the headers that a browser or a reverse proxy adds."""
    if request.param == "cookie":
        return {"Cookie": jp_asyncio_loop.run_until_complete(browser.cookie())}
    if request.param == "nobody is asked":
        server.identity_provider.token = ""
        return {}

    async def allowed(*_):
        return True

    async def ready(seconds=20, *, stale=False):
        return SimpleNamespace(
            cluster=view, workspaces=view, pods=view, access=SimpleNamespace(allowed=allowed)
        )

    server.web_app.settings["identity_provider"] = HeaderIdentities(parent=server)
    server.web_app.settings["jupyter_workspaces"] = SimpleNamespace(ready=ready)
    return {"kubeflow-userid": "anna"}


@pytest.mark.parametrize("path", ["workspace/connect/team-a/small/web/x", STATUS])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_other_sites_may_not_read(browser, signed_in, path, method):
    for name, headers in OF_ANOTHER_SITE.items():
        for query in ("", "?token=guessed"):
            async with browser.request(
                method, query, path=path, headers={**signed_in, **headers}
            ) as answer:
                assert (name, answer.status) == (name, 403)
                assert b"the-token-of-the-workspace" not in await answer.read()
    for name, headers in OURS.items():
        async with browser.request(method, path=path, headers={**signed_in, **headers}) as answer:
            assert (name, answer.status) == (
                name,
                200 if method == "GET" or path != STATUS else 405,
            )


async def test_other_sites_may_not_ask_what_they_may(browser, signed_in):
    preflight = sent(
        "cross-site", "cors", "empty", Origin=EVIL, **{"Access-Control-Request-Method": "PUT"}
    )
    async with browser.request("OPTIONS", "x", headers={**signed_in, **preflight}) as answer:
        assert answer.status == 403


async def test_a_link_from_another_site_writes_nothing(browser, signed_in):
    form = sent("cross-site", "navigate", "document", Origin=EVIL, Accept="text/html")
    for path in ("workspace/connect/team-a/small/web/x", STATUS):
        async with browser.request(
            "POST", path=path, data={"action": "restart"}, headers={**signed_in, **form}
        ) as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    "setting",
    [{"allow_origin": EVIL}, {"allow_origin": "*"}, {"allow_origin_pat": "https://evil[.]example"}],
)
async def test_sites_that_the_administrator_trusts_may(browser, server, setting):
    server.web_app.settings.update(setting)
    for name in ("script tag", "fetch", "no Fetch Metadata"):
        headers = {"Cookie": await browser.cookie(), **OF_ANOTHER_SITE[name]}
        async with browser.request("GET", "x", headers=headers) as answer:
            assert (name, answer.status) == (name, 200)


@pytest.mark.parametrize(
    ("page", "more", "status"),
    [
        ("SELF/files/page.html", {}, 200),
        ("SELF/files/page.html", {"Origin": "null"}, 403),
        ("OTHER/files/page.html", {}, 403),
        ("http://HOST/lab", {}, 403),
        ("https://evil.example/SELF/", {}, 403),
        ("", {}, 403),
    ],
)
async def test_a_sandboxed_page_may_load_what_is_of_its_own_workspace(browser, page, more, status):
    own = str(browser.url())
    page = (
        page.replace("SELF/", own)
        .replace("OTHER/", own.replace("/small/", "/other/"))
        .replace("HOST", browser.host)
    )
    headers = {
        "Cookie": await browser.cookie(),
        **sent("cross-site", "no-cors", "image", Referer=page),
        **more,
    }
    async with browser.request("GET", "x", headers=headers) as answer:
        assert answer.status == status
    async with browser.request("POST", "x", headers=headers) as answer:
        assert answer.status == 403


async def test_a_page_that_knows_the_token_may_come_from_anywhere(browser):
    async with browser.request(
        "GET", "x", headers={**browser.signed, **OF_ANOTHER_SITE["fetch"]}
    ) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("headers", [OURS["typed address"], OF_ANOTHER_SITE["frame"]])
async def test_our_own_pages_are_not_shown_in_frames_of_other_sites(browser, view, headers):
    view.paused()
    async with browser.request(
        "GET", "x", headers={"Cookie": await browser.cookie(), **headers}
    ) as answer:
        assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert "text/html" in answer.headers["Content-Type"]


async def test_a_refusal_says_why(browser):
    headers = {"Cookie": await browser.cookie(), **OF_ANOTHER_SITE["script tag"]}
    async with browser.request("GET", "x", headers=headers) as answer:
        assert json.loads(await answer.read()) == {
            "message": "This request comes from a page of another site, so it was not forwarded.",
            "reason": "CrossOrigin",
        }
