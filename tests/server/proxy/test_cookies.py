"""Cookies are read as browsers read them, and written anew from what was read."""

from __future__ import annotations

import pytest

from jupyter_workspaces.server.proxy.headers import cookies
from jupyter_workspaces.server.proxy.headers.credentials import CredentialFilter
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

from .raw_workspace import raw_workspace

INNER = "/workspace/connect/team-a/small/web/"
OUTER = "/user/x%40y" + INNER
HERE = PublicPath("/user/x%40y/", INNER, False, "127.0.0.9:1", "hub.example")
AT_ROOT = PublicPath("/", INNER, False, "127.0.0.9:1", "hub.example")
REMOVED = PublicPath("/user/x%40y/", INNER, True, "127.0.0.9:1", "hub.example")
GUARD = CredentialFilter("username-hub-example")


def outward(header: str, path: PublicPath = HERE, page: str | None = None) -> str | None:
    page = path.outer + "page" if page is None else page
    return next(iter(GUARD.cookies_outward(header, path, page)), None)


@pytest.mark.parametrize(
    "attributes",
    [
        "Path=/",
        "Path =/",
        "Path\t=\t/",
        " path = / ",
        "PATH=/",
        "Path=/; Path=/user",
        f"Path={INNER}; Path=/",
        "Path=/;;;",
        'Path="/"',
        "Path=",
        "Path",
        f"Path={INNER}..",
        f"Path={INNER}../",
        f"Path={INNER}a/../../",
        f"Path={INNER}%2e%2e/",
        f"Path={INNER}%2E./a",
        f"Path={INNER}..%2f..%2f",
        f"Path={INNER}a%5c..",
        f"Path={INNER}a\\..\\..",
        f"Path=/{INNER}",
        f"Path={INNER}/a",
        f"Path={INNER[:-1]}2",
        f"Path={INNER[:-1]}",
        f"Path=/user/x@y{INNER}",
        f"Path={INNER.upper()}",
        f"Path={INNER}; Path={'/x' * 600}",
        "Domain=example; Domain =.hub.example; Path = /",
    ],
)
@pytest.mark.parametrize("path", [HERE, AT_ROOT, REMOVED])
def test_no_spelling_of_a_path_leaves_the_workspace(attributes, path):
    found = outward(f"a=b; {attributes}", path)
    assert found is not None
    assert found.startswith(f"a=b; Path={path.outer}")
    assert found.count("Path=") == 1
    assert ".." not in found
    assert "%2" not in found[len(f"a=b; Path={path.outer}") :]
    assert "omain" not in found


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (f"a=b; Path={INNER}deep", f"a=b; Path={OUTER}deep"),
        (f"a=b;Path={INNER}deep/;path={INNER}deeper/", f"a=b; Path={OUTER}deeper/"),
        ("a=b=c", f"a=b=c; Path={OUTER}"),
        (' a = "b c, d" ', f'a="b c, d"; Path={OUTER}'),
        ("a=", f"a=; Path={OUTER}"),
        (
            "a=b; Secure; HttpOnly; SameSite=none; Partitioned",
            f"a=b; Path={OUTER}; Secure; HttpOnly; SameSite=None; Partitioned",
        ),
        (
            "a=b; secure=x; HTTPONLY ; samesite = LAX",
            f"a=b; Path={OUTER}; Secure; HttpOnly; SameSite=Lax",
        ),
        ("a=b; SameSite=Strict; SameSite=Odd", f"a=b; Path={OUTER}"),
        ("a=b; Max-Age=5; Max-Age=-1; Max-Age=x", f"a=b; Path={OUTER}; Max-Age=-1"),
        (
            "a=b; Expires=Wed, 09 Jun 2021 10:18:14 GMT",
            f"a=b; Path={OUTER}; Expires=Wed, 09 Jun 2021 10:18:14 GMT",
        ),
        ("a=b; Priority=High; Unknown=1; Domain=hub.example", f"a=b; Path={OUTER}"),
        ("_xsrf=x", f"workspace-_xsrf=x; Path={OUTER}"),
        ("_xsrf =x", f"workspace-_xsrf=x; Path={OUTER}"),
        ("username-hub-example\t=x", f"workspace-username-hub-example=x; Path={OUTER}"),
        ("__HOST-a=x; Secure; Path=/", f"workspace-__HOST-a=x; Path={OUTER}; Secure"),
        ("__Secure-a=x; Secure", f"__Secure-a=x; Path={OUTER}; Secure"),
    ],
)
def test_a_cookie_is_written_anew_from_what_was_read(header, said):
    assert outward(header) == said


@pytest.mark.parametrize(
    "header",
    [
        "a",
        "=a",
        "=_xsrf=a",
        " =__Host-a=b",
        "__Host-a",
        "",
        ";",
        "; Path=/",
        "a\x00=b",
        "a=b\x01c",
        "a=b\x7f",
        "a=b; Path=/\x1f",
        "a b=c",
        "a,_xsrf=c",
        '"a"=c',
        "\xa0_xsrf=c",
        "__secure-a=b",
        "__SECURE-a=b; Path=/",
        "a=" + "b" * 4096,
        "a" * 4097 + "=b",
    ],
)
def test_a_cookie_that_is_read_in_two_ways_is_refused(header):
    assert outward(header) is None


def test_the_largest_cookie_that_browsers_take_passes():
    assert outward("a=" + "b" * 4095) is not None


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (f"{OUTER}", OUTER),
        (f"{OUTER}page", OUTER),
        (f"{OUTER}a/b/page", f"{OUTER}a/b"),
        (f"{OUTER}a/b/", f"{OUTER}a/b"),
        (OUTER[:-1], OUTER),
        (f"{OUTER}a/../../page", OUTER),
        (f"{OUTER}%2e%2e/page", OUTER),
        (f"{OUTER}a//b", f"{OUTER}a/"),
        ("/", OUTER),
        ("", OUTER),
    ],
)
def test_a_cookie_without_a_path_gets_the_directory_of_its_page(page, said):
    assert outward("a=b", page=page) == f"a=b; Path={said}"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1;b=2;;c", "d=4"], {"a": "1", "b": "2", "d": "4"}),
        (["a=1; a=2"], {"a": "1"}),
        (['a="1; username-hub-example=secret; b="'], {"a": '"1', "b": '"'}),
        (["\tusername-hub-example =secret; _xsrf\t= x; a=1"], {"a": "1"}),
        (["=secret; a=1"], {"a": "1"}),
        (["workspace-_xsrf=1; workspace-a=2"], {"_xsrf": "1", "workspace-a": "2"}),
    ],
)
def test_cookies_go_inward_as_servers_read_them(lines, found):
    assert GUARD.cookies_inward(lines) == found


def test_names_and_values_of_a_cookie_header():
    assert list(cookies.pairs(["a=b=c; d=; =e; f"])) == [("a", "b=c"), ("d", "")]


async def test_a_browser_gets_only_what_was_rebuilt(browser, view):
    lines = (
        "Set-Cookie: a=1; Path =/; Domain=127.0.0.1\r\nSet-Cookie: =_xsrf=evil\r\n"
        "Set-Cookie: _xsrf =evil;path\t=/\r\n"
    )
    answer = f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok".encode()
    async with raw_workspace(view, answer), browser.request("GET", "x") as response:
        found = [
            line
            for line in response.headers.getall("Set-Cookie")
            if not line.startswith("username-")
        ]
    assert found == [
        f"a=1; Path={browser.url().raw_path}",
        f"workspace-_xsrf=evil; Path={browser.url().raw_path}",
    ]
