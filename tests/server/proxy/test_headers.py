"""Headers with a URL, a path or a host are mapped in both directions, and bytes do not change."""

from __future__ import annotations

import json

import pytest

from jupyter_workspaces.server.proxy.headers.address_fields import AddressMapping, inward, outward
from jupyter_workspaces.server.proxy.headers.credentials import CredentialFilter
from jupyter_workspaces.server.proxy.headers.front_proxies import SETTING, AllowedNames
from jupyter_workspaces.server.proxy.headers.response_headers import response_headers
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

from .conftest import at_both_bases
from .raw_workspace import exchange, raw_workspace

INNER = "/workspace/connect/team-a/small/web/"
OUTER = "/user/x%40y" + INNER
PUBLIC = "https://hub.example"


def addresses(base="/user/x%40y/", *, removed=False, scheme="https"):
    return AddressMapping(
        PublicPath(base, INNER, removed, "127.0.0.9:1234", "hub.example"),
        scheme,
        lambda origin: origin == "https://lab.example",
    )


HERE, AT_ROOT, REMOVED = addresses(), addresses("/"), addresses(removed=True)
WITH_AN_ADDRESS = [
    "location",
    "content-location",
    "sourcemap",
    "x-sourcemap",
    "hx-redirect",
    "hx-push-url",
    "turbo-location",
    "hx-location",
]


@pytest.mark.parametrize("name", WITH_AN_ADDRESS)
@pytest.mark.parametrize(
    ("written", "here", "at_root", "removed"),
    [
        (f"{INNER}a?b#c", f"{OUTER}a?b#c", f"{INNER}a?b#c", f"{OUTER}a?b#c"),
        ("/a", "/user/x%40y/a", "/a", f"{OUTER}a"),
        ("a/b", "a/b", "a/b", "a/b"),
        ("?b", "?b", "?b", "?b"),
        (f"http://127.0.0.9:1234{INNER}a", f"{OUTER}a", f"{INNER}a", f"{OUTER}a"),
        (f"//127.0.0.9:1234{INNER}a", f"{OUTER}a", f"{INNER}a", f"{OUTER}a"),
        (f"http://localhost:1234{INNER}a", f"{OUTER}a", f"{INNER}a", f"{OUTER}a"),
        (f"http://0.0.0.0:1234{INNER}a", f"{OUTER}a", f"{INNER}a", f"{OUTER}a"),
        (f"HTTP:\\\\127.0.0.1:1234{INNER}a", f"{OUTER}a", f"{INNER}a", f"{OUTER}a"),
        (f"http://hub.example{INNER}a", f"{OUTER}a", f"{INNER}a", f"{OUTER}a"),
        (f"//hub.example{INNER}a?b", f"{OUTER}a?b", f"{INNER}a?b", f"{OUTER}a?b"),
        (f"http://hub.example{OUTER}a", f"{OUTER}a", f"http://hub.example{OUTER}a", f"{OUTER}a"),
        (
            "https://other.example/a",
            "https://other.example/a",
            "https://other.example/a",
            "https://other.example/a",
        ),
        ("//other.example/a", "//other.example/a", "//other.example/a", "//other.example/a"),
        (
            "http://127.0.0.1:9/a",
            "http://127.0.0.1:9/a",
            "http://127.0.0.1:9/a",
            "http://127.0.0.1:9/a",
        ),
        ("http://[", "http://[", "http://[", "http://["),
    ],
)
def test_an_address_leads_the_browser_where_the_program_means(
    name, written, here, at_root, removed
):
    assert outward(name, written, HERE) == here
    assert outward(name, written, AT_ROOT) == at_root
    assert outward(name, written, REMOVED) == removed


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("refresh", f"3; url=http://127.0.0.9:1234{INNER}a", f"3; url={OUTER}a"),
        (
            "link",
            f"<http://localhost:1234{INNER}a.css>; rel=preload",
            f"<{OUTER}a.css>; rel=preload",
        ),
        ("service-worker-allowed", "/", OUTER),
        ("access-control-allow-origin", "http://127.0.0.9:1234", None),
        ("access-control-allow-origin", "https://other.example", "https://other.example"),
        (
            "hx-location",
            f'{{"path": "{INNER}a", "target": "#x"}}',
            f'{{"path": "{OUTER}a", "target": "#x"}}',
        ),
        (
            "content-security-policy",
            f"default-src 'self' http://127.0.0.9:1234;"
            f" script-src hub.example{INNER}static/ 'nonce-x'; report-uri {INNER}csp /r",
            f"default-src 'self' http://hub.example;"
            f" script-src hub.example{OUTER}static/ 'nonce-x'; report-uri {OUTER}csp /user/x%40y/r",
        ),
        ("content-security-policy-report-only", f"report-uri {INNER}csp", f"report-uri {OUTER}csp"),
        ("x-anything-else", f"{INNER}a", f"{INNER}a"),
    ],
)
def test_each_kind_of_response_header_is_mapped(name, written, said):
    assert outward(name, written, HERE) == said


