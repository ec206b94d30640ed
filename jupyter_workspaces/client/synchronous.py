"""The blocking client, for cells and scripts."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Collection, Mapping

from . import portal, spawning
from .arguments import checked
from .asynchronous import (
    AsyncClient,
    Names,
    Object,
    Objects,
)
from .errors import WorkspaceError
from .kinds import (
    Kind,
    choose,
    closest,
    from_item,
)
from .lists import KindList, WorkspaceList
from .spawning import Mounts, SpawnRequest
from .workspace import REQUEST_LIMIT, Workspace

CONNECT_LIMIT = 60.0
Kinds = list[Kind]  # `list` is a method below

_open: set[AsyncClient] = set()  # clients to close when Python exits


class Client:
    """Client of one server. All methods may raise `WorkspaceError`.

    Without `url` the server is discovered: JUPYTER_WORKSPACES_URL, the Jupyter server of this
    kernel, JupyterHub, else a shared local server, which is started on demand.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        namespace: str | None = None,
        start: bool = True,
    ) -> None:
        """Create a client; it connects on the first request.

        Args:
            url: Address of the server; by default it is discovered.
            token: Token for it; by default JUPYTER_WORKSPACES_TOKEN.
            namespace: Default namespace; by default JUPYTER_WORKSPACES_NAMESPACE, else the
                server's own.
            start: Whether to start a local server if none is found.
        """
        self.asynchronous = AsyncClient(url, token, namespace=namespace, start=start)
        _close_at_exit(self.asynchronous)

    def __repr__(self) -> str:
        """Return the class name and the server's address."""
        return repr(self.asynchronous).replace("AsyncClient", "Client", 1)

    def __enter__(self) -> Client:
        """Return the client; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        _open.discard(self.asynchronous)
        portal.ask(self.asynchronous.close(), REQUEST_LIMIT)

    @property
    def namespace(self) -> str:
        """Default namespace, as given, else that of the server's credentials."""
        return self.asynchronous.namespace or portal.ask(
            self.asynchronous.usual_namespace(), CONNECT_LIMIT
        )

    @property
    def url(self) -> str:
        """Base URL of the server. Discovers or starts it if needed."""
        return portal.ask(self.asynchronous.connect(), CONNECT_LIMIT).root

    def cluster(self) -> Object:
        """Return the cluster's name, embedded, user, namespace and version."""
        return portal.ask(self.asynchronous.cluster(), CONNECT_LIMIT)

    def namespaces(self) -> Names:
        """Return the names of the namespaces."""
        return portal.ask(self.asynchronous.namespaces(), CONNECT_LIMIT)

    def kinds(self) -> KindList:
        """Return the workspace kinds, without hidden ones."""
        return KindList(kind for kind in self._kinds() if not kind.hidden)

    @checked
    def list(self, namespace: str | None = None) -> WorkspaceList:
        """Return the workspaces of a namespace; by default your own, `"*"` for all.

        Raises `WorkspaceError` 404 if the namespace does not exist.
        """
        items = portal.ask(self.asynchronous.list(namespace), CONNECT_LIMIT)
        if not items:
            self._check(namespace)
        where = "all namespaces" if namespace == "*" else namespace or self.namespace
        return WorkspaceList(
            (Workspace(self.asynchronous, item) for item in items), where, self._volumes
        )

    @checked
    def get(self, name: str, namespace: str | None = None) -> Workspace:
        """Return a workspace by name. Raises `WorkspaceError` 404 if it does not exist."""
        return Workspace(
            self.asynchronous,
            portal.ask(self.asynchronous.get(namespace or self.namespace, name), CONNECT_LIMIT),
        )

    @checked
    def claims(self, namespace: str | None = None) -> Objects:
        """Return the volumes of a namespace, with the workspaces that use them.

        Raises `WorkspaceError` 404 if the namespace does not exist.
        """
        found = portal.ask(self.asynchronous.claims(namespace), CONNECT_LIMIT)
        if not found:
            self._check(namespace)
        return found

    @checked
    def create_claim(self, name: str, size: str = "1Gi", namespace: str | None = None) -> None:
        """Create a volume. `size` is a Kubernetes quantity, such as `10Gi`."""
        portal.ask(
            self.asynchronous.create_claim(namespace or self.namespace, name, size), CONNECT_LIMIT
        )

    @checked
    def delete_claim(self, name: str, namespace: str | None = None) -> None:
        """Delete a volume and its files. Raises `WorkspaceError` 409 if a workspace mounts it."""
        for claim in self.claims(namespace):
            if claim["name"] == name and (
                users := [str(user["name"]) for user in claim.get("workspaces") or ()]
            ):
                text = f"Volume '{name}' is used by {', '.join(users)}."
                raise WorkspaceError(
                    text, "Delete that workspace first, or remove the volume from it.", status=409
                )
        portal.ask(self.asynchronous.delete_claim(namespace or self.namespace, name), CONNECT_LIMIT)

    @checked
    def spawn(
        self,
        kind: str,
        name: str | None = None,
        image: str | None = None,
        size: str | None = None,
        home: str | None = None,
        data: Mounts | None = None,
        *,
        read_only: Collection[str] = (),
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        paused: bool = False,
        wait: bool = False,
    ) -> Workspace:
        """Create and start a workspace. `wait=True`, or `ws.wait()`, waits until it runs.

        Args:
            kind: Name or title of a workspace kind; `jw.kinds()` lists them.
            name: Name of the workspace; by default a free name is chosen.
            image: Id or title of an image of the kind; by default the kind's.
            size: Id or title of a size of the kind; by default the kind's.
            home: Name of the volume for its files; by default `home-<name>`, which is created
                (10 GiB) if it does not exist, and deleted again if the create fails; `""` for none.
            data: Volumes and mount paths: `{"sales": "/data/sales"}`, or
                `{"sales": ("/data/sales", "ro")}` for read-only. A relative path is relative to
                the home.
            read_only: Names of volumes in `data` to mount read-only.
            labels: Labels for the pod.
            namespace: Namespace of the workspace; by default the client's.
            paused: Create it without starting it.
            wait: Wait until it runs.

        Returns:
            The new workspace.

        Raises:
            WorkspaceError: The create failed, or the kind, image, size or volume does not exist
                (404).

        Example:
            >>> jw.spawn("jupyterlab", name="fraud-model", image="SciPy 1.9", size="Small")
        """
        chosen = choose(self._kinds(), kind)
        request = SpawnRequest(
            kind=chosen,
            image=chosen.image(image).id,
            size=chosen.size(size).id,
            name=name,
            home=home,
            data=data or {},
            read_only=read_only,
            labels=labels or {},
            paused=paused,
        )
        made = Workspace(
            self.asynchronous,
            portal.ask(
                spawning.spawn(self.asynchronous, namespace or self.namespace, request),
                CONNECT_LIMIT,
            ),
        )
        return made.wait() if wait and not paused else made

    def _check(self, namespace: str | None) -> None:
        """Raise `WorkspaceError` 404 if the namespace does not exist.

        An empty list does not show that. Without permission to list namespaces, does nothing.
        """
        if namespace == "*":
            return
        asked = namespace or self.namespace
        try:
            known = self.namespaces()
        except WorkspaceError as error:
            if error.status in (401, 403, 404):
                return
            raise
        if asked not in known:
            text = f"Namespace '{asked}' not found."
            raise WorkspaceError(
                text,
                f"Available: {', '.join(known) or 'none'}.{closest(asked, known)}",
                {"namespace": text},
                404,
            )

    def _volumes(self, namespace: str) -> dict[str, Names]:
        """Return the claims of each workspace, by its name. Raises `WorkspaceError`."""
        found: dict[str, Names] = {}
        for claim in portal.ask(self.asynchronous.claims(namespace), CONNECT_LIMIT):
            for user in claim.get("workspaces") or ():
                found.setdefault(str(user["name"]), []).append(str(claim["name"]))
        return found

    def _kinds(self) -> Kinds:
        return [from_item(item) for item in portal.ask(self.asynchronous.kinds(), CONNECT_LIMIT)]


@functools.cache
def _at_exit() -> None:
    portal.loop()  # registers its own exit handler first, so that it runs after `_close_all`
    atexit.register(_close_all)


def _close_at_exit(client: AsyncClient) -> None:
    _at_exit()
    _open.add(client)


def _close_all() -> None:
    for client in tuple(_open):
        portal.run(client.close(), REQUEST_LIMIT)
