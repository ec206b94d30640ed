"""The subresource portforward of pods, in both forms.

With channels, each requested port has one connection, and all end together (this module). kubectl
sends SPDY in the WebSocket instead (`tunnel`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from aiohttp import web

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.status import bad_request

from . import (
    channels,
    containers,
    tunnel,
)
from .channels import V4, V4_TEXT, Channels
from .first_completed import first_completed
from .programs import NotPossible, PodPrograms

PROTOCOLS = (V4, V4_TEXT, tunnel.PROTOCOL)
CHUNK_BYTES = 32 * 1024
MAX_PORTS = 32


async def forward(
    request: web.Request, pod: Object, programs: PodPrograms | None
) -> web.StreamResponse:
    """Forward ports of a pod until the client disconnects.

    With channels, each port has two: data and error. The first message of both is the port.

    Raises:
        Refusal: if the request is invalid or the node is not available.
    """
    ports = _ports(request.query.getall("ports", []))
    node = containers.node_name(pod)
    protocol = channels.negotiate(request, PROTOCOLS)
    if programs is None:
        raise containers.node_unavailable(node)
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
            await first_completed(_distribute(client, forwards), asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()
    return client.response


class _Forward:
    """The connection to one port. `data` queues at most 16 messages; then the client waits."""

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
            text = (
                f"error forwarding port {self._port} to pod {metadata['name']}, "
                f"uid {metadata['uid']}: {error}"
            )
            await self._client.send(self._channel + 1, text.encode())
        else:
            try:
                await first_completed(self._from_pod(reader), self._to_pod(writer))
            except OSError as error:
                if isinstance(error, ConnectionResetError) and self._client.response.closed:
                    raise
            finally:
                writer.close()
        finally:
            self.over = True
            while not self.data.empty():
                self.data.get_nowait()

    async def _from_pod(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._client.send(self._channel, data)

    async def _to_pod(self, writer: asyncio.StreamWriter) -> None:
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
    raise ConnectionResetError("the client has disconnected")


def _ports(given: Sequence[str]) -> list[int]:
    found = []
    for text in (text for entry in given for text in entry.split(",")):
        if not text.isascii() or not text.isdigit():
            raise bad_request(
                "cannot convert to []int32: strconv.ParseUint: "
                f'parsing "{text[:40]}": invalid syntax'
            )
        if not 0 < int(text[:9]) < 65536:
            raise bad_request(f"{text[:9]} is not a port: it must be between 1 and 65535")
        found.append(int(text))
    if len(found) > MAX_PORTS:
        raise bad_request(f"at most {MAX_PORTS} ports can be forwarded at once")
    return found
