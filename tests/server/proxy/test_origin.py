"""Workspaces at an origin of their own: sign-in by tickets, sessions, and nothing else there."""

from __future__ import annotations

import json
import re
from http.cookies import SimpleCookie

import pytest
from aiohttp import web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import User
from jupyter_server.base.handlers import JupyterHandler
from multidict import CIMultiDict
from yarl import URL

from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.proxy import close
from jupyter_workspaces.server.proxy.origin import routes
from jupyter_workspaces.server.proxy.origin.separate_origin import SETTING, SeparateOrigin
from jupyter_workspaces.server.proxy.origin.workspaces_url import parse

from .conftest import PATH, Browser
from .origin_person import Person

WORKSPACES = "http://workspaces.example"
BOTH = ["/", "/user/x%40y/"]


class OtherExtension(JupyterHandler):
    @allow_unauthenticated
    async def get(self):
        self.finish("for anybody")


@pytest.fixture
def workspaces_url():
    return WORKSPACES


@pytest.fixture
def separate(workspaces_url, jp_base_url):
    return SeparateOrigin(parse(workspaces_url), jp_base_url)


@pytest.fixture
def server(jp_serverapp, http_server, view, jp_asyncio_loop, separate):
    """A server with workspaces at another origin, by the `Host` at its own port."""
    web_app = jp_serverapp.web_app
    web_app.settings["allow_unauthenticated_access"] = False
    web_app.add_handlers(
        ".*$", [(f"{re.escape(jp_serverapp.base_url)}other-extension", OtherExtension)]
    )  # loaded before ours
    view.there["metadata"]["uid"] = "uid-1"
    web_app.settings["jupyter_workspaces"] = type(
        "Services", (), {"ready": lambda self, *args, **options: view.ready(*args, **options)}
    )()
    web_app.settings[SETTING] = separate
    served = routes.origin_application(jp_serverapp.base_url, web_app.settings)
    routes.serve_by_host(web_app, served, separate.origin)
    web_app.add_handlers(".*$", routes.server_rules(jp_serverapp.base_url, jp_serverapp))
    yield jp_serverapp
    jp_asyncio_loop.run_until_complete(close(web_app.settings))


@pytest.fixture
def make_person(browser: Browser):
    """A user who signed in to the server by its login cookie."""

    async def make(signed_in=True):
        person = Person(browser.session, lambda asked: browser.origin)
        if signed_in:
            await person.step(f"{browser.origin}{browser.base}api/me?token={browser.token}")
            assert person.kept("username-")
        return person

    return make


def there(browser, rest=""):
    return f"{WORKSPACES}{browser.base}{PATH}{rest}"


def echoed(seen):
    return json.loads(seen.text)


async def test_opening_leads_to_the_workspaces_origin(browser, make_person):
    person = await make_person()

    seen = await person.navigate(f"{browser.origin}{browser.base}{PATH}lab?a=1")

    assert (seen.status, seen.url) == (200, there(browser, "lab?a=1"))
    headers = {name.lower(): value for name, value in echoed(seen)["headers"]}
    assert (headers["x-forwarded-host"], headers["x-forwarded-proto"]) == (
        "workspaces.example",
        "http",
    )
    assert "cookie" not in headers
    assert (
        person.cookies(f"{WORKSPACES}{browser.base}") == ""
    )  # the session is for this workspace's path only


@pytest.mark.parametrize("jp_base_url", BOTH)
async def test_a_second_visit_needs_no_ticket(browser, make_person):
    person = await make_person()
    await person.navigate(str(browser.url("lab")))

    again = await person.navigate(str(browser.url("tree")))
    straight = await person.navigate(there(browser, "tree"))

    assert [URL(hop).host for hop in again.hops] == [
        "127.0.0.1",
        "workspaces.example",
        "workspaces.example",
    ]
    assert straight.hops == [there(browser, "tree")]
    assert straight.status == 200


async def test_the_session_cookie_is_for_this_workspace_and_not_for_scripts(browser, make_person):
    person = await make_person()
    await person.navigate(str(browser.url()))

    assert [
        (host, path, one["httponly"], one["samesite"], one["secure"])
        for host, path, one in person.kept("session")
    ] == [("workspaces.example", f"{browser.base}workspace/connect/team-a/small/", True, "Lax", "")]


