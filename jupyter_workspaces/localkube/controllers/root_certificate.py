"""The ConfigMap `kube-root-ca.crt` in each namespace, by which pods verify the API server."""

from __future__ import annotations

from jupyter_workspaces.kube.catalog import CONFIG_MAPS, NAMESPACES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import AlreadyExists, Forbidden, NotFound
from jupyter_workspaces.kube.reflector import Key, Reflector, key_of
from jupyter_workspaces.kube.work_queue import WorkQueue

from .informers import Informers, wait_listed

NAME = "kube-root-ca.crt"


class RootCertificates:
    """The controller that keeps the authority's certificate in every namespace."""

    def __init__(self, cluster: Cluster, informers: Informers, authority: str) -> None:
        """Create the controller for the certificate `authority` (PEM); `run` starts it."""
        self._cluster = cluster
        self._data = {"ca.crt": authority}
        self._namespaces = informers.of(NAMESPACES)
        self._maps = Reflector(cluster, CONFIG_MAPS, field_selector=f"metadata.name={NAME}")
        self._queue: WorkQueue[Key] = WorkQueue("root certificates")

    async def run(self) -> None:
        """Run until cancelled."""
        unsubscribe = (
            self._namespaces.listen(lambda change, obj, previous: self._queue.add(key_of(obj))),
            self._maps.listen(
                lambda change, obj, previous: self._queue.add(("", obj["metadata"]["namespace"]))
            ),
        )
        self._maps.start()
        try:
            await wait_listed(self._namespaces, self._maps)
            for namespace in self._namespaces.items():
                self._queue.add(key_of(namespace))
            await self._queue.run(self._reconcile, workers=1)
        finally:
            for stop in unsubscribe:
                stop()
            await self._maps.stop()

    async def _reconcile(self, key: Key) -> float | None:
        namespace = self._namespaces.get(key[1])
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return None
        held = self._maps.get(NAME, key[1])
        try:
            if held is None:
                manifest = {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": NAME},
                    "data": self._data,
                }
                self._maps.apply(await self._cluster.create(CONFIG_MAPS, manifest, key[1]))
            elif held.get("data") != self._data:
                self._maps.apply(
                    await self._cluster.replace(CONFIG_MAPS, {**held, "data": self._data})
                )
        except (AlreadyExists, Forbidden, NotFound):
            return None  # created meanwhile, or the namespace is being deleted
        return None
