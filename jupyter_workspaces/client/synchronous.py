"""The client for cells and scripts: it waits for each answer."""

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
from .spawning import Mounts, Wish
from .workspace import REQUEST_LIMIT, Workspace

CONNECT_LIMIT = 60.0
Kinds = list[Kind]  # `list` is a method below

_open: set[AsyncClient] = (
    set()
)  # until they are closed: Python's end must not meet open connections


class Client:
    """One server, asked from cells and scripts. Everything may raise `WorkspaceError`.

    Without `url` the server is found: JUPYTER_WORKSPACES_URL, JupyterHub, the Jupyter server of this kernel, else a local one is started.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        namespace: str | None = None,
        start: bool = True,
    ) -> None:
        self.asynchronous = AsyncClient(url, token, namespace=namespace, start=start)
        _close_at_exit(self.asynchronous)

    def __repr__(self) -> str:
        return repr(self.asynchronous).replace("AsyncClient", "Client", 1)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of its connections; the next request opens new ones."""
        _open.discard(self.asynchronous)
        portal.ask(self.asynchronous.close(), REQUEST_LIMIT)

    @property
    def namespace(self) -> str:
        """The usual one: as given, else the one that the server's credentials are for."""
        return self.asynchronous.namespace or portal.ask(
            self.asynchronous.usual_namespace(), CONNECT_LIMIT
        )

    @property
    def url(self) -> str:
        """Where the server stands; it is found, or started, now if it was not yet."""
        return portal.ask(self.asynchronous.connect(), CONNECT_LIMIT).root

    def cluster(self) -> Object:
        """Which cluster it is, and as whom it is used: name, embedded, user, namespace, version."""
        return portal.ask(self.asynchronous.cluster(), CONNECT_LIMIT)

    def namespaces(self) -> Names:
        return portal.ask(self.asynchronous.namespaces(), CONNECT_LIMIT)

    def kinds(self) -> KindList:
        """Kinds of workspaces, hidden ones left out."""
        return KindList(kind for kind in self._kinds() if not kind.hidden)

    @checked
    def list(self, namespace: str | None = None) -> WorkspaceList:
        """Workspaces of a namespace; `"*"` for all. Raises `WorkspaceError` 404 if the namespace does not exist."""
        items = portal.ask(self.asynchronous.list(namespace), CONNECT_LIMIT)
        if not items:
            self._check(namespace)
        where = "all namespaces" if namespace == "*" else namespace or self.namespace
        return WorkspaceList(
            (Workspace(self.asynchronous, item) for item in items), where, self._volumes
        )

    @checked
    def get(self, name: str, namespace: str | None = None) -> Workspace:
        return Workspace(
            self.asynchronous,
            portal.ask(self.asynchronous.get(namespace or self.namespace, name), CONNECT_LIMIT),
        )

    @checked
    def claims(self, namespace: str | None = None) -> Objects:
        """Claims: name, size, who uses them. Raises `WorkspaceError` 404 if the namespace does not exist."""
        found = portal.ask(self.asynchronous.claims(namespace), CONNECT_LIMIT)
        if not found:
            self._check(namespace)
        return found

    @checked
    def create_claim(self, name: str, size: str = "1Gi", namespace: str | None = None) -> None:
        """Make a volume to be used as home or for data. `size` as a quantity: `10Gi`."""
        portal.ask(
            self.asynchronous.create_claim(namespace or self.namespace, name, size), CONNECT_LIMIT
        )

    @checked
    def delete_claim(self, name: str, namespace: str | None = None) -> None:
        """Delete a volume and the files in it. Raises `WorkspaceError` 409 when a workspace mounts it."""
        for claim in self.claims(namespace):
            if claim["name"] == name and (
                users := [str(user["name"]) for user in claim.get("workspaces") or ()]
            ):
                text = f"The volume {name} is used by {', '.join(users)}."
                raise WorkspaceError(
                    text, "Delete that first, or give it another volume.", status=409
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
        """Make a workspace and start it; `ws.wait()`, or `wait=True`, waits until it runs.

        Args:
            kind: Name or title of its kind; `jw.kinds()` shows them.
            name: Its name; without one a free name is found.
            image: Id or title of an image of the kind; without one the kind's default.
            size: Id or title of a size of the kind; without one the kind's default.
            home: The claim for its files; without one `home-<name>`, which is made (10 GiB) when it does
                not exist, and deleted again when the workspace is refused; `""` for no home.
            data: Claims and where they appear: `{"sales": "/data/sales"}`, or
                `{"sales": ("/data/sales", "ro")}` to read only. A path without a slash in front lies in the home.
            read_only: Names of claims in `data` that are mounted to be read only.
            labels: Labels for its pod.
            namespace: Where it is made; without one the client's own.
            paused: Make it without starting it.
            wait: Wait until it runs.

        Returns:
            The new workspace.

        Raises:
            WorkspaceError: It is refused, or a named kind, image, size or claim does not exist (404).

        Example:
            >>> jw.spawn("jupyterlab", name="fraud-model", image="SciPy 1.9", size="Small", wait=True)
        """
        chosen = choose(self._kinds(), kind)
        wish = Wish(
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
                spawning.spawn(self.asynchronous, namespace or self.namespace, wish), CONNECT_LIMIT
            ),
        )
        return made.wait() if wait and not paused else made

    def _check(self, namespace: str | None) -> None:
        """Raise if the namespace does not exist, which an empty list does not show. Needs permission to list namespaces."""
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
            text = f"There is no namespace {asked}."
            raise WorkspaceError(
                text,
                f"There is: {', '.join(known) or 'none'}.{closest(asked, known)}",
                {"namespace": text},
                404,
            )

    def _volumes(self, namespace: str) -> dict[str, Names]:
        """Claims by the name of the workspace that mounts them. Raises `WorkspaceError`."""
        found: dict[str, Names] = {}
        for claim in portal.ask(self.asynchronous.claims(namespace), CONNECT_LIMIT):
            for user in claim.get("workspaces") or ():
                found.setdefault(str(user["name"]), []).append(str(claim["name"]))
        return found

    def _kinds(self) -> Kinds:
        return [from_item(item) for item in portal.ask(self.asynchronous.kinds(), CONNECT_LIMIT)]


@functools.cache
def _at_exit() -> None:
    portal.loop()  # before `atexit`: what is registered last ends first
    atexit.register(_close_all)


def _close_at_exit(client: AsyncClient) -> None:
    _at_exit()
    _open.add(client)


def _close_all() -> None:
    for client in tuple(_open):
        portal.run(client.close(), REQUEST_LIMIT)