@pytest.mark.parametrize("workspaces_url", ["https://workspaces.example"])
async def test_with_https_the_cookies_are_secure(browser, separate, make_person):
    person = await make_person()
    status, headers, _ = await person.step(str(browser.url()))
    assert status == 302
    assert headers["Location"].startswith("https://workspaces.example/")
    _, headers, _ = await person.step(headers["Location"])
    assert "Secure" in headers["Set-Cookie"]


async def test_a_session_cookie_never_reaches_the_workspace(browser, make_person, separate):
    person = await make_person()
    seen = await person.navigate(str(browser.url("x")))
    person.keep(seen.url, SimpleCookie("app=1"))

    again = await person.navigate(seen.url)

    cookies = dict(echoed(again)["headers"])["Cookie"]
    assert cookies == "app=1"


async def test_at_the_servers_own_origin_a_pages_requests_are_refused(browser, make_person):
    person = await make_person()

    status, _, text = await person.fetch(str(browser.url("x")), page=browser.origin)
    framed, *_ = await person.step(str(browser.url("x")), "same-origin", "iframe")
    written, *_ = await person.fetch(
        str(browser.url("x")), page=browser.origin, method="POST", data=b"1"
    )

    assert status == 403
    assert json.loads(text)["reason"] == "OtherOrigin"
    assert WORKSPACES in json.loads(text)["message"]
    assert (framed, written) == (403, 403)
    with pytest.raises(Exception, match="403"):
        await browser.socket(headers={"Cookie": await browser.cookie(), "Origin": browser.origin})


async def test_programs_with_a_token_are_proxied_at_the_servers_own_origin(browser):
    async with browser.request("POST", "x", data=b"1") as answer:
        assert answer.status == 200
    async with browser.socket() as socket:
        await socket.send_str("hello")
        assert (await socket.receive()).data == "hello"


@pytest.mark.parametrize(
    "said", [{"Origin": "SAME"}, {"Sec-Fetch-Site": "same-origin"}, {"Authorization": ""}]
)
async def test_a_token_that_a_page_may_have_sent_is_not_enough(browser, said):
    headers = {
        **browser.signed,
        **{name: browser.origin if value == "SAME" else value for name, value in said.items()},
    }
    async with browser.request("GET", f"x?token={browser.token}", headers=headers) as answer:
        assert answer.status == 403
        assert (await answer.json())["reason"] == "OtherOrigin"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "other-extension",
        "api",
        "api/me",
        "login",
        "logout",
        "lab",
        "static/favicon.ico",
        "workspace/status/team-a/small/web",
        "workspace/ticket/a/b/c",
    ],
)
async def test_nothing_else_is_at_the_workspaces_origin(browser, make_person, path):
    person = await make_person()
    for url in (f"{WORKSPACES}{browser.base}{path}", f"{WORKSPACES}/{path}"):
        status, headers, text = await person.ask("GET", url, browser.signed)
        assert status == 404
        assert json.loads(text)["reason"] == "NotFound"
        assert "Set-Cookie" not in headers


async def test_jupyters_tokens_and_cookies_sign_nobody_in_there(browser):
    for headers, query in (
        (browser.signed, ""),
        ({"Cookie": await browser.cookie()}, ""),
        ({}, f"?token={browser.token}"),
    ):
        async with browser.request(
            "GET", f"x{query}", headers={**headers, "Host": "workspaces.example"}
        ) as answer:
            assert answer.status == 401
            assert (await answer.json())["reason"] == "NotSignedIn"


async def test_who_is_not_signed_in_to_the_server_gets_no_ticket(browser, make_person):
    person = await make_person(signed_in=False)
    seen = await person.navigate(str(browser.url("lab")))
    assert "/login?next=" in seen.url


async def test_the_origins_host_is_let_in_and_no_other(browser):
    async with browser.request(
        "GET", "x", headers={**browser.signed, "Host": "elsewhere.example"}
    ) as answer:
        assert answer.status == 403
        assert (await answer.json())["reason"] == "UnknownHost"


