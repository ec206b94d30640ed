"""Response headers pass by an allow list, limited to the workspace's path and its response."""

from __future__ import annotations

import pytest

from jupyter_workspaces.server.proxy.headers.credentials import CredentialFilter
from jupyter_workspaces.server.proxy.headers.response_headers import (
    ALLOWED,
    is_allowed,
    response_headers,
)
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

from .conftest import at_both_bases
from .raw_workspace import raw_workspace

INNER = "/workspace/connect/team-a/small/web/"
OUTER = "/user/x%40y" + INNER
HERE = PublicPath("/user/x%40y/", INNER, False, "127.0.0.9:1", "hub.example")
REMOVED = PublicPath("/user/x%40y/", INNER, True, "127.0.0.9:1", "hub.example")
GUARD = CredentialFilter("username-hub-example")

RULE_AN_ORIGIN_OR_A_CONNECTION = """
Accept-CH Accept-Signature Activate-Storage-Access Alt-Svc Alt-Used
Attribution-Reporting-Register-Source Attribution-Reporting-Register-Trigger Authentication-Info
CDN-Cache-Control Clear-Site-Data Connection Critical-CH Delta-Base Device-Bound-Session
Edge-Control Expect-CT HTTP2-Settings Keep-Alive NEL No-Vary-Search Observe-Browsing-Topics
Origin-Agent-Cluster Origin-Trial Proxy-Authenticate Proxy-Authentication-Info Proxy-Connection
Proxy-Status Public-Key-Pins Report-To Reporting-Endpoints Sec-Session-Registration
Sec-WebSocket-Accept Sec-WebSocket-Protocol Set-Cookie2 Set-Login Shared-Storage-Write
Speculation-Rules Status Strict-Transport-Security Supports-Loading-Mode Surrogate-Control TE Tk
Trailer Transfer-Encoding Upgrade Use-As-Dictionary X-Accel-Buffering X-Accel-Charset
X-Accel-Expires X-Accel-Limit-Rate X-Accel-Redirect X-AppEngine-BlobKey
X-Envoy-Immediate-Health-Check-Fail X-Forwarded-Host X-LIGHTTPD-send-file X-LiteSpeed-Location
X-Permitted-Cross-Domain-Policies X-Proxy-Cache X-Real-IP X-Reproxy-URL X-Sendfile X-Sendfile2
Some-Header-Of-Tomorrow
""".split()  # noqa: SIM905

PASS = """
Accept-Ranges Access-Control-Allow-Methods Age Cache-Control Content-Disposition Content-Encoding
Content-Language Content-Range Content-Security-Policy Content-Type Cross-Origin-Opener-Policy Date
ETag Expires HX-Trigger Last-Modified Mcp-Session-Id Permissions-Policy Referrer-Policy Retry-After
Server-Timing Tus-Resumable Upload-Offset Vary X-Content-Type-Options X-Frame-Options
X-JupyterLab-Version X-My-App X-Requested-With X-Total-Count
""".split()  # noqa: SIM905


def passed(*received: tuple[str, str], path: PublicPath = HERE, **more):
    return dict(response_headers(received, path, GUARD, page=f"{OUTER}a/page", **more))


@pytest.mark.parametrize("name", RULE_AN_ORIGIN_OR_A_CONNECTION)
def test_what_rules_an_origin_or_a_connection_does_not_pass(name):
    assert passed((name, "/x"), (name.lower(), "/x"), (name.upper(), "/x")) == {}


@pytest.mark.parametrize("name", PASS)
def test_what_speaks_of_the_response_and_an_applications_own_pass(name):
    assert passed((name, "value")) == {name: "value"}
    assert passed((name.upper(), "value")) == {name.upper(): "value"}


def test_the_list_and_the_exceptions_do_not_contradict_each_other():
    assert all(map(is_allowed, ALLOWED))
    assert [name for name in ALLOWED if name != name.lower()] == []


@at_both_bases
async def test_none_of_them_reaches_a_browser(browser, view):
    lines = [
        f"{name}: /x"
        for name in RULE_AN_ORIGIN_OR_A_CONNECTION
        if name not in ("Transfer-Encoding", "Connection", "Upgrade")
    ]
    answer = "\r\n".join(
        ["HTTP/1.1 200 OK", *lines, "X-My-App: 1", "Content-Length: 2", "", "ok"]
    ).encode()
    async with raw_workspace(view, answer), browser.request("GET", "x") as response:
        assert response.headers["X-My-App"] == "1"
        assert {name.lower() for name in RULE_AN_ORIGIN_OR_A_CONNECTION} & {
            name.lower() for name in response.headers
        } == set()


