"""Credentials of the server and of workspaces are separate, and only our own pages may write."""

from __future__ import annotations

import json

import pytest

from .conftest import at_both_bases

INNER = "token the-token-of-the-workspace"


async def arrived(answer):
    return json.loads(await answer.read())


def cookies_in(arrived):
    line = dict(arrived["headers"]).get("Cookie", "")
    return dict(pair.split("=", 1) for pair in line.split("; ") if pair)


async def test_the_servers_token_is_exchanged_for_the_workspaces(browser):
    async with browser.request("GET", "x") as answer:
        headers = [
            value for name, value in (await arrived(answer))["headers"] if name == "Authorization"
        ]
    assert headers == [INNER]


async def test_a_workspace_without_token_gets_none(browser, view):
    view.without_token()
    async with browser.request("GET", "x") as answer:
        assert "Authorization" not in dict((await arrived(answer))["headers"])


async def test_an_apps_own_authorization_passes_where_no_token_of_ours_is_needed(browser, view):
    view.without_token()
    headers = {"Cookie": await browser.cookie(), "Authorization": "Bearer of-the-app"}
    async with browser.request("GET", "x", headers=headers) as answer:
        assert dict((await arrived(answer))["headers"])["Authorization"] == "Bearer of-the-app"


async def test_the_token_in_a_query_stays_out(browser):
    async with browser.request("GET", f"x?a=1&token={browser.token}&b=%20", headers={}) as answer:
        assert (await arrived(answer))["target"].endswith("/x?a=1&b=%20")


async def test_another_token_in_a_query_is_the_apps_own(browser):
    async with browser.request(
        "GET", "x?token=mine", headers={"Cookie": await browser.cookie()}
    ) as answer:
        assert (await arrived(answer))["target"].endswith("/x?token=mine")


@at_both_bases
async def test_a_page_opened_with_the_token_goes_on_without_it(browser):
    headers = {"Accept": "text/html"}
    async with browser.request("GET", f"lab?token={browser.token}&x=1", headers=headers) as answer:
        assert answer.status == 302
        assert (
            answer.headers["Location"]
            == f"{browser.base}workspace/connect/team-a/small/web/lab?x=1"
        )
        login = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in answer.cookies.items())
    async with browser.request("GET", "lab?x=1", headers={"Cookie": login, **headers}) as answer:
        assert answer.status == 200


async def test_jupyters_and_jupyterhubs_cookies_stay_out(browser):
    ours = await browser.cookie()
    foreign = (
        "username-localhost-9999=a; jupyterhub-session-id=b; jupyterhub-user-anna=c; "
        "jupyter-hub-token=d; _xsrf=e; app=f"
    )
    async with browser.request("GET", "x", headers={"Cookie": f"{ours}; {foreign}"}) as answer:
        assert cookies_in(await arrived(answer)) == {"app": "f"}


@at_both_bases
async def test_the_workspaces_cookies_live_on_its_path_under_names_of_their_own(browser):
    async with browser.request("GET", "cookies") as answer:
        set_cookies = [
            line
            for line in answer.headers.getall("Set-Cookie")
            if not line.startswith("username-127-0-0-1-" + browser.host[-5:])
        ]
    public = f"{browser.base}workspace/connect/team-a/small/web/"

    assert set_cookies == [
        f"session=one; Path={public}; HttpOnly",
        f"deep=two; Path={public}cookies",
        f"workspace-_xsrf=inner; Path={public}; SameSite=Lax",
        f"workspace-username-127-0-0-1-8888=somebody; Path={public}; HttpOnly",
        f"workspace-__Host-safe=three; Path={public}; Secure",
    ]


async def test_the_workspaces_cookies_come_back_to_it_under_their_names(browser):
    kept = (
        "session=one; workspace-_xsrf=inner; workspace-username-127-0-0-1-8888=somebody; "
        "workspace-__Host-safe=three; workspace-own=x"
    )
    async with browser.request(
        "GET", "x", headers={"Cookie": f"{await browser.cookie()}; _xsrf=outer; {kept}"}
    ) as answer:
        assert cookies_in(await arrived(answer)) == {
            "session": "one",
            "_xsrf": "inner",
            "username-127-0-0-1-8888": "somebody",
            "__Host-safe": "three",
            "workspace-own": "x",
        }


@pytest.mark.parametrize("shown", ["outer", "inner"])
async def test_a_page_may_show_either_xsrf_token_and_the_workspace_gets_its_own(browser, shown):
    headers = {
        "Cookie": f"{await browser.cookie()}; _xsrf=outer; workspace-_xsrf=inner",
        "X-XSRFToken": shown,
        "Origin": browser.origin,
    }
    async with browser.request("POST", f"x?_xsrf={shown}", headers=headers) as answer:
        told = await arrived(answer)
    assert dict(told["headers"])["X-XSRFToken"] == "inner"
    assert told["target"].endswith("/x?_xsrf=inner")