async def hops_to(person, browser, count):
    """Return the URLs of a sign-in, the last of which was not requested."""
    hops = [str(browser.url("lab"))]
    for _ in range(count):
        _, headers, _ = await person.step(hops[-1])
        hops.append(headers["Location"])
    return hops


async def test_a_ticket_opens_once(browser, make_person):
    person = await make_person()
    enter = (await hops_to(person, browser, 3))[-1]
    assert "enter-token=" in enter
    first, headers, _ = await person.step(enter)
    assert (first, headers["Referrer-Policy"], headers["Cache-Control"]) == (
        302,
        "no-referrer",
        "no-store",
    )

    again = await person.navigate(enter)

    assert again.status == 401
    assert "was already used" in again.text
    assert URL(again.link).host == "127.0.0.1"


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_ticket_is_good_for_half_a_minute(browser, make_person, separate, count):
    now = 0.0
    separate.tickets._clock = lambda: now
    person = await make_person()
    hops = await hops_to(person, browser, count)
    now = 31.0

    seen = await person.navigate(hops[-1])

    assert seen.status == 401
    assert "30 s" in seen.text


async def test_a_ticket_opens_nothing_in_another_browser(browser, make_person):
    """Login CSRF: an attacker sends their own ticket to a victim."""
    attacker, victim = await make_person(), await make_person()
    enter = (await hops_to(attacker, browser, 3))[-1]
    await hops_to(
        victim, browser, 2
    )  # the victim was here, too, and has a state cookie of their own

    seen = await victim.navigate(enter)

    assert seen.status == 401
    assert "did not start this sign-in" in seen.text
    assert not victim.kept("session")


async def test_a_ticket_is_for_one_workspace(browser, make_person):
    person = await make_person()
    enter = (await hops_to(person, browser, 3))[-1]
    seen = await person.navigate(enter.replace("/small/", "/other/"))
    assert seen.status == 401


async def test_a_ticket_is_not_for_frames_and_scripts(browser, make_person):
    person = await make_person()
    enter = (await hops_to(person, browser, 3))[-1]
    assert (await person.step(enter, "cross-site", "iframe"))[0] == 403
    assert (await person.fetch(enter, page=browser.origin))[0] == 403
    assert (await person.navigate(enter)).status == 200  # and it was not used up


async def test_a_session_is_for_one_workspace(browser, make_person, view):
    person = await make_person()
    await person.navigate(str(browser.url()))
    cookie = person.cookies(there(browser))
    view.workspace = lambda namespace, name: view.there
    async with browser.request(
        "GET", "x", headers={"Cookie": cookie, "Host": "workspaces.example"}
    ) as answer:
        assert answer.status == 200
    other = PATH.replace("small", "other")
    async with browser.request(
        "GET", "x", path=other, headers={"Cookie": cookie, "Host": "workspaces.example"}
    ) as answer:
        assert answer.status == 401


async def test_who_signs_in_after_somebody_else_replaces_their_session(
    browser, make_person, separate
):
    first, second = await make_person(), await make_person()
    await first.navigate(str(browser.url()))
    shared = {key: morsel for key, morsel in first.jar.items() if key[0] == "workspaces.example"}
    second.jar.update(shared)  # one browser, where the server's login is another one now

    assert (await second.navigate(str(browser.url()))).status == 200

    assert (await second.fetch(there(browser, "x"), page=WORKSPACES))[0] == 200
    assert (await first.fetch(there(browser, "x"), page=WORKSPACES))[0] == 401
    assert len(separate.sessions) == 1


async def test_a_tab_that_signs_in_beside_another_keeps_its_session(browser, make_person, separate):
    person = await make_person()
    slow = (await hops_to(person, browser, 3))[-1]
    await person.navigate(str(browser.url()))
    cookie = person.cookies(there(browser))

    assert (await person.navigate(slow)).status == 200

    assert person.cookies(there(browser)) == cookie
    assert len(separate.sessions) == 1


