"""Invalid or ambiguous HTTP is not forwarded: 400 for a request, 502 for a response."""

from __future__ import annotations

import base64
import hashlib
import json
import logging

import aiohttp
import pytest

from jupyter_workspaces.common.timeouts import timeout

from .raw_workspace import exchange, raw_workspace, statuses

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"


def response(status_line: str = "HTTP/1.1 200 OK", *headers: str, body: str = "ok") -> bytes:
    return "\r\n".join((status_line, *headers, "", body)).encode("latin-1")


def request(
    browser, lines: str, method: str = "GET", version: str = "1.1", body: str = ""
) -> bytes:
    signed = (
        f"Host: {browser.host}\r\nAuthorization: token {browser.token}\r\nConnection: close\r\n"
    )
    return (
        f"{method} {browser.url('x').raw_path} HTTP/{version}\r\n{signed}{lines}\r\n{body}".encode(
            "latin-1"
        )
    )


def no_faults(caplog) -> None:
    """No error was logged: invalid requests must not fill the log."""
    assert [
        record.exc_info
        for record in caplog.records
        if record.exc_info and record.levelno >= logging.WARNING
    ] == []


@pytest.mark.parametrize(
    "upgrade",
    ["", "Upgrade: x\r\nConnection: Upgrade\r\n", "Upgrade: h2c\r\nConnection: Upgrade\r\n"],
)
async def test_a_workspace_that_switches_protocols_gets_no_connection(
    browser, view, upgrade, caplog
):
    """A 101 could make a proxy in front forward the rest of the connection as a tunnel."""
    async with raw_workspace(view, SWITCH) as workspace:
        received = await exchange(browser.url().port, request(browser, upgrade), responses=1)
        await workspace.all_ended()

    assert statuses(received) == [502]
    assert b"switched protocols" in received
    assert b"upgrade" not in workspace.requests[0].lower()
    no_faults(caplog)


async def test_a_connection_that_switched_protocols_is_not_used_again(browser, view):
    async with raw_workspace(view, lambda _: SWITCH + OK) as workspace:
        for _ in range(3):
            async with browser.request("GET", "x") as answer:
                assert answer.status == 502
        assert workspace.connections == 3
        await workspace.all_ended()


