"""port-forward over channels: one connection for each port that the request names, ended together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from jupyter_workspaces.localkube.apiserver.http.first import first_of
from jupyter_workspaces.localkube.apiserver.http.status import bad_request

from . import (
    channels,
    containers,
    spdy_channels,
    tunnel,
)
from .channels import V4, V4_TEXT, Channels
from .programs import NotPossible, PodPrograms

Object = dict[str, Any]

PROTOCOLS = (V4, V4_TEXT, tunnel.PROTOCOL)
PIECE_BYTES = 32 * 1024
PORTS_AT_ONCE = 32


async def forward(
    request: web.Request, pod: Object, programs: PodPrograms | None
) -> web.StreamResponse:
    """One connection for each port, a pair of channels each: data and error, both begun by the port. Raises `Refusal`."""
    ports = _ports(request.query.getall("ports", []))
    node = containers.node_of(pod)
    bare = spdy_channels.is_wanted(request)
    protocol = None if bare else channels.negotiated(request, PROTOCOLS)
    if programs is None:
        raise containers.silent(node)
    if bare:
        return await tunnel.serve_bare(request, pod, programs)
    if protocol == tunnel.PROTOCOL:
        return await tunnel.serve(request, pod, programs)
    if not ports:
        raise bad_request('query parameter "ports" is required')
    client = Channels(request, protocol or V4)
    await client.open()
    with contextlib.suppress(ConnectionError):
        forwards = [_Forward(client, index * 2, port) for index, port in enumerate(ports)]
        for found in forwards:
            await found.announce()
        tasks = [asyncio.ensure_future(found.run(pod, programs)) for found in forwards]
        try:
            await first_of(_distribute(client, forwards), asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()
    return client.response


class _Forward:
    """One port's connection. `data` waits for whoever reads it: sixteen messages at most, then the client waits."""

    def __init__(self, client: Channels, channel: int, port: int) -> None:
        self._client, self._channel, self._port = client, channel, port
        self.data: asyncio.Queue[bytes] = asyncio.Queue(16)
        self.over = False

    async def announce(self) -> None:
        for channel in (self._channel, self._channel + 1):
            await self._client.send(channel, self._port.to_bytes(2, "little"))

    async def run(self, pod: Object, programs: PodPrograms) -> None:
        try:
            reader, writer = await programs.dial(pod, self._port)
        except (OSError, NotPossible) as error:
            metadata = pod["metadata"]
            text = f"error forwarding port {self._port} to pod {metadata['name']}, uid {metadata['uid']}: {error}"
            await self._client.send(self._channel + 1, text.encode())
        else:
            try:
                await first_of(self._outward(reader), self._inward(writer))
            except OSError as error:
                if isinstance(error, ConnectionResetError) and self._client.response.closed:
                    raise
            finally:
                writer.close()
        finally:
            self.over = True
            while not self.data.empty():
                self.data.get_nowait()

    async def _outward(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(PIECE_BYTES):
            await self._client.send(self._channel, data)

    async def _inward(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(await self.data.get())
            await writer.drain()


async def _distribute(client: Channels, forwards: Sequence[_Forward]) -> None:
    """Never returns but by `ConnectionResetError`."""
    while (message := await client.receive()) is not None:
        channel, data = message
        index, kind = divmod(channel, 2)
        if kind == 0 and index < len(forwards) and not forwards[index].over:
            await forwards[index].data.put(data)
    raise ConnectionResetError("the client has gone")


def _ports(given: Sequence[str]) -> list[int]:
    found = []
    for text in (text for entry in given for text in entry.split(",")):
        if not text.isascii() or not text.isdigit():
            raise bad_request(
                f'cannot convert to []int32: strconv.ParseUint: parsing "{text[:40]}": invalid syntax'
            )
        if not 0 < int(text[:9]) < 65536:
            raise bad_request(f"{text[:9]} is not a port: it must be between 1 and 65535")
        found.append(int(text))
    if len(found) > PORTS_AT_ONCE:
        raise bad_request(f"at most {PORTS_AT_ONCE} ports can be forwarded at once")
    return found