async def test_a_request_on_its_way_ends_with_its_session(
    browser, make_person, separate, view, monkeypatch
):
    person = await make_person()
    await person.navigate(str(browser.url()))

    async def reach(namespace):
        for session in list(separate.sessions._open.values()):
            separate.sessions.end(session)

    monkeypatch.setattr(view, "reach", reach)
    assert (await person.fetch(there(browser, "x"), page=WORKSPACES))[0] == 401


@pytest.mark.parametrize("gone", [True, False])
async def test_a_session_ends_with_its_workspace(browser, make_person, view, separate, gone):
    person = await make_person()
    await person.navigate(str(browser.url()))
    if gone:
        view.there = None
    else:
        view.there["metadata"]["uid"] = "of another of the same name"

    status, _, text = await person.fetch(there(browser, "x"), page=WORKSPACES)

    assert status == (410 if gone else 401), text
    assert len(separate.sessions) == 0


async def test_an_open_tab_is_told_of_the_end_of_its_workspace_after_its_session(
    browser, make_person, view, separate
):
    person, stranger = await make_person(), await make_person()
    await person.navigate(str(browser.url()))
    page = there(browser).removesuffix("web/")
    state = f"{page}.tab/web/state"
    assert json.loads((await person.fetch(state, page=WORKSPACES))[2])["state"] == "running"
    view.there = None
    assert (await person.fetch(there(browser, "x"), page=WORKSPACES))[0] == 410
    assert (await person.fetch(there(browser, "x"), page=WORKSPACES))[0] == 401

    status, _, text = await person.fetch(state, page=WORKSPACES)

    assert status == 200
    action = {"label": "Back to workspaces", "url": f"{browser.origin}{browser.base}"}
    assert json.loads(text) == {
        "state": "gone",
        "message": "Workspace 'small' was deleted.",
        "action": action,
    }
    assert (await stranger.fetch(state, page=WORKSPACES))[0] == 401
    assert (await person.fetch(f"{page}.tab/web/notice.js", page=WORKSPACES))[0] == 401


async def test_a_page_at_the_workspaces_origin_gets_the_notice(browser, make_person):
    person = await make_person()
    seen = await person.navigate(str(browser.url("page")))
    source = re.search('<script async src="([^"]*)"></script>$', seen.text)
    status, headers, _ = await person.fetch(WORKSPACES + source[1], page=WORKSPACES)
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")


async def test_a_session_ends_when_nobody_uses_it(browser, make_person, separate):
    now = 0.0
    separate.sessions._clock = lambda: now
    person = await make_person()
    await person.navigate(str(browser.url()))
    for hours, expected in ((11, 200), (22, 200), (34.1, 401)):
        now = hours * 3600.0
        assert (await person.fetch(there(browser, "x"), page=WORKSPACES))[0] == expected


async def test_signing_out_of_the_server_ends_sessions_and_what_is_open_in_them(
    browser, make_person, separate
):
    person, other = await make_person(), await make_person()
    await person.navigate(str(browser.url()))
    await other.navigate(str(browser.url()))
    headers = {
        "Cookie": person.cookies(there(browser)),
        "Host": "workspaces.example",
        "Origin": WORKSPACES,
    }
    async with browser.socket(headers=headers) as socket:
        await socket.send_str("hello")
        assert (await socket.receive()).data == "hello"

        assert (await person.step(f"{browser.origin}{browser.base}logout"))[0] == 200

        assert (await socket.receive(timeout=20)).data == 1008
    assert (await person.fetch(there(browser, "x"), page=WORKSPACES))[0] == 401
    assert (await other.fetch(there(browser, "x"), page=WORKSPACES))[0] == 200


async def test_a_download_ends_with_its_session(browser, make_person, separate):
    person = await make_person()
    await person.navigate(str(browser.url()))
    headers = {"Cookie": person.cookies(there(browser)), "Host": "workspaces.example"}
    async with browser.request("GET", "endless", headers=headers) as answer:
        await answer.content.readany()
        await person.step(f"{browser.origin}{browser.base}logout")
        with pytest.raises(Exception, match=r"payload|closed|disconnected"):
            await answer.content.read()