@pytest.mark.parametrize(
    "answer",
    [
        response("HTTP/1.1 199 Odd", "Content-Length: 2"),
        response("HTTP/1.1 099 Odd", "Content-Length: 2"),
        response("HTTP/1.1 000 Odd", "Content-Length: 2"),
        response("HTTP/1.1 600 Odd", "Content-Length: 2"),
        response("HTTP/1.1 999 Odd", "Content-Length: 2"),
        response("HTTP/1.1 20 Odd", "Content-Length: 2"),
        response("HTTP/2.0 200 OK", "Content-Length: 2"),
        response("hello"),
        response("HTTP/1.1 200 O\rK", "Content-Length: 2"),
        response("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 2"),
        response("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3"),
        response("HTTP/1.1 200 OK", "Content-Length: 2, 2"),
        response("HTTP/1.1 200 OK", "Content-Length: +2"),
        response("HTTP/1.1 200 OK", "Content-Length: -2"),
        response("HTTP/1.1 200 OK", f"Content-Length: {2**63}"),
        response("HTTP/1.1 200 OK", f"Content-Length: {'9' * 5000}"),
        response(
            "HTTP/1.1 200 OK",
            "Content-Length: 2",
            "Transfer-Encoding: chunked",
            body="2\r\nok\r\n0\r\n\r\n",
        ),
        response(
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: chunked",
            "Content-Length: 2",
            body="2\r\nok\r\n0\r\n\r\n",
        ),
        response(
            "HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked", body="2\r\nok\r\n0\r\n\r\n"
        ),
        response(
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: chunked",
            body="2\r\nok\r\n0\r\n\r\n",
        ),
        response("HTTP/1.1 200 OK", "Transfer-Encoding: xchunked"),
        response("HTTP/1.0 200 OK", "Transfer-Encoding: chunked", body="2\r\nok\r\n0\r\n\r\n"),
        response("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body="zz\r\nok\r\n0\r\n\r\n"),
        response("HTTP/1.1 200 OK", "X-A: b\0c", "Content-Length: 2"),
        response("HTTP/1.1 200 OK", "X-A: b\rX-C: d", "Content-Length: 2"),
        response("HTTP/1.1 200 OK", "X-A : b", "Content-Length: 2"),
        response("HTTP/1.1 200 OK", "X(A): b", "Content-Length: 2"),
        response("HTTP/1.1 200 OK", "no colon", "Content-Length: 2"),
        response("HTTP/1.1 302 Found", "Location: /a", "Location: /b", "Content-Length: 2"),
        response(
            "HTTP/1.1 200 OK",
            "Content-Type: text/plain",
            "Content-Type: text/html",
            "Content-Length: 2",
        ),
    ],
)
async def test_a_response_that_is_no_http_or_contradicts_itself_is_a_502(
    browser, view, answer, caplog
):
    async with raw_workspace(view, answer, closes=True), browser.request("GET", "x") as refusal:
        assert refusal.status == 502
        assert json.loads(await refusal.read())["reason"] in ("BadResponse", "BrokenOff")
    no_faults(caplog)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, "OK"),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nSet-Cookie: early=1; Path=/\r\n\r\n" + OK,
            200,
            "OK",
        ),
        (OK.replace(b"\r\n", b"\n"), 200, "OK"),
        (
            response("HTTP/1.1 200 OK", "X-Folded: a", " X-Injected: b", "Content-Length: 2"),
            200,
            "OK",
        ),
        (response("HTTP/1.1 200", "Content-Length: 2"), 200, "OK"),
        (response("HTTP/1.1 200 O\0K<script>", "Content-Length: 2"), 200, "OK"),
        (response("HTTP/1.1 207 Gr\xfc\xdf", "Content-Length: 2"), 207, "Multi-Status"),
        (response("HTTP/1.1 418 I am a teapot", "Content-Length: 2"), 418, "I am a teapot"),
        (response("HTTP/1.0 200 OK"), 200, "OK"),
        (
            response(
                "HTTP/1.1 200 OK",
                "Transfer-Encoding: chunked",
                "Trailer: Set-Cookie",
                body="2\r\nok\r\n0\r\nSet-Cookie: a=1\r\n\r\n",
            ),
            200,
            "OK",
        ),
    ],
)
async def test_what_only_concerns_the_hop_ends_here(browser, view, answer, status, reason, caplog):
    async with raw_workspace(view, answer, closes=True), browser.request("GET", "x") as passed:
        assert (passed.status, passed.reason, await passed.read()) == (status, reason, b"ok")
        for name in ("Link", "Trailer", "X-Injected", "Upgrade"):
            assert name not in passed.headers
        assert [
            line for line in passed.headers.getall("Set-Cookie") if not line.startswith("username-")
        ] == []
    no_faults(caplog)


@pytest.mark.parametrize(
    ("status", "length"),
    [
        ("204 No Content", "2"),
        ("204 No Content", "0"),
        ("304 Not Modified", "2"),
        ("304 Not Modified", "99"),
    ],
)
async def test_a_status_without_a_body_has_none_whatever_its_length_says(
    browser, view, status, length, caplog
):
    """The bytes after it must not be read as the next response."""
    async with raw_workspace(
        view, response(f"HTTP/1.1 {status}", f"Content-Length: {length}", body="")
    ):
        sent = request(browser, "").replace(b"Connection: close\r\n", b"")
        received = await exchange(
            browser.url().port, sent + request(browser, "", method="OPTIONS"), responses=2
        )
    assert statuses(received) == [int(status[:3])] * 2
    assert b"content-length" not in received.lower() or status.startswith("304")
    no_faults(caplog)


async def test_bytes_after_a_response_are_not_the_answer_to_the_next_request(browser, view):
    async with raw_workspace(view, OK + OK.replace(b"ok", b"no")) as workspace:
        for _ in range(3):
            async with browser.request("GET", "x") as answer:
                assert await answer.read() == b"ok"
        assert workspace.connections == 3


