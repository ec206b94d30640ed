"""A workspace's path is rewritten wherever browsers use a URL, in any escape, and nowhere else."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from urllib.parse import quote

import pytest

from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.server.proxy.rewriting.addresses import ScriptRewriter
from jupyter_workspaces.server.proxy.rewriting.content_types import rewriter
from jupyter_workspaces.server.proxy.rewriting.decoding import PIECE
from jupyter_workspaces.server.proxy.rewriting.html_rewriter import HtmlRewriter
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

from .conftest import at_both_bases

INNER = "/workspace/connect/team-a/small.one/web/"
OUTER = f"/user/x{INNER}"
HERE = PublicPath("/user/x/", INNER, False, "127.0.0.9:1", "hub.example:8000", "https")
FROM_ELSEWHERE = PublicPath("/", OUTER, False, "127.0.0.9:1", "hub.example:8000", "https")
FROM_ANOTHER = PublicPath("/user/y/", OUTER, False, "127.0.0.9:1", "hub.example:8000", "https")


def rewritten(page: str, path: PublicPath = HERE) -> str:
    changes = HtmlRewriter(path)
    return (changes.feed(page.encode()) + changes.finish()).decode()


def script(text: str, path: PublicPath = HERE) -> str:
    changes = ScriptRewriter(path)
    return (changes.feed(text.encode()) + changes.finish()).decode()


@pytest.mark.parametrize(
    "page",
    [
        '<meta http-equiv="refresh" content="0; url=@a">',
        '<meta http-equiv="refresh" content="5;URL=\'@a\'">',
        '<img srcset="@a 1x, @b 2x"><link imagesrcset="@a 1x,@b 2x">',
        '<body data-base-url="@">',
        '<script id="_dash-config" type="application/json">'
        '{"requests_pathname_prefix": "@"}</script>',
        "<script>const a = '@', b = `@x`, c = {u: \"@\"}</script>",
        '<div style="background:url(@a)"><div style="background: url(&quot;@a&quot;)">'
        '<style>a { background: url( @ ) } @import "@b"</style>',
        '<div hx-get="@"><a ping="@a @b"><object data="@"></object>'
        '<svg><image xlink:href="@"></svg>',
        '<my-element options="{&quot;url&quot;: &quot;@&quot;}">',
        '<iframe srcdoc="&lt;img src=&quot;@a&quot;>"></iframe>',
        '<script>window.state = "{\\"url\\": \\"@\\"}"</script>',
        "<a href=@a><a href='@b'><A HREF = @c>",
    ],
)
def test_a_page_names_the_path_that_the_browser_can_use(page: str) -> None:
    page = page.replace("@import", "&import")
    expected = page.replace("@", OUTER).replace("&import", "@import")
    assert rewritten(page.replace("@", INNER).replace("&import", "@import")) == expected


@pytest.mark.parametrize(
    "slash",
    ["/", "\\/", "\\\\/", "\\u002f", "\\u002F", "\\x2f", "&#x2F;", "&#47;", "&#x0002f;", "&sol;"],
)
@pytest.mark.parametrize("hyphen", ["-", "\\u002D", "\\x2d", "&#45;"])
def test_escaped_characters_are_read_as_what_they_are(slash: str, hyphen: str) -> None:
    def escaped(text: str) -> str:
        return text.replace("/", slash).replace("-", hyphen)

    assert script(f'"{escaped(INNER)}"') == f'"{"/user/x".replace("/", slash)}{escaped(INNER)}"'
    if "\\" not in slash + hyphen:
        assert (
            rewritten(f'<a data-x="{escaped(INNER)}">')
            == f'<a data-x="{"/user/x".replace("/", slash)}{escaped(INNER)}">'
        )


def test_an_entity_in_a_link_is_read() -> None:
    assert (
        rewritten(f'<a href="{INNER.replace("/", "&#x2F;")}a?b&amp;c">')
        == f'<a href="{OUTER}a?b&amp;c">'
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (f"http://127.0.0.9:1{INNER[:-1]}/", f"https://hub.example:8000{OUTER}"),
        (f"ws://127.0.0.9:1{INNER}", f"wss://hub.example:8000{OUTER}"),
        (f"//127.0.0.9:1{INNER}", f"//hub.example:8000{OUTER}"),
        (f"http://127.0.0.9:1{OUTER}", f"https://hub.example:8000{OUTER}"),
        (f"https://HUB.example:8000{INNER}", f"https://HUB.example:8000{OUTER}"),
        (f"https://hub.example:8000{OUTER}", f"https://hub.example:8000{OUTER}"),
        (
            f"https://127.0.0.9:1{INNER}".replace("/", "\\/"),
            f"https://hub.example:8000{OUTER}".replace("/", "\\/"),
        ),
        (f"https://other.example{INNER}", f"https://other.example{INNER}"),
        (f"http://127.0.0.9:11{INNER}", f"http://127.0.0.9:11{INNER}"),
    ],
)
def test_the_pods_host_becomes_the_browsers(written: str, expected: str) -> None:
    assert script(f'x = "{written}"') == f'x = "{expected}"'
    assert rewritten(f'<p data-x="{written}">') == f'<p data-x="{expected}">'


@pytest.mark.parametrize(
    "page",
    [
        "<p>@</p><!-- '@' --><title>@</title><textarea>\"@\"</textarea>",
        '<input name="text" value="@"><option value=@>',
        '<a href="login?next=@"><a href="login?a=b&amp;next=@">',
        '<script>"see @ there"; "x@"; "login?next=@"; "a&next=@"; "..@"; "/static@"</script>',
        f'<script>"{OUTER}"; "/workspace/connect/team-a/small.one2/web/";'
        ' "/workspace/connect/team-a/smallxone/web/"</script>',
    ],
)
def test_what_is_no_url_for_the_browser_stays(page: str) -> None:
    page = page.replace("@", INNER)
    assert rewritten(page) == page


def test_other_ports_of_the_workspace_are_its_own_too() -> None:
    assert (
        script('"/workspace/connect/team-a/small.one/other/"')
        == '"/user/x/workspace/connect/team-a/small.one/other/"'
    )


@pytest.mark.parametrize("escape", ["/", "\\/"])
def test_a_program_that_was_started_at_another_base_url_is_shown_here(escape: str) -> None:
    def text(path: str) -> str:
        return path.replace("/", escape)

    assert script(f'"{text(OUTER)}"', FROM_ELSEWHERE) == f'"{text(INNER)}"'
    assert script(f'"{text(OUTER)}"', FROM_ANOTHER) == f'"{text("/user/y" + INNER)}"'
    assert script(f'"{text(INNER)}"', FROM_ELSEWHERE) == f'"{text(INNER)}"'
    assert rewritten(f"<a href={OUTER}x>", FROM_ELSEWHERE) == f"<a href={INNER}x>"
    assert (
        rewritten(f"<a href={OUTER}x><a href=/elsewhere>", FROM_ANOTHER)
        == f"<a href=/user/y{INNER}x><a href=/elsewhere>"
    )
    assert FROM_ANOTHER.inward(f"/user/y{INNER}a?b") == f"{OUTER}a?b"
    assert FROM_ANOTHER.outward(f"http://127.0.0.9:1{OUTER}a") == f"/user/y{INNER}a"
    assert FROM_ANOTHER.confined(OUTER) == f"/user/y{INNER}"


def test_a_namespace_and_name_like_the_path_itself_are_no_riddle() -> None:
    path = PublicPath("/user/x/", "/workspace/connect/workspace/connect/web/")
    assert (
        script('"/workspace/connect/workspace/connect/web/"', path)
        == '"/user/x/workspace/connect/workspace/connect/web/"'
    )


PARTS = (
    *(
        '"',
        "'",
        "=",
        " ",
        "?",
        "&",
        "&amp;",
        "\\",
        "x",
        "(",
        "http:",
        "https:\\/\\/",
        "//",
        "127.0.0.9:1",
        "hub.example:8000",
        "/user/x",
    ),
    *(INNER, INNER, OUTER, INNER.replace("/", "\\u002f"), INNER[:12], INNER[12:], "/", "next="),
)


def test_the_result_does_not_depend_on_where_a_script_is_cut() -> None:
    chance = random.Random(3)
    for _ in range(300):
        text = "".join(chance.choices(PARTS, k=chance.randint(1, 80))).encode()
        whole = ScriptRewriter(HERE)
        expected = whole.feed(text) + whole.finish()
        for largest in (1, 30, 3000):
            changes, found, at = ScriptRewriter(HERE), b"", 0
            while at < len(text):
                step = chance.randint(1, largest)
                found += changes.feed(text[at : at + step])
                at += step
            assert found + changes.finish() == expected, text


BOMBS = {
    "paths": f'"{INNER}"',
    "paths that are none": INNER,
    "beginnings": INNER[:20],
    "backslashes": "\\",
    "slashes": "/",
    "fronts": f"http://127.0.0.9:1/user/x{INNER}",
    "escaped slashes": "\\u002f",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_time_is_linear_in_the_size(bomb: str) -> None:
    def seconds(size: int) -> float:
        body = (BOMBS[bomb] * (size // len(BOMBS[bomb]))).encode()
        pieces: Iterable[bytes] = [body[start : start + PIECE] for start in range(0, size, PIECE)]
        changes, began = ScriptRewriter(HERE), time.process_time()
        for piece in pieces:
            changes.feed(piece)
        changes.finish()
        return time.process_time() - began

    measured = []
    for _ in range(3):
        once, twice = seconds(2**18), seconds(2**19)
        measured.append((once, twice))
        if twice <= max(3 * once, 0.05) and once < 1.5:
            return
    pytest.fail(f"256 KiB and 512 KiB took {measured} seconds")


@pytest.mark.parametrize(
    ("content_type", "changes"),
    [
        *(
            (name, True)
            for name in (
                "text/html",
                "application/xhtml+xml",
                "text/css",
                "text/javascript",
                "application/javascript",
            )
        ),
        *(
            (name, True)
            for name in ("image/svg+xml", "application/manifest+json", "application/xml")
        ),
        *(
            (name, False)
            for name in (
                "application/json",
                "text/plain",
                "text/event-stream",
                "text/csv",
                "application/octet-stream",
            )
        ),
        *(
            (name, False)
            for name in ("application/x-ipynb+json", "image/png", "application/wasm", "")
        ),
    ],
)
def test_pages_scripts_and_styles_are_rewritten_and_data_is_not(
    content_type: str, changes: bool
) -> None:
    assert (rewriter(HERE, content_type, requested=f"{INNER}a") is not None) is changes
    assert (
        rewriter(HERE, content_type, requested=f"{INNER}a", disposition='Attachment; filename="a"')
        is None
    )
    assert rewriter(HERE, content_type, requested=f"{INNER}a", charset="utf-16le") is None
    assert rewriter(PublicPath("/user/x/", OUTER), content_type, requested=f"{OUTER}a") is None


SMALL = "/workspace/connect/team-a/small/web/"


@at_both_bases
@pytest.mark.parametrize(
    "content_type", ["text/javascript", "text/css; charset=utf-8", "application/manifest+json"]
)
async def test_files_of_the_program_name_addresses_that_the_browser_can_use(
    browser, content_type: str
) -> None:
    sent = f'url("{SMALL}x")'
    async with browser.request("POST", f"typed?type={quote(content_type)}", data=sent) as answer:
        assert await answer.text() == f'url("{browser.base}{SMALL[1:]}x")'


@pytest.mark.parametrize(
    "query", ["type=application/json", "type=text/plain", "type=text/html&disposition=attachment"]
)
async def test_what_a_user_keeps_passes_as_it_is(browser, query: str) -> None:
    notebook = (
        '{"content": {"cells": [{"source": ["<a href=\\"@\\">", "@"]}]}, "path": "@"}'.replace(
            "@", SMALL
        )
    )
    async with browser.request("POST", f"api/contents/typed?{query}", data=notebook) as answer:
        assert await answer.text() == notebook


@pytest.mark.parametrize("jp_base_url", ["/user/x/"])
async def test_a_program_that_was_told_the_full_path_gets_and_gives_it_untouched(
    browser, view
) -> None:
    view.pod["metadata"]["annotations"][metadata_keys.BASE_URL] = "/user/x/"
    path = f"/user/x{SMALL}"
    async with browser.request("GET", "echo") as answer:
        told = await answer.json()
    assert told["target"] == f"{path}echo"
    assert "X-Forwarded-Prefix" not in dict(told["headers"])
    sent = f'<a href="{path}"><script>"{SMALL}"</script>'
    async with browser.request("POST", "typed?type=text/html", data=sent) as answer:
        assert await answer.text() == sent
        assert answer.headers["Content-Length"] == str(len(sent))
    async with browser.request("GET", f"redirect?to={path}next") as answer:
        assert answer.headers["Location"] == f"{path}next"


async def test_a_program_that_was_told_another_servers_path_is_shown_here(browser, view) -> None:
    view.pod["metadata"]["annotations"][metadata_keys.BASE_URL] = "/user/another/"
    inner, outer = f"/user/another{SMALL}", f"{browser.base}{SMALL[1:]}"
    async with browser.request("GET", "echo") as answer:
        assert (await answer.json())["target"] == f"{inner}echo"
    async with browser.request(
        "POST", "typed?type=text/html", data=f'<a href="{inner}"><script>"{inner}"</script>'
    ) as answer:
        assert await answer.text() == f'<a href="{outer}"><script>"{outer}"</script>'


@pytest.mark.parametrize(
    "base",
    ["relative/", "/a/../b/", "/./", "/a%2F/", "//evil.example/", '/"/', "/a", "/" + "a/" * 200],
)
async def test_a_base_url_that_could_be_read_in_two_ways_counts_as_none(
    browser, view, base: str
) -> None:
    view.pod["metadata"]["annotations"][metadata_keys.BASE_URL] = base
    async with browser.request("GET", "echo") as answer:
        assert (await answer.json())["target"] == f"{SMALL}echo"
