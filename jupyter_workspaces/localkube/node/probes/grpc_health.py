"""Probes of the type `grpc`: one call of `grpc.health.v1.Health/Check`.

Sources: gRPC docs, “Health Checking”; RFC 9113 (HTTP/2); RFC 7541 (HPACK). There is no gRPC library
because call and answer are a dozen HTTP/2 frames without TLS.
"""

from __future__ import annotations

import asyncio
import struct

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.peers import FOREIGN, ForeignListener, open_connection

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8
_STREAM = 1
_SERVING = 1
_FRAME_BYTES, _MOST_BYTES = 2**14, 2**20
_STATES = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


async def ask(host: str, port: int, service: str, seconds: float) -> str | None:
    """Return None if a gRPC health service is serving, otherwise what is wrong."""
    try:
        async with timeout(seconds):
            reader, writer = await open_connection(host, port)
            try:
                writer.write(_request(f"{host}:{port}", service))
                await writer.drain()
                message = await _answer(reader, writer)
            finally:
                writer.close()
    except ForeignListener:
        return FOREIGN
    except asyncio.TimeoutError:
        return f"no answer from the gRPC health service within {seconds:g} s at {host}:{port}"
    except asyncio.IncompleteReadError:
        return f"the program at {host}:{port} closed the connection of a gRPC probe"
    except OSError as error:
        return str(error)[:300] or type(error).__name__
    if message is None:
        return f"the program at {host}:{port} has no gRPC health service" + (
            f" {service}" if service else ""
        )
    state = _state(message)
    return (
        None
        if state == _SERVING
        else f"the gRPC health service reports {_STATES.get(state, str(state))}"
    )


def _request(authority: str, service: str) -> bytes:
    name = service.encode()
    message = (b"\x0a" + _varint(len(name)) + name) if name else b""
    headers = (
        # The first two are of HPACK's static table: `:method: POST`, `:scheme: http`.
        b"\x83\x86"
        + _header(":path", "/grpc.health.v1.Health/Check")
        + _header(":authority", authority)
        + _header("content-type", "application/grpc")
        + _header("te", "trailers")
        + _header("user-agent", "jupyter-workspaces")
    )
    body = b"\x00" + struct.pack(">I", len(message)) + message
    return (
        _PREFACE
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, _STREAM, headers)
        + _frame(_DATA, _END_STREAM, _STREAM, body)
    )


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
    """Return the response's message, None if there is none."""
    body = b""
    while len(body) < _MOST_BYTES:
        head = await reader.readexactly(9)
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        if length > _FRAME_BYTES:
            raise ConnectionError("the program at that port does not speak gRPC")
        payload = await reader.readexactly(length)
        if kind == _SETTINGS and not flags & _ACK:
            writer.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            writer.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY or (kind == _RESET and stream == _STREAM):
            return None
        elif kind == _DATA and stream == _STREAM:
            body += payload[1 : length - payload[0]] if flags & _PADDED else payload
        if stream == _STREAM and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            break
    return body[5:] if len(body) >= 5 else None


def _state(message: bytes) -> int:
    """Return the field `status` of a HealthCheckResponse; protobuf leaves out a zero."""
    return message[1] if message[:1] == b"\x08" and len(message) > 1 else 0


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    )


def _header(name: str, value: str) -> bytes:
    """Encode a literal header field without indexing."""
    return b"\x00" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) >= 127:  # one byte of length is enough for all but very long hosts and services
        return b"\x7f" + _varint(len(data) - 127) + data
    return bytes((len(data),)) + data


def _varint(number: int) -> bytes:
    found = b""
    while number >= 0x80:
        found += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return found + bytes((number,))