async def test_a_websocket_opens_for_the_workspaces_own_pages_only(browser, make_person):
    person = await make_person()
    await person.navigate(str(browser.url()))
    signed = {"Cookie": person.cookies(there(browser)), "Host": "workspaces.example"}
    async with browser.socket(headers={**signed, "Origin": WORKSPACES}) as socket:
        await socket.send_str("headers")
        told = json.loads((await socket.receive()).data)
    assert (told["X-Forwarded-Host"], told["Origin"]) == (
        "workspaces.example",
        f"http://{told['Host']}",
    )
    for origin in (
        browser.origin,
        "https://workspaces.example",
        "http://workspaces.example:81",
        "null",
    ):
        with pytest.raises(Exception, match="403"):
            await browser.socket(headers={**signed, "Origin": origin})


async def test_other_sites_reach_nothing_with_the_sessions_cookie(browser, make_person):
    person = await make_person()
    await person.navigate(str(browser.url()))
    for site in ("cross-site", "same-site"):
        assert (await person.step(there(browser, "x"), site, "iframe"))[0] == 403
        assert (
            await person.ask(
                "GET", there(browser, "x"), {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
            )
        )[0] == 403
    assert (await person.fetch(there(browser, "x"), page=browser.origin, method="POST", data=b"1"))[
        0
    ] == 403
    assert (await person.fetch(there(browser, "x"), page=WORKSPACES, method="POST", data=b"1"))[
        0
    ] == 200


async def test_a_paused_workspace_shows_its_page_at_the_server_and_comes_back(
    browser, make_person, view
):
    person = await make_person()
    seen = await person.navigate(str(browser.url("lab?a=1")))
    pod = view.pod
    view.paused()

    stopped = await person.navigate(seen.url)
    script, *_ = await person.fetch(there(browser, "api/x"), page=WORKSPACES)

    assert (stopped.status, stopped.url) == (503, f"{browser.origin}{browser.base}{PATH}lab?a=1")
    assert "Resume" in stopped.text
    assert script == 503

    view.pod, view.there["spec"]["paused"], view.there["status"]["state"] = pod, False, "Running"
    assert (await person.navigate(stopped.url)).url == seen.url


async def test_a_program_that_does_not_listen_yet_has_its_page_at_the_server(
    browser, make_person, view
):
    person = await make_person()
    await person.navigate(str(browser.url()))
    view.pod["metadata"]["annotations"]["jupyter-workspaces/local-port.8888"] = "1"

    seen = await person.navigate(there(browser))

    assert (seen.status, URL(seen.url).host) == (503, "127.0.0.1")
    assert "does not accept connections yet" in seen.text


async def test_a_browser_that_keeps_no_cookies_is_told_and_does_not_go_round(browser, make_person):
    person = await make_person()
    person.keeps = lambda name: "state" not in name
    seen = await person.navigate(str(browser.url()))
    assert seen.status == 401
    assert "does not store cookies" in seen.text

    person.keeps = lambda name: "session" not in name
    seen = await person.navigate(seen.link)
    assert seen.status == 401
    assert "does not store the session cookie" in seen.text


async def test_a_workspace_that_comes_and_goes_does_not_send_a_browser_round_for_ever(
    browser, make_person, view
):
    person = await make_person()
    seen = await person.navigate(str(browser.url()))
    pod = view.pod
    for _ in range(20):
        view.pod = None
        status, headers, text = await person.step(there(browser))
        view.pod = pod
        if status != 302:
            break
        seen = await person.navigate(headers["Location"])
        assert seen.url == there(browser)
    assert status == 503
    assert "Try again" in text


async def test_a_visit_without_a_session_goes_by_the_server(browser, make_person, separate):
    person = await make_person()
    nobody_knows = await person.navigate(there(browser, "lab"))
    assert nobody_knows.status == 401
    assert "Open the workspace from your Jupyter server" in nobody_knows.text

    await person.navigate(str(browser.url()))
    person.forget("session")

    seen = await person.navigate(there(browser, "lab"))
    assert (seen.status, seen.url) == (200, there(browser, "lab"))
    assert URL(seen.hops[1]).host == "127.0.0.1"


async def test_what_the_workspace_sends_stays_at_its_origin(browser, make_person):
    person = await make_person()
    await person.navigate(str(browser.url()))
    inner = "http://127.83.7.1"
    _, headers, _ = await person.fetch(
        there(browser, "redirect?to=/workspace/connect/team-a/small/web/y"), page=WORKSPACES
    )
    assert headers["Location"] == f"{browser.base}{PATH}y"
    assert inner not in str(headers)
    _, headers, _ = await person.fetch(there(browser, "cookies"), page=WORKSPACES)
    assert all(
        f"Path={browser.base}{PATH}" in line or "Path" not in line
        for line in headers.getall("Set-Cookie")
    )


@pytest.mark.parametrize("workspaces_url", ["http://*.ws.example"])
async def test_with_a_wildcard_every_workspace_has_an_origin_of_its_own(
    browser, make_person, separate, view
):
    person = await make_person()
    seen = await person.navigate(str(browser.url("lab")))
    host = URL(seen.url).host
    assert (seen.status, host) == (200, separate.origin.netloc("team-a", "small"))
    assert host.startswith("small-")

    view.workspace = lambda namespace, name: view.there
    other = PATH.replace("small", "other")
    assert (await person.ask("GET", f"http://{host}{browser.base}{other}x"))[0] == 404
    assert (await person.ask("GET", f"http://foreign.ws.example{browser.base}{PATH}x"))[0] == 404
    assert (await person.ask("GET", f"http://foreign.ws.example{browser.base}api", browser.signed))[
        0
    ] == 404
    seen = await person.navigate(f"{browser.origin}{browser.base}{other}lab")
    assert seen.status == 200
    assert URL(seen.url).host == separate.origin.netloc("team-a", "other") != host


@pytest.mark.parametrize("workspaces_url", ["https://*.ws.example"])
async def test_cookies_of_a_workspaces_own_host_cannot_be_set_by_its_siblings(browser, make_person):
    """Browsers accept cookies with `__Host-` from this host only (RFC 6265bis §4.1.3.2)."""
    person = await make_person()
    seen = await person.navigate(str(browser.url("x")))
    assert seen.status == 200
    kept = [*person.kept("session"), *person.kept("state")]
    assert [(path, one["secure"], one["domain"]) for _, path, one in kept] == [("/", True, "")] * 2
    assert all(one.key.startswith("__Host-") for _, _, one in kept)
    assert "Cookie" not in dict(echoed(await person.navigate(seen.url))["headers"])


async def test_tickets_and_session_cookies_stay_out_of_the_log(browser, make_person, caplog):
    caplog.set_level("DEBUG")
    person = await make_person()
    seen = await person.navigate(str(browser.url("x")))
    secrets = [hop.partition("-token=")[2] for hop in seen.hops if "-token=" in hop]
    secrets += [one.value for _, _, one in (*person.kept("session"), *person.kept("state"))]
    assert len(secrets) == 5
    assert caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]


