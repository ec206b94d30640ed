"""The server's base URL is added to addresses in headers and HTML, and to nothing else."""

from __future__ import annotations

import json
import random
import re

import pytest

from jupyter_workspaces.server.proxy.rewriting.decoding import decoder
from jupyter_workspaces.server.proxy.rewriting.html_rewriter import HtmlRewriter
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

from .conftest import at_both_bases

INNER = "/workspace/connect/team-a/small/web/"
HERE = PublicPath("/user/x%40y/", INNER, False, "127.0.0.9:1", "hub.example")
AT_ROOT = PublicPath("/", INNER, False, "127.0.0.9:1", "hub.example")
REMOVED = PublicPath("/user/x%40y/", INNER, True, "127.0.0.9:1", "hub.example")
OUTER = "/user/x%40y" + INNER


@pytest.mark.parametrize(
    ("written", "at_root", "behind_base", "prefix_removed"),
    [
        (f"{INNER}lab", f"{INNER}lab", f"{OUTER}lab", f"{OUTER}lab"),
        (
            "/elsewhere?a=/b#c",
            "/elsewhere?a=/b#c",
            "/user/x%40y/elsewhere?a=/b#c",
            f"{OUTER}elsewhere?a=/b#c",
        ),
        (f"{OUTER}lab", f"{OUTER}lab", f"{OUTER}lab", f"{OUTER}lab"),
        (
            f"http://127.0.0.9:1{INNER}lab?x=1",
            f"{INNER}lab?x=1",
            f"{OUTER}lab?x=1",
            f"{OUTER}lab?x=1",
        ),
        (f"//127.0.0.9:1{INNER}", INNER, OUTER, OUTER),
        (
            f"https://hub.example{INNER}lab",
            f"https://hub.example{INNER}lab",
            f"{OUTER}lab",
            f"{OUTER}lab",
        ),
        ("relative/x", "relative/x", "relative/x", "relative/x"),
        (
            "https://other.example/x",
            "https://other.example/x",
            "https://other.example/x",
            "https://other.example/x",
        ),
        ("//other.example/x", "//other.example/x", "//other.example/x", "//other.example/x"),
        ("mailto:a@b", "mailto:a@b", "mailto:a@b", "mailto:a@b"),
        ("http://[broken", "http://[broken", "http://[broken", "http://[broken"),
        ("", "", "", ""),
    ],
)
def test_addresses_go_outward(written, at_root, behind_base, prefix_removed):
    assert AT_ROOT.outward(written) == at_root
    assert HERE.outward(written) == behind_base
    assert REMOVED.outward(written) == prefix_removed


def test_addresses_go_inward():
    assert AT_ROOT.inward(f"{INNER}a%2Fb?x=%20#y") == f"{INNER}a%2Fb?x=%20%23y"
    assert HERE.inward(f"{OUTER}a?b") == f"{INNER}a?b"
    assert REMOVED.inward(f"{OUTER}a?b") == "/a?b"
    assert HERE.inward(f"{OUTER}\xc3\xbc") == f"{INNER}%C3%BC"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/user/x%40y/",
        "/workspace/connect/team-a/small/",
        "",
        "relative",
        "/workspace/connect/team-a/small/web2/",
    ],
)
def test_a_cookies_path_is_never_wider_than_the_workspace(path):
    assert HERE.confined(path) == OUTER
    assert AT_ROOT.confined(path) == INNER


@at_both_bases
async def test_redirects_stay_in_the_workspace(browser):
    async with browser.request("GET", f"redirect?to={INNER}next%3Fa=1") as answer:
        assert answer.headers["Location"] == f"{browser.base}{INNER[1:]}next?a=1"
    async with browser.request("GET", "redirect?to=https://elsewhere.example/") as answer:
        assert answer.headers["Location"] == "https://elsewhere.example/"


@at_both_bases
async def test_a_missing_slash_is_added(browser):
    async with browser.request("GET", path=INNER[1:-1], rest="?a=b") as answer:
        assert (answer.status, answer.headers["Location"]) == (
            302,
            f"{browser.base}{INNER[1:]}?a=b",
        )
    async with browser.request("POST", path=INNER[1:-1]) as answer:
        assert answer.status == 307