@pytest.mark.parametrize(
    ("name", "sent", "arrives"),
    [
        ("origin", PUBLIC, PUBLIC),
        ("origin", "https://lab.example", PUBLIC),
        ("origin", "https://other.example", "https://other.example"),
        ("origin", "null", "null"),
        ("referer", f"{PUBLIC}{OUTER}page?token=x#y", f"{PUBLIC}{INNER}page"),
        ("referer", f"{PUBLIC}/user/x%40y/lab", None),
        ("referer", "https://other.example/a?b", "https://other.example/a?b"),
        ("destination", f"{PUBLIC}{OUTER}b%20c.txt", f"{PUBLIC}{INNER}b%20c.txt"),
        ("destination", f"{OUTER}b", f"{INNER}b"),
        ("destination", f"{PUBLIC}/user/x%40y/api/contents", None),
        ("destination", "https://other.example/x", "https://other.example/x"),
        (
            "if",
            f'<{PUBLIC}{OUTER}a> (<urn:uuid:1> ["<x>"])',
            f'<{PUBLIC}{INNER}a> (<urn:uuid:1> ["<x>"])',
        ),
        ("link", f"<{OUTER}a>; rel=type", f"<{INNER}a>; rel=type"),
        ("hx-current-url", f"{PUBLIC}{OUTER}page", f"{PUBLIC}{INNER}page"),
        ("alt-used", "hub.example", None),
    ],
)
def test_each_kind_of_request_header_is_mapped(name, sent, arrives):
    assert inward(name, sent, HERE) == arrives


def test_where_the_prefix_is_removed_a_program_sees_itself_at_the_root():
    assert inward("referer", f"{PUBLIC}{OUTER}page", REMOVED) == f"{PUBLIC}/page"
    assert inward("destination", f"{PUBLIC}{OUTER}b", REMOVED) == f"{PUBLIC}/b"