def test_a_live_stream_may_ask_the_proxy_not_to_hold_it_back():
    assert passed(("X-Accel-Buffering", "no")) == {"X-Accel-Buffering": "no"}


@pytest.mark.parametrize(
    ("scope", "narrowed"),
    [
        ("/", OUTER),
        ("/user/x%40y/", OUTER),
        (INNER, OUTER),
        (f" {INNER}app/", f"{OUTER}app/"),
        (f"{INNER}../", OUTER),
        (f"{INNER}%2e%2e/", OUTER),
        (f"{INNER}..%2f..%2f", OUTER),
        (f"{INNER[:-1]}2/", OUTER),
        ("https://hub.example/", OUTER),
        ("//hub.example/", OUTER),
        ("\\", OUTER),
        ("", OUTER),
    ],
)
def test_a_service_worker_rules_no_more_than_its_workspace(scope, narrowed):
    assert passed(("Service-Worker-Allowed", scope)) == {"Service-Worker-Allowed": narrowed}


@pytest.mark.parametrize(
    ("written", "here", "removed"),
    [
        (f"<{INNER}a>; rel=next", f"<{OUTER}a>; rel=next", f"<{OUTER}a>; rel=next"),
        (
            "</a>; rel=x, </b>;rel=y",
            "</user/x%40y/a>; rel=x, </user/x%40y/b>;rel=y",
            f"<{OUTER}a>; rel=x, <{OUTER}b>;rel=y",
        ),
        (
            '</a>; title="</b> \\" </c>"',
            '</user/x%40y/a>; title="</b> \\" </c>"',
            f'<{OUTER}a>; title="</b> \\" </c>"',
        ),
        (
            "<https://other.example/a>; rel=x",
            "<https://other.example/a>; rel=x",
            "<https://other.example/a>; rel=x",
        ),
    ],
)
def test_addresses_in_links_are_the_browsers(written, here, removed):
    assert passed(("Link", written)) == {"Link": here}
    assert passed(("Link", written), path=REMOVED) == {"Link": removed}


@pytest.mark.parametrize("character", ["<", '"', '\\"', '"\\', "<\"'"])
def test_links_take_time_in_proportion_to_their_length(character):
    import time

    began = time.process_time()
    passed(("Link", character * (60_000 // len(character))))
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("5", "5"),
        (f"0; url={INNER}a", f"0; url={OUTER}a"),
        (f" 3.5 , URL = '{INNER}a' rest", f"3; url={OUTER}a"),
        ("0;/a", "0; url=/user/x%40y/a"),
        ("soon", None),
    ],
)
def test_a_refresh_leads_where_the_workspace_means(written, said):
    assert passed(("Refresh", written)) == ({} if said is None else {"Refresh": said})


@pytest.mark.parametrize(
    ("scheme", "passes"),
    [
        ("Basic realm=x", True),
        ('Digest realm="a, Negotiate", qop="auth", nonce="x="', True),
        ("bearer", True),
        ("Negotiate", False),
        (" NTLM", False),
        ("Basic realm=x, Negotiate", False),
        ('Basic realm="x", NTLM TlRMTVNTUAA=', False),
        ("Basic-Own realm=x", False),
        ("Own", False),
    ],
)
def test_only_sign_ins_that_ask_a_person_pass(scheme, passes):
    assert ("WWW-Authenticate" in passed(("WWW-Authenticate", scheme))) is passes


@pytest.mark.parametrize(
    ("written", "here"),
    [
        (f" {INNER}lab ", f"{OUTER}lab"),
        (f"HTTP://127.0.0.9:1{INNER}lab", f"{OUTER}lab"),
        (f"http:\\\\127.0.0.9:1{INNER}lab", f"{OUTER}lab"),
        (f"/\t{INNER[1:]}lab", f"{OUTER}lab"),
        (f"https://HUB.example{INNER}lab?a=/../b", f"{OUTER}lab?a=/../b"),
        (f"{INNER}a/../b?c=/../d", f"{OUTER}b?c=/../d"),
        (f"{INNER}%2E%2e/%2e/other/", "/user/x%40y/workspace/connect/team-a/small/other/"),
        ("/../../x", "/user/x%40y/x"),
        ("/\\other.example/x", "/\\other.example/x"),
        ("https://other.example/../x", "https://other.example/../x"),
    ],
)
def test_addresses_are_compared_as_browsers_read_them(written, here):
    assert passed(("Location", written)) == {"Location": here}
    assert passed(("Content-Location", written)) == {"Content-Location": here}


def test_a_response_without_a_body_says_nothing_of_its_length():
    assert passed(("Content-Length", "2"), status=204) == {}
    assert passed(("Content-Length", "2")) == {"Content-Length": "2"}