async def test_headers_that_connection_names_go_no_further_in_either_direction(browser, view):
    answer = response(
        "HTTP/1.1 200 OK",
        "Connection: keep-alive, X-Hop ,Set-Cookie",
        "X-Hop: 1",
        "X-Own: 1",
        "Set-Cookie: a=1",
        "Content-Length: 2",
    )
    async with raw_workspace(view, answer) as workspace:
        lines = (
            "Connection: X-Secret, TE\r\nX-Secret: 1\r\nX-Own: 1\r\nTE: trailers\r\n"
            "Keep-Alive: timeout=5\r\nProxy-Connection: x\r\n"
        )
        received = await exchange(browser.url().port, request(browser, lines), responses=1)

    names = {line.partition(b":")[0].lower() for line in workspace.requests[0].split(b"\r\n")}
    assert b"x-own" in names
    assert names & {b"x-secret", b"te", b"keep-alive", b"proxy-connection", b"connection"} == set()
    assert b"X-Own: 1" in received
    assert b"X-Hop" not in received
    assert b"Set-Cookie: a=1" not in received


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 0x5\r\n",
        f"Content-Length: {'9' * 5000}\r\n",
        f"Content-Length: {2**63}\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "X-A: b\0c\r\n",
        "X-A: b\rX-B: c\r\n",
        "X A: b\r\n",
        "Host: other.example\r\n",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_contradicts_itself_is_refused_and_never_passed_on(
    browser, view, lines, method, caplog
):
    async with raw_workspace(view, OK) as workspace:
        received = await exchange(browser.url().port, request(browser, lines, method, body="hello"))
    assert set(statuses(received)) == {400}
    assert workspace.requests == []
    no_faults(caplog)


async def test_chunks_from_http_1_0_are_refused(browser, view):
    async with raw_workspace(view, OK) as workspace:
        lines = "Transfer-Encoding: chunked\r\n"
        received = await exchange(
            browser.url().port, request(browser, lines, "POST", "1.0", "0\r\n\r\n")
        )
    assert set(statuses(received)) == {400}
    assert workspace.requests == []


@pytest.mark.parametrize(
    "lines",
    [
        "Origin: http://[\r\n",
        "Referer: http://[\r\n",
        "Referer: http://HOST/PATH/\xe2\x98\x83\r\n",
        "Cookie: a=\xe2\x98\x83; \xff=\xfe; _xsrf=2|x|y|z\r\n",
        "X-XSRFToken: \xff\r\n",
        "Connection: \xff,,host,content-length,cookie\r\n",
        "Expect: nothing\r\n",
        "Accept: \xff;q=x,,;\r\nAccept-Encoding: ;;q=\xff\r\n",
        "Content-Type: multipart/form-data; boundary=\r\n",
        "Sec-Fetch-Site: \xff\r\n",
        "X-Forwarded-For: \xff, ::::\r\nX-Scheme: odd\r\n",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_odd_values_are_no_fault_of_the_server(browser, view, lines, method, caplog):
    lines = lines.replace("HOST", browser.host).replace("/PATH", browser.url().raw_path)
    inside = browser.url("x").raw_path.encode()
    for path in (inside, inside.replace(b"/connect/", b"/status/").removesuffix(b"/x")):
        async with raw_workspace(view, OK):
            sent = request(browser, lines, method).replace(inside, path, 1)
            received = await exchange(browser.url().port, sent, responses=1)
        assert len(statuses(received)) == 1
        assert statuses(received)[0] < 500
    no_faults(caplog)


@pytest.mark.parametrize("query", ["?token=%FF", "?_xsrf=%FF&a=\xff", "?\xff&[&%zz"])
async def test_a_query_that_is_no_text_is_no_fault_of_the_server(browser, view, query, caplog):
    async with raw_workspace(view, OK):
        sent = request(browser, "").replace(b"/x HTTP", f"/x{query} HTTP".encode("latin-1"))
        received = await exchange(browser.url().port, sent)
    assert statuses(received)[0] in (200, 400)
    no_faults(caplog)


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "PROPFIND", "get", "PRI"])
async def test_methods_that_are_not_passed_on_are_refused(browser, view, method, caplog):
    async with raw_workspace(view, OK) as workspace:
        received = await exchange(browser.url().port, request(browser, "", method))
    assert statuses(received) == [405]
    assert workspace.requests == []
    no_faults(caplog)