@pytest.mark.parametrize(
    "name", ["location", "link", "refresh", "content-security-policy", "hx-location"]
)
@pytest.mark.parametrize(
    "unit",
    [
        "<",
        '"',
        " ",
        ";",
        "//",
        "http://",
        "{",
        "\\",
        "/../",
        f"<{INNER}>",
        "a;b ",
        "http://hub.example/x ",
    ],
)
def test_mapping_takes_time_in_proportion_to_the_length(name, unit):
    import time

    began = time.process_time()
    outward(name, unit * (60_000 // len(unit)), HERE)
    assert time.process_time() - began < 0.5


async def told(answer):
    return json.loads(await answer.read())


def of(arrived, name):
    return [value for found, value in arrived["headers"] if found.lower() == name.lower()]


@at_both_bases
async def test_a_program_sees_the_public_host_as_an_ingress_passes_it_on(browser):
    page = f"{browser.url('page')}"
    headers = {
        **browser.signed,
        "Origin": browser.origin,
        "Referer": page,
        "X-Forwarded-Host": "spoofed",
        "Forwarded": "host=spoofed",
    }
    async with browser.request("GET", "x", headers=headers) as answer:
        arrived = await told(answer)
    port = browser.host.partition(":")[2]
    assert of(arrived, "Host") == of(arrived, "X-Forwarded-Host") == [browser.host]
    assert of(arrived, "X-Forwarded-Port") == [port]
    assert of(arrived, "X-Forwarded-Proto") == ["http"]
    assert of(arrived, "Origin") == [browser.origin]
    assert of(arrived, "Referer") == [f"{browser.origin}{INNER}page"]
    assert of(arrived, "Forwarded") == []


async def test_the_scheme_of_a_proxy_that_ends_tls_is_passed_on(browser):
    async with browser.request(
        "GET", "x", headers={**browser.signed, "X-Forwarded-Proto": "https, http"}
    ) as answer:
        assert of(await told(answer), "X-Forwarded-Proto") == ["https"]
    async with browser.request(
        "GET", "x", headers={**browser.signed, "X-Forwarded-Proto": "gopher"}
    ) as answer:
        assert of(await told(answer), "X-Forwarded-Proto") == ["http"]


async def test_a_kind_may_want_another_host(browser, view):
    view.proxy["requestHeaders"] = {"set": {"Host": "localhost", "X-Bad": "a\nb", "X-Name": "é"}}
    async with browser.request("GET", "x") as answer:
        arrived = await told(answer)
    assert of(arrived, "Host") == ["localhost"]
    assert of(arrived, "X-Bad") == []
    assert of(arrived, "X-Name") == ["\xc3\xa9"]


@pytest.mark.parametrize(
    "setting",
    [{"allow_origin": "https://lab.example"}, {"allow_origin_pat": "https://[a-z]+[.]example"}],
)
async def test_a_permitted_foreign_origin_gets_a_websocket_and_is_the_programs_own(
    browser, server, setting
):
    server.web_app.settings.update(setting)
    headers = {
        "Cookie": await browser.cookie(),
        "Origin": "https://lab.example",
        "Sec-Fetch-Site": "cross-site",
    }
    async with browser.socket(headers=headers) as socket:
        await socket.send_str("headers")
        found = json.loads((await socket.receive(10)).data)
    assert found["Origin"] == f"http://{found['Host']}" == browser.origin


async def test_only_one_of_us_says_who_may_read(browser, server, view):
    server.web_app.settings["allow_origin"] = "https://lab.example"
    answer = b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\nok"
    async with raw_workspace(view, answer), browser.request("GET", "x") as response:
        assert response.headers.getall("Access-Control-Allow-Origin") == ["https://lab.example"]


@pytest.mark.parametrize(
    "value", ["José".encode(), b"Jos\xe9", "José".encode() + b"; b=\xe9", bytes(range(0x80, 0x100))]
)
async def test_bytes_of_cookies_and_other_values_arrive_as_they_were_sent(browser, view, value):
    async with raw_workspace(view, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as workspace:
        lines = [
            f"GET {browser.url('x').raw_path} HTTP/1.1",
            f"Host: {browser.host}",
            f"Authorization: token {browser.token}",
        ]
        sent = (
            "\r\n".join(lines).encode()
            + b"\r\nCookie: a="
            + value
            + b"\r\nX-Name: "
            + value
            + b"\r\n\r\n"
        )
        await exchange(browser.url().port, sent, responses=1)
    arrived = workspace.requests[0].split(b"\r\n")
    assert b"Cookie: a=" + value in arrived
    assert b"X-Name: " + value in arrived


@pytest.mark.parametrize("value", ["José".encode(), b"Jos\xe9", b"a\xa0", b"\x85"])
async def test_bytes_of_the_programs_values_reach_the_browser_as_they_are(browser, view, value):
    head = (
        b"HTTP/1.1 200 OK\r\nX-Name: "
        + value
        + b"\r\nSet-Cookie: a="
        + value
        + b"\r\nLocation: /"
        + value
        + b"\r\n"
    )
    async with (
        raw_workspace(view, head + b"Content-Length: 2\r\n\r\nok"),
        browser.request("GET", "x") as answer,
    ):
        found = {
            name: text for name, text in answer.raw_headers if name in (b"X-Name", b"Location")
        }
        cookies = [text for name, text in answer.raw_headers if name == b"Set-Cookie"]
    assert found == {b"X-Name": value, b"Location": f"{browser.base}".encode() + value}
    assert any(line.startswith(b"a=" + value + b"; Path=") for line in cookies)


@pytest.mark.parametrize("number", [*range(1, 9), 11, 12, *range(14, 32), 127])
async def test_a_control_character_drops_its_header_and_nothing_else(browser, view, number):
    bad = bytes([number])
    lines = [
        b"X-Bad: a" + bad + b"b",
        b"Location: /a" + bad,
        b"Set-Cookie: a=" + bad,
        b"Link: <" + bad + b">",
        b"X-Good: 1",
        b"X-Tab: a\tb",
    ]
    answer = b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 2", b"", b"ok"])
    async with raw_workspace(view, answer), browser.request("GET", "x") as response:
        assert (response.status, await response.read()) == (200, b"ok")
        assert {"X-Bad", "Location", "Link"} & response.headers.keys() == set()
        assert (response.headers["X-Good"], response.headers["X-Tab"]) == ("1", "a\tb")
        assert not any(line.startswith("a=") for line in response.headers.getall("Set-Cookie", []))


@pytest.mark.parametrize(
    "line", [b"Content-Length: 2\x01", b"Transfer-Encoding: chunked\x01", b"X-A: b\0c"]
)
async def test_where_a_control_character_is_about_framing_the_response_is_a_502(
    browser, view, line
):
    answer = b"\r\n".join([b"HTTP/1.1 200 OK", line, b"", b"ok"])
    async with raw_workspace(view, answer, closes=True), browser.request("GET", "x") as response:
        assert response.status == 502


def test_an_administrator_may_let_more_headers_pass_but_none_of_the_hop():
    guard = CredentialFilter(
        "x", allowed=AllowedNames(response_headers=("docker-*", "Odd", "connection"))
    )
    received = [
        ("Docker-Content-Digest", "1"),
        ("ODD", "2"),
        ("Odder", "3"),
        ("Connection", "close"),
    ]
    assert response_headers(received, HERE, guard, page=OUTER) == [
        ("Docker-Content-Digest", "1"),
        ("ODD", "2"),
    ]


async def test_the_setting_reaches_the_proxy(browser, server, view):
    server.web_app.settings[SETTING] = AllowedNames(response_headers=("odd",))
    async with (
        raw_workspace(view, b"HTTP/1.1 200 OK\r\nOdd: 1\r\nContent-Length: 2\r\n\r\nok"),
        browser.request("GET", "x") as response,
    ):
        assert response.headers["Odd"] == "1"