async def test_the_servers_xsrf_token_is_not_told_to_a_workspace_that_has_none(browser):
    headers = {
        "Cookie": f"{await browser.cookie()}; _xsrf=outer",
        "X-XSRFToken": "outer",
        "Origin": browser.origin,
    }
    async with browser.request("POST", "x?_xsrf=outer", headers=headers) as answer:
        assert "outer" not in await answer.text()


async def test_pages_elsewhere_on_the_server_are_not_told_as_referer(browser):
    public = f"{browser.origin}{browser.base}workspace/connect/team-a/small/web/"
    for given, expected in (
        (f"{browser.origin}{browser.base}lab?token=x", None),
        (f"{public}page?token=x", "page"),
    ):
        async with browser.request(
            "GET", "x", headers={**browser.signed, "Referer": given}
        ) as answer:
            headers = dict((await arrived(answer))["headers"])
        told = headers.get("Referer")
        assert told == (
            expected and f"http://{headers['Host']}/workspace/connect/team-a/small/web/{expected}"
        )


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ({"Origin": "SAME"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({}, 403),
    ],
)
async def test_with_a_cookie_only_our_own_pages_may_write(browser, origin, status):
    origin = {name: browser.origin if value == "SAME" else value for name, value in origin.items()}
    async with browser.request(
        "POST", "x", data=b"1", headers={"Cookie": await browser.cookie(), **origin}
    ) as answer:
        assert answer.status == status
        if status == 403:
            assert (await arrived(answer))["reason"] == "CrossOrigin"


async def test_a_program_with_a_token_may_write_without_an_origin(browser):
    async with browser.request("POST", "x", data=b"1") as answer:
        assert answer.status == 200


async def test_who_is_not_signed_in_is_asked_before_the_body(browser):
    async def body():
        yield b"never"
        pytest.fail("the body was asked for")

    headers = {"Expect": "100-continue", "Origin": browser.origin, "Content-Length": "1000"}
    async with browser.request("POST", "x", data=body(), headers=headers) as answer:
        assert answer.status == 403
        assert (await arrived(answer))["reason"] == "NotSignedIn"


@at_both_bases
async def test_a_page_asks_to_sign_in_and_a_script_is_told(browser):
    async with browser.request("GET", "lab", headers={"Accept": "text/html"}) as answer:
        assert answer.status == 302
        assert answer.headers["Location"].startswith(f"{browser.base}login?next=")
    async with browser.request("GET", "lab", headers={"Accept": "*/*"}) as answer:
        assert answer.status == 403


async def test_an_authorizer_is_asked_for_the_right_action(browser, jp_serverapp, monkeypatch):
    asked = []

    class Nobody:
        def is_authorized(self, handler, user, action, resource):
            asked.append((action, resource))
            return False

    monkeypatch.setitem(jp_serverapp.web_app.settings, "authorizer", Nobody())
    for method in ("GET", "POST"):
        async with browser.request(method, "x") as answer:
            assert answer.status == 403
    with pytest.raises(Exception, match="403"):
        await browser.socket()
    assert asked == [("read", "workspaces"), ("write", "workspaces"), ("execute", "workspaces")]


async def test_the_token_is_read_once_and_again_after_a_refusal(browser, view):
    for _ in range(3):
        async with browser.request("GET", "names"):
            pass
    assert view.cluster.asked == 1

    async with browser.request("GET", "names?status=403"):
        pass
    async with browser.request("GET", "names"):
        pass
    assert view.cluster.asked == 2


async def test_a_token_that_cannot_be_read_is_said(browser, view):
    view.cluster.tokens.clear()
    async with browser.request("GET", "x") as answer:
        assert answer.status == 502
        assert "Restart the workspace" in (await arrived(answer))["message"]


async def test_using_a_workspace_is_not_activity_of_the_server(browser, jp_serverapp):
    async with browser.request("GET", "x"):
        pass
    assert jp_serverapp.web_app.settings.get("api_last_activity") is None


async def test_a_server_that_asks_nobody_still_refuses_other_sites(browser, jp_serverapp):
    jp_serverapp.identity_provider.token = ""
    for headers, status in (
        ({}, 200),
        ({"Origin": browser.origin}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ):
        async with browser.request("POST", "x", data=b"1", headers=headers) as answer:
            assert answer.status == status
    async with browser.request("GET", "x", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403


async def test_somebody_who_is_not_signed_in_goes_where_jupyterhub_says(browser, monkeypatch):
    """JupyterHub replaces `get_login_url` by a complete URL, and the server has no login page."""
    from jupyter_server.base.handlers import JupyterHandler

    hub = "https://hub.example/hub/api/oauth2/authorize?client_id=1&state=2"
    monkeypatch.setattr(JupyterHandler, "get_login_url", lambda handler: hub)
    async with browser.request(
        "GET", "lab", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, hub)