@pytest.mark.parametrize(
    "target",
    ["http://{host}{path}", "http://evil.example{path}", "*", "{host}", "//evil.example{path}"],
)
async def test_a_target_in_another_form_reaches_no_workspace(browser, view, target):
    async with raw_workspace(view, OK) as workspace:
        path = browser.url("x").raw_path
        sent = request(browser, "").replace(
            path.encode(), target.format(host=browser.host, path=path).encode(), 1
        )
        received = await exchange(browser.url().port, sent)
    assert 400 <= statuses(received)[0] < 500
    assert workspace.requests == []


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        (f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{KEY}", "1.1"),
        (
            f"Upgrade: websocket, h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}",
            "1.1",
        ),
        (f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}", "1.0"),
        (
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            "HTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            "1.1",
        ),
    ],
)
async def test_what_is_no_websocket_handshake_is_an_ordinary_request(browser, view, lines, version):
    async with raw_workspace(view, OK) as workspace:
        received = await exchange(
            browser.url().port, request(browser, lines, version=version), responses=1
        )
    assert statuses(received) == [200]
    assert b"upgrade:" not in workspace.requests[0].lower()
    assert b"sec-websocket" not in workspace.requests[0].lower()


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (KEY, 426),
        (f"Sec-WebSocket-Version: 8\r\n{KEY}", 426),
        ("Sec-WebSocket-Version: 13\r\n", 400),
        ("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", 400),
        ("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\r\n", 400),
        (f"Sec-WebSocket-Version: 13\r\n{KEY}Sec-WebSocket-Protocol: a b\r\n", 400),
    ],
)
async def test_a_faulty_websocket_handshake_is_refused_before_the_workspace_is_asked(
    browser, view, lines, status, caplog
):
    async with raw_workspace(view, OK) as workspace:
        received = await exchange(
            browser.url().port,
            request(browser, f"Upgrade: WebSocket\r\nConnection: upgrade\r\n{lines}"),
            responses=1,
        )
    assert statuses(received) == [status]
    assert workspace.requests == []
    no_faults(caplog)


def handshake(*headers: str, without: str = "", status: str = "101 Switching Protocols"):
    """Return a response to a WebSocket handshake, with more headers or without one of them."""

    def answer(received: bytes) -> bytes:
        key = next(
            line.partition(b":")[2].strip()
            for line in received.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        )
        accept = base64.b64encode(
            hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        ).decode()
        right = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}
        lines = [f"{name}: {value}" for name, value in right.items() if name != without]
        return response(f"HTTP/1.1 {status}", *lines, *headers, body="")

    return answer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (handshake(without="Upgrade"), 502),
        (handshake(without="Connection"), 502),
        (handshake(without="Sec-WebSocket-Accept"), 502),
        (handshake("Upgrade: x", without="Upgrade"), 502),
        (handshake("Sec-WebSocket-Accept: bm90IHRoZSBrZXk=", without="Sec-WebSocket-Accept"), 502),
        (handshake("Sec-WebSocket-Protocol: never-offered"), 502),
        (handshake("Sec-WebSocket-Protocol: one", "Sec-WebSocket-Protocol: two"), 502),
        (handshake("Sec-WebSocket-Extensions: permessage-deflate"), 502),
        (handshake(status="200 OK"), 502),
        (handshake(status="999 Odd"), 502),
        (handshake("X-A : b"), 502),
        (lambda _: b"no HTTP at all\r\n\r\n", 502),
        (lambda _: SWITCH, 502),
        (handshake("Content-Length: 0", status="404 Not Found"), 404),
    ],
)
async def test_a_websocket_opens_only_after_a_right_handshake_with_the_workspace(
    browser, view, answer, status, caplog
):
    async with raw_workspace(view, answer) as workspace:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.socket(
                protocols=("one", "two"),
                headers={**browser.signed, "Sec-WebSocket-Extensions": "permessage-deflate"},
            )
        assert refused.value.status == status
        await workspace.all_ended()
    no_faults(caplog)


@pytest.mark.slow
async def test_a_right_handshake_opens_the_websocket(browser, view):
    async with (
        raw_workspace(view, handshake("Sec-WebSocket-Protocol: two")),
        browser.socket(protocols=("one", "two")) as socket,
    ):
        assert socket.protocol == "two"
        async with timeout(
            30
        ):  # the raw workspace does not answer the close frame, which is waited for
            await socket.close()