@pytest.fixture
def hub(browser, jp_asyncio_loop):
    """A reverse proxy such as JupyterHub's: it ends TLS and routes by path only."""

    async def forward(request):
        if not request.path_qs.startswith("/user/"):
            return web.Response(status=404, text="the hub itself")
        sent = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("connection", "keep-alive")
        }
        url = URL(f"{browser.origin}{request.raw_path}", encoded=True)
        sent["X-Forwarded-Proto"] = "https"
        async with browser.session.request(
            request.method, url, headers=sent, data=await request.read(), allow_redirects=False
        ) as answer:
            headers = [
                (name, value)
                for name, value in answer.headers.items()
                if name.lower() not in ("transfer-encoding", "connection")
            ]
            return web.Response(
                status=answer.status, headers=CIMultiDict(headers), body=await answer.read()
            )

    async def start():
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = jp_asyncio_loop.run_until_complete(start())
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    jp_asyncio_loop.run_until_complete(runner.cleanup())


@pytest.mark.parametrize("workspaces_url", ["https://workspaces.example.org"])
async def test_behind_a_hub_two_names_lead_to_one_server(browser, server, hub, monkeypatch):
    monkeypatch.setitem(server.web_app.settings, "allow_remote_access", True)
    ours, theirs = (
        f"https://hub.example.org{browser.base}",
        f"https://workspaces.example.org{browser.base}",
    )
    person = Person(browser.session, lambda asked: hub)
    await person.step(f"{ours}api/me?token={browser.token}")

    seen = await person.navigate(f"{ours}{PATH}lab?a=1")

    assert (seen.status, seen.url) == (200, f"{theirs}{PATH}lab?a=1")
    headers = dict(echoed(seen)["headers"])
    assert (headers["X-Forwarded-Host"], headers["X-Forwarded-Proto"]) == (
        "workspaces.example.org",
        "https",
    )
    assert [morsel["secure"] for _, _, morsel in person.kept("session")] == [True]
    person.forget("session")
    assert (await person.navigate(f"{theirs}{PATH}lab")).hops[1] == f"{ours}{PATH}lab"
    for path in (
        "",
        "api",
        "lab",
        "tree",
        "login",
        "api/contents",
        "static/favicon.ico",
        "workspaces/api/v1/healthcheck",
    ):
        assert (await person.ask("GET", f"{theirs}{path}", browser.signed))[0] == 404
    assert (await person.fetch(f"{theirs}{PATH}x", page=ours))[0] == 403


