"""Transports are closed without an error, in any state."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.common.transports import abort, unsent_bytes
from jupyter_workspaces.localkube import certificates
from jupyter_workspaces.localkube.directory import Directory

LIMIT_SECONDS = 10


@pytest.mark.parametrize("tls", [False, True], ids=["TCP", "TLS"])
@pytest.mark.parametrize("closed", [0, 1, 2])
async def test_a_transport_is_aborted_however_often_it_was_closed(
    tmp_path: Path, tls: bool, closed: int
) -> None:
    directory = Directory(tmp_path)
    certificates.ensure(directory)
    ended = asyncio.Event()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.transport.abort()

    server = await asyncio.start_server(
        read_late, "127.0.0.1", 0, ssl=certificates.server_context(directory) if tls else None
    )
    trust = ssl.create_default_context(cafile=str(directory.authority)) if tls else None
    async with server, timeout(LIMIT_SECONDS):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", server.sockets[0].getsockname()[1], ssl=trust
        )
        writer.write(bytes(2**24))  # more than the system's buffers take
        assert tls or unsent_bytes(writer.transport) > 0
        for _ in range(closed):
            writer.transport.close()

        abort(writer.transport)
        abort(writer.transport)

        assert writer.transport.is_closing()
        unsent_bytes(writer.transport)
        ended.set()
