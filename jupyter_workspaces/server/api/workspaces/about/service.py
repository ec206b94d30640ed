"""Reads facts about the server and its cluster."""

from __future__ import annotations

from jupyter_workspaces.kube.catalog import SELF_SUBJECT_REVIEWS
from jupyter_workspaces.kube.errors import ClusterError, Unreachable
from jupyter_workspaces.kube.reflector import key_of
from jupyter_workspaces.server.cache import Cache

from . import models, views


class About:
    """The server and its cluster.

    `user` is the server's user in the cluster; None if the cluster does not report it.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.user: str | None = None

    def namespaces(self) -> list[models.Namespace]:
        """Return all namespaces by name."""
        return [
            views.namespace(found) for found in sorted(self._cache.namespaces.items(), key=key_of)
        ]

    async def identify(self) -> None:
        """Ask the cluster for the server's user, which some clusters do not report."""
        body = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind}
        try:
            answer = await self._cache.cluster.raw("POST", SELF_SUBJECT_REVIEWS.path(), body=body)
        except ClusterError:
            return
        self.user = ((answer.get("status") or {}).get("userInfo") or {}).get("username")

    async def cluster(self) -> models.ClusterInfo:
        """Return which cluster this is. Raises `ClusterError` if it does not answer."""
        try:
            version = (await self._cache.cluster.raw("GET", "/version")).get("gitVersion", "")
        except Unreachable:
            raise
        except ClusterError:
            version = ""  # some clusters hide it
        return views.cluster(self._cache.endpoint, self.user or "", version)
