"""Live changes of workspaces and workspace kinds."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.http.event_feed import EventFeed

from .kinds.service import Kinds
from .workspaces.service import Workspaces

WORKSPACE, WORKSPACE_KIND = "workspace", "workspacekind"


class Feed(EventFeed):
    """Publishes changes of workspaces and kinds as the API shows them.

    A changed kind also changes its workspaces: they show its display name, icon and options.
    """

    def __init__(
        self,
        cache: Cache,
        workspaces: Workspaces,
        kinds: Kinds,
        publish: Callable[[Object], None] | None = None,
    ) -> None:
        super().__init__(cache, publish)
        self._cache, self._workspaces, self._kinds = cache, workspaces, kinds
        self._unsubscribe = [
            cache.workspaces.listen(self._workspace_changed),
            cache.kinds.listen(self._kind_changed),
        ]

    async def stop(self) -> None:
        """Stop publishing and close all streams."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        await super().stop()

    def snapshot(self, namespace: str | None, cluster_scoped: bool) -> bytes:
        """Encode all workspaces of a namespace, and all kinds."""
        workspaces = b",".join(self._workspaces.list(namespace))
        kinds = msgspec.json.encode(self._kinds.list() if cluster_scoped else [])
        return b'{"workspaces":[' + workspaces + b'],"workspaceKinds":' + kinds + b"}"

    def encode(self, kind: str, obj: Object) -> bytes:
        """Encode a workspace or a kind."""
        if kind == WORKSPACE:
            return self._workspaces.encoded(obj)
        return msgspec.json.encode(self._kinds.item(obj))

    def _workspace_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        self.mark(WORKSPACE, change, obj)

    def _kind_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        self.mark(WORKSPACE_KIND, change, obj)
        if (
            previous is not None
            and change == "MODIFIED"
            and previous["metadata"].get("generation") == obj["metadata"].get("generation")
        ):
            return  # only its counts changed, which workspaces do not show
        for workspace in self._cache.workspaces.items():
            spec = workspace.get("spec")
            if isinstance(spec, dict) and spec.get("kind") == obj["metadata"]["name"]:
                self.mark(WORKSPACE, "MODIFIED", workspace)