async def test_without_authentication_the_same_exchange_takes_place(
    browser, make_person, server, monkeypatch
):
    monkeypatch.setattr(server.identity_provider, "token", "")
    assert not server.identity_provider.auth_enabled
    person = await make_person(signed_in=False)

    seen = await person.navigate(str(browser.url("lab")))

    assert (seen.status, seen.url) == (200, there(browser, "lab"))
    assert (await person.fetch(str(browser.url("x")), page="http://evil.example"))[0] == 403
    async with browser.request("GET", "x", headers={}) as answer:
        assert answer.status == 403
    async with browser.request("GET", "x", headers={"Host": "workspaces.example"}) as answer:
        assert answer.status == 401
    async with browser.request("GET", "x") as answer:
        assert answer.status == 200


async def test_a_session_keeps_the_identity_that_trusted_headers_named(
    browser, make_person, server, view, monkeypatch
):
    provider = HeaderIdentities()
    monkeypatch.setitem(server.web_app.settings, "identity_provider", provider)
    asked, allowed = [], {"ada"}

    async def review(identity, verb, resource, namespace="", name="", subresource=""):
        asked.append((identity.user, identity.groups, verb, name))
        return identity.user in allowed

    services = await view.ready()
    services.access = type("Access", (), {"allowed": staticmethod(review)})()

    async def ready(seconds=20, *, stale=False):
        return services

    monkeypatch.setattr(view, "ready", ready)
    person = await make_person(signed_in=False)
    named = {"kubeflow-userid": ":ada", "kubeflow-groups": "data"}
    plain = person.ask

    async def through_a_proxy(method, url, headers=None, **more):
        ours = {} if URL(url, encoded=True).host == "workspaces.example" else named
        return await plain(method, url, {**(headers or {}), **ours}, **more)

    monkeypatch.setattr(person, "ask", through_a_proxy)
    seen = await person.navigate(str(browser.url("x")))
    assert (seen.status, seen.url) == (200, there(browser, "x"))
    assert set(asked) == {("ada", ("data",), "update", "small")}

    forged = {"kubeflow-userid": "root", "kubeflow-groups": "system:masters"}
    status, _, text = await plain(
        "GET", there(browser, "x"), {**forged, "Sec-Fetch-Site": "same-origin"}
    )
    inside = {name.lower(): value for name, value in json.loads(text)["headers"]}
    assert status == 200
    assert {"kubeflow-userid", "kubeflow-groups"} & inside.keys() == set()
    assert asked[-1] == ("ada", ("data",), "update", "small")

    allowed.clear()
    assert (await plain("GET", there(browser, "x"), {"Sec-Fetch-Site": "same-origin"}))[0] == 403
    assert isinstance(
        next(iter(server.web_app.settings[SETTING].sessions._open.values())).user, User
    )
