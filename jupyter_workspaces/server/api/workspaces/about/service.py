"""What can be asked about the server and its cluster. Knows no HTTP."""

from __future__ import annotations

from jupyter_workspaces.kube.catalog import SELF_SUBJECT_REVIEWS
from jupyter_workspaces.kube.errors import ClusterError, Unreachable
from jupyter_workspaces.kube.reflector import key_of
from jupyter_workspaces.server.cache import Cache

from . import models, views


class About:
    """The server and its cluster. `user` is who the cluster takes us for; it names nobody on a token server's own account."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.user: str | None = None

    def namespaces(self) -> list[models.Namespace]:
        """By name."""
        return [
            views.namespace(found) for found in sorted(self._cache.namespaces.items(), key=key_of)
        ]

    async def identify(self) -> None:
        """Learn our own name once. A cluster too old to tell, or one that will not, leaves it unknown."""
        body = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind}
        try:
            answer = await self._cache.cluster.raw("POST", SELF_SUBJECT_REVIEWS.path(), body=body)
        except ClusterError:
            return
        self.user = ((answer.get("status") or {}).get("userInfo") or {}).get("username")

    async def cluster(self) -> models.ClusterInfo:
        """Raises `ClusterError` when the cluster does not answer."""
        try:
            version = (await self._cache.cluster.raw("GET", "/version")).get("gitVersion", "")
        except Unreachable:
            raise
        except ClusterError:
            version = ""  # some clusters hide it
        return views.cluster(self._cache.endpoint, self.user or "", version)
