"""HTML is rewritten incrementally, in linear time, with a result that does not depend on chunks."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from collections.abc import Callable, Iterable

import pytest
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.rewriting import html_tokenizer, json_rewriter
from jupyter_workspaces.server.proxy.rewriting.decoding import PIECE, decoder
from jupyter_workspaces.server.proxy.rewriting.html_rewriter import MOST_ATTRIBUTES, HtmlRewriter
from jupyter_workspaces.server.proxy.rewriting.kernelspecs import KernelspecsRewriter
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

INNER = "/workspace/connect/team-a/small/web/"
HERE = PublicPath("/user/x%40y/", INNER, False, "127.0.0.9:1", "hub.example")
CONFIG = b'<script id="jupyter-config-data" type="application/json">'
ROW = (
    b'<tr class="odd"><td><a href="/item/17?x=1&amp;y=2" title="An item">17</a></td>'
    b'<td>some text</td><td><img src="/p.png"></td></tr>\n'
)

STALL_SECONDS = 0.25
"""Processor time between two turns of the event loop, on a slow machine."""

BOMBS = {
    "an ordinary page": lambda n: ROW * (n // len(ROW)),
    "text without tags": lambda n: b"text " * (n // 5),
    "less-than signs": lambda n: b"<" * n,
    "quotes that open": lambda n: b"<a b='" * (n // 12 * 2),
    "tags": lambda n: b"<a>" * (n // 3),
    "end tags that do not end": lambda n: b"</a" * (n // 3),
    "a tag that does not end": lambda n: b"<a" + b" a" * (n // 2),
    "attributes with URLs in one tag": lambda n: b"<a" + b" src=/" * (n // 6) + b">",
    "one long attribute value": lambda n: b'<a b="' + b"x" * n + b'">',
    "whitespace in a tag": lambda n: b"<a b" + b" " * n,
    "a comment that does not end": lambda n: b"<!--" + b"--!" * (n // 3),
    "comments": lambda n: b"<!---->" * (n // 7),
    "a long script": lambda n: (
        b"<script>" + b"if (a < b) { c('</x') }\n" * (n // 24) + b"</script>"
    ),
    "a script that does not end": lambda n: b"<script>" + b"<!--<script>-->" * (n // 15),
    "raw text that does not end": lambda n: b"<textarea>" + b"</textare" * (n // 9),
    "a configuration of brackets": lambda n: CONFIG + b'{"a":' + b"[" * n,
    "a configuration of strings": lambda n: CONFIG + b'{"a":["' + b'","' * (n // 3),
    "a configuration that is one string": lambda n: CONFIG + b'{"a":"' + b"\\" * n,
}


def fed(rewriter: HtmlRewriter | KernelspecsRewriter, pieces: Iterable[bytes]) -> bytes:
    return b"".join([*map(rewriter.feed, pieces), rewriter.finish()])


def rewritten(page: bytes) -> bytes:
    return fed(HtmlRewriter(HERE), [page])


def in_pieces(body: bytes, size: Callable[[], int]) -> Iterable[bytes]:
    position = 0
    while position < len(body):
        step = size()
        yield body[position : position + step]
        position += step


PARTS = (
    *(
        b"<",
        b">",
        b'"',
        b"'",
        b"=",
        b"/",
        b"-",
        b"!",
        b" ",
        b"\n",
        b"\xff\x00",
        b"text",
        b"\\",
        b"<?",
        b"<!",
        b"</",
    ),
    *(
        b"<!--",
        b"-->",
        b"--!>",
        b"<script>",
        b"</script>",
        b"</script ",
        b"<SCRIPT ",
        b"<title>",
        b"</title>",
        b"<textarea",
        b"</textarea",
    ),
    *(b"<a ", b"</a", b"href", b"=/x ", b' href="/y"', b" src='/z'", b"<img/src=/q"),
    *(
        CONFIG,
        b'{"baseUrl":"' + INNER.encode() + b'"',
        b",",
        b":",
        b"[",
        b"]",
        b"{",
        b"}",
        b"\\u00",
        b'"a"',
    ),
)


@pytest.mark.parametrize("longest_tag", [24, html_tokenizer.LONGEST_TAG])
def test_the_result_does_not_depend_on_where_the_page_is_cut(
    longest_tag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_tokenizer, "LONGEST_TAG", longest_tag)
    monkeypatch.setattr(json_rewriter, "LONGEST_STRING", 40)
    monkeypatch.setattr(json_rewriter, "DEEPEST", 4)
    chance = random.Random(longest_tag)
    for _ in range(1000):
        body = b"".join(chance.choices(PARTS, k=chance.randint(1, 60)))
        whole = rewritten(body)
        for largest in (1, 5, 40):
            cut = fed(
                HtmlRewriter(HERE),
                in_pieces(body, lambda largest=largest: chance.randint(1, largest)),
            )
            assert cut == whole, body


def test_what_names_no_url_passes_byte_by_byte_as_it_was() -> None:
    chance = random.Random(5)
    parts = [
        part
        for part in PARTS
        if b"/x" not in part and b"/y" not in part and b"/z" not in part and b"/q" not in part
    ]
    parts = [part for part in parts if b"Url" not in part and part != b"href"]
    for _ in range(1000):
        body = b"".join(chance.choices(parts, k=60))
        assert rewritten(body) == body


@pytest.mark.parametrize(
    "page",
    [
        b"<!--><a href=@/x>",
        b"<!---><a href=@/x>",
        b"<!-- a --!><a href=@/x>",
        b"<!-- <a href=/x> -- > <a href=/x> --><a href=@/x>",
        b"<!doctype html '<a href=/x'><a href=@/x>",
        b"<? <a href=/x><a href=@/x>",
        b"</ <a href=/x><a href=@/x>",
        b"</><a href=@/x>",
        b"</p title='> <a href=/x>'><a href=@/x>",
        b"<<a href=@/x>",
        b"< a href=/x>",
        b"<a = href=@/x>",
        b"<a ='> <a href=@/x>",
        b"<a b=c='> <a href=@/x>",
        b"<a b= > <a href=@/x>",
        b"<a b='>'c=\">\"href=@/x>",
        b"<a/href=@/x/>",
        b"<a\nHREF\t=\r'@/x'>",
        b"<a b='<a href=/x>' href=@/x>",
        b"<script></scriptx><a href=/x></SCRIPT ><a href=@/x>",
        b"<script><!-- <script> </script> <a href=/x> </script> <a href=@/x>",
        b"<script><!-- <script> --> </script> <a href=@/x>",
        b"<script><!--> <script> </script> <a href=@/x>",
        b"<script/><a href=/x></script a='>' ><a href=@/x>",
        b"<xmp><a href=/x></xmp><style><a href=/x></style/>"
        b"<iframe src=@/x><a href=/x></iframe><a href=@/x>",
        b"<scripts><a href=@/x>",
    ],
)
def test_tags_end_where_the_html_standard_says(page: bytes) -> None:
    """`@` marks the URLs that a browser finds in attributes."""
    assert rewritten(page.replace(b"@", b"")) == page.replace(b"@", b"/user/x%40y")


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_time_is_linear_in_the_size(bomb: str) -> None:
    def seconds(size: int, repeats: int) -> float:
        """Return the processor time, the least of some measurements."""
        body = BOMBS[bomb](size)
        pieces = list(in_pieces(body, lambda: PIECE))
        found = []
        for _ in range(repeats):
            began = time.process_time()
            fed(HtmlRewriter(HERE), pieces)
            fed(HtmlRewriter(HERE), [body])
            found.append(time.process_time() - began)
        return min(found)

    size = 128 * 2**10
    while seconds(size, 1) < 0.1 and size < 4 * 2**20:  # long enough to be measured
        size *= 2
    measured = []
    for repeats in (1, 3, 3, 3):  # other programs on the machine may disturb a measurement
        once, twice = seconds(size, repeats), seconds(2 * size, repeats)
        measured.append((once, twice))
        if twice <= max(3 * once, 0.01) and once < 10 * size / 2**20:
            return
    pytest.fail(f"{size} bytes and twice as many took {measured} seconds")


@pytest.mark.parametrize(
    "bomb",
    [
        "quotes that open",
        "a comment that does not end",
        "a tag that does not end",
        "raw text that does not end",
    ],
)
def test_time_is_linear_when_bytes_come_one_by_one(bomb: str) -> None:
    def seconds(size: int) -> float:
        body = BOMBS[bomb](size)
        began = time.process_time()
        fed(HtmlRewriter(HERE), in_pieces(body, lambda: 1))
        return time.process_time() - began

    assert any(seconds(60_000) <= 3 * seconds(30_000) for _ in range(3))


def test_after_a_tag_that_is_too_long_rewriting_goes_on() -> None:
    long = (
        b"<a title='" + b"> <a href=/x> " * (html_tokenizer.LONGEST_TAG // 14 + 1) + b"' href=/y>"
    )
    assert rewritten(long + b"<a href=/z>") == long + b"<a href=/user/x%40y/z>"


def test_a_script_whose_tag_is_too_long_is_still_a_script() -> None:
    page = b"<script title='" + b"x" * html_tokenizer.LONGEST_TAG + b"'><a href=/x></script>"
    assert rewritten(page + b"<a href=/z>") == page + b"<a href=/user/x%40y/z>"


def test_a_tag_with_too_many_attributes_passes_unchanged() -> None:
    assert rewritten(b"<a href=/x" + b" a=1" * (MOST_ATTRIBUTES - 1) + b">").startswith(
        b"<a href=/user/"
    )
    tag = b"<a href=/x" + b" a=1" * MOST_ATTRIBUTES + b">"
    assert rewritten(tag) == tag


def test_a_configuration_of_megabytes_is_rewritten() -> None:
    config = {
        "baseUrl": INNER,
        "many": [f"entry {number}" for number in range(200_000)],
        "last": {"a": [[INNER + "ü"], "\\/"]},
    }
    page = CONFIG + json.dumps(config).encode() + b"</script>"
    body = fed(HtmlRewriter(HERE), in_pieces(page, lambda: PIECE))
    found = json.loads(body.removeprefix(CONFIG).removesuffix(b"</script>"))
    assert found == {
        **config,
        "baseUrl": f"/user/x%40y{INNER}",
        "last": {"a": [[f"/user/x%40y{INNER}ü"], "\\/"]},
    }


@pytest.mark.parametrize("brackets", [b"[", b'{"a":'])
def test_json_that_is_nested_deeply_passes(brackets: bytes) -> None:
    body = b'{"kernelspecs": ' + brackets * 100_000
    assert fed(KernelspecsRewriter(HERE), [body]) == body
    page = CONFIG + body + b"</script><a href="
    assert rewritten(page + b"/x>") == page + b"/user/x%40y/x>"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'"/x"',
        b"[{}]",
        b"{]",
        b'{"kernelspecs": {"a": {"resources": "/x"}}}',
        b'{"a": "\xff',
    ],
)
def test_json_that_lists_no_kernels_passes(body: bytes) -> None:
    assert fed(KernelspecsRewriter(HERE), in_pieces(body, lambda: 1)) == body


def test_many_small_compressed_bodies_in_one_are_a_piece_each() -> None:
    read = decoder("gzip")
    assert read is not None
    pieces = list(read.feed(gzip.compress(b"") * 2000 + gzip.compress(b"end")))
    assert len(pieces) > 2000
    assert b"".join(pieces) == b"end"


class Stalls:
    """Return the longest processor time of one turn of the event loop."""

    longest = 0.0

    async def __aenter__(self) -> Stalls:
        self._watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.wait((self._watching,))

    async def _watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.thread_time() - before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "times", "how"),
    [
        ("<", 2**20, ""),
        ("<a b='", 50_000, ""),
        ("<a src=/>", 100_000, "&gzip"),
        ("<a src=//hub.example/>", 50_000, "&gzip"),
        ("<script id=a></script>", 50_000, "&gzip"),
        (CONFIG.decode() + '{"a":["' + '","' * 1_000_000 + '"]}</script>', 1, "&gzip"),
        (CONFIG.decode() + '{"a":' + "[" * 1_000_000 + "]" * 1_000_000 + "}</script>", 1, "&gzip"),
    ],
)
async def test_a_bomb_does_not_stall_the_server(browser, unit: str, times: int, how: str) -> None:
    async with (
        Stalls() as stalls,
        browser.request("POST", f"bomb?times={times}{how}", data=unit.encode()) as answer,
    ):
        length = 0
        async for chunk in answer.content.iter_any():
            length += len(chunk)
    assert length >= len(unit) * times
    assert stalls.longest < STALL_SECONDS


@pytest.mark.slow
async def test_a_compressed_bomb_waits_for_its_reader_and_ends_with_it(browser) -> None:
    import psutil

    process = psutil.Process()
    before = process.memory_info().rss
    unit = b"<a>" * 2**16
    async with browser.request(
        "POST", f"bomb?times={2**11}&gzip", data=unit
    ) as answer:  # 400 MB, of 400 KB
        await answer.content.readany()
        async with timeout(20):
            while _exchanges() and answer.content.total_bytes < 2**20:
                await answer.content.readany()
        await asyncio.sleep(0.5)  # what could pile up has time to
        assert process.memory_info().rss - before < 60 * 2**20
        assert _exchanges()
        answer.close()

    async def ended() -> bool:
        return not _exchanges()

    await until(ended, "the end of the exchange", 20)


def _exchanges() -> list[str]:
    return [
        task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("connect ")
    ]