@at_both_bases
@pytest.mark.parametrize("how", ["", "?pieces=1", "?gzip", "?gzip&pieces=7"])
async def test_a_page_names_addresses_that_the_browser_can_use(browser, how):
    encodings = {"Accept-Encoding": "gzip, br"}
    async with browser.request(
        "GET", f"page{how}", headers={**browser.signed, **encodings}
    ) as answer:
        body = await answer.read()
        compressed = answer.headers.get("Content-Encoding")
    if browser.base == "/":
        assert compressed == ("gzip" if "gzip" in how else None)
        return

    text = body.decode()
    assert compressed is None
    assert answer.headers["ETag"] == 'W/"v1"'
    assert "Content-Length" not in answer.headers or int(answer.headers["Content-Length"]) == len(
        body
    )
    for found in (
        f'<base href="{OUTER}">',
        f'src="{OUTER}static/main.js?x=1&amp;y=2"',
        f'href="{OUTER}tree"',
        "href='/user/x%40y/other'",
        "href=/user/x%40y/bare>",
        'href="relative"',
        'href="//elsewhere.example/x"',
        'href="https://elsewhere.example/y"',
        'action="/user/x%40y/post"',
        'alt="1 < 2" src="/user/x%40y/picture.png"> 3 < 4',
        '<!-- <a href="/comment"> -->',
        """const text = '<a href="/in-script">';""",
        '<img src="/in-textarea">',
        '<body title="> src=/title">',
    ):
        assert found in text
    config = json.loads(
        re.search(
            r'id="jupyter-config-data" type="application/json">(.*?)</script>', text, re.DOTALL
        )[1]
    )
    assert config == {
        "baseUrl": OUTER,
        "fullStaticUrl": f"{OUTER}static/lab",
        "appUrl": "/lab",
        "name": "</x>",
        "nested": {"list": [f"{OUTER}a"]},
    }


@at_both_bases
async def test_where_the_kind_removes_the_prefix_the_app_stands_at_the_root(browser, view):
    view.proxy["removePathPrefix"] = True
    async with browser.request("GET", "some/path?x=1") as answer:
        told = json.loads(await answer.read())
    assert told["target"] == "/some/path?x=1"
    assert dict(told["headers"])["X-Forwarded-Prefix"] == f"{browser.base}{INNER[1:-1]}"
    async with browser.request("GET", "redirect?to=/login") as answer:
        assert answer.headers["Location"] == f"{browser.base}{INNER[1:]}login"


@at_both_bases
async def test_the_kinds_headers_are_set_added_and_removed(browser, view):
    view.proxy["requestHeaders"] = {
        "set": {
            "X-Path": '{{ httpPathPrefix "web" }}',
            "X-None": '{{ httpPathPrefix "other" }}',
            "X-Own": "kind",
        },
        "add": {"X-Many": "two"},
        "remove": ["x-secret"],
    }
    sent = {**browser.signed, "X-Own": "client", "X-Many": "one", "X-Secret": "s"}
    async with browser.request("GET", "x", headers=sent) as answer:
        headers = json.loads(await answer.read())["headers"]
    assert ["X-Path", INNER] in headers
    assert ["X-None", ""] in headers
    assert [value for name, value in headers if name == "X-Own"] == ["kind"]
    assert [value for name, value in headers if name == "X-Many"] == ["one", "two"]
    assert "X-Secret" not in dict(headers)


@at_both_bases
async def test_kernels_keep_their_pictures_and_other_json_stays_as_it_is(browser):
    async with browser.request("GET", "api/kernelspecs") as answer:
        resources = json.loads(await answer.read())["kernelspecs"]["python3"]["resources"]
    assert resources == {"logo-svg": f"{browser.base}{INNER[1:]}kernelspecs/python3/logo.svg"}
    async with browser.request("GET", "elsewhere/kernelspecs") as answer:
        assert f'"{INNER}kernelspecs' in await answer.text()


def test_any_bytes_pass_through_in_any_pieces():
    chance = random.Random(7)
    parts = [
        b"<",
        b">",
        b'"',
        b"'",
        b"=",
        b"<!--",
        b"-->",
        b"<script>",
        b"</script>",
        b"<a ",
        b"href",
        b"=x ",
        b"\xff\x00",
        b" ",
        b"/",
        b"text",
    ]
    for _ in range(300):
        body = b"".join(chance.choices(parts, k=60))
        whole = HtmlRewriter(AT_ROOT)
        expected = whole.feed(body) + whole.finish()
        rewriter, out, at = HtmlRewriter(AT_ROOT), b"", 0
        while at < len(body):
            step = chance.randint(1, 9)
            out += rewriter.feed(body[at : at + step])
            at += step
        assert out + rewriter.finish() == expected == body


def test_a_tag_that_never_ends_is_not_kept():
    rewriter = HtmlRewriter(HERE)
    out = b"".join(
        rewriter.feed(b'<a title="' + b"x" * 2**14 if step == 0 else b"x" * 2**14)
        for step in range(40)
    )
    assert len(out) > 2**19


def test_a_small_compressed_body_is_unpacked_in_bounded_pieces():
    import gzip

    read = decoder("gzip")
    assert read is not None
    sizes = [len(piece) for piece in read.feed(gzip.compress(bytes(2**24)))]
    assert sum(sizes) == 2**24
    assert max(sizes) <= 2**18
