"""Connections to workspaces that can be dialled from here: on this computer only to our own user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_workspaces.kube.peer_connector import ForeignListenerError, PeerConnector
from jupyter_workspaces.server.proxy.target import foreign_listener

from .port_forward import NoWay

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.client_proto import ResponseHandler


class WorkspaceConnector(PeerConnector):
    """Refuses another user's program in words for the person who opens the workspace."""

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Raises `NoWay`."""
        try:
            return await super()._create_connection(req, traces, timeout)
        except ForeignListenerError as error:
            raise NoWay(foreign_listener()) from error
