"""The client for cells and scripts: it waits for each answer."""

from __future__ import annotations

import atexit
import re
import secrets
from collections.abc import Mapping
from typing import Any

from . import kinds as kinds_
from . import portal
from .asynchronous import AsyncClient, Objects
from .errors import WorkspaceError
from .kinds import Kind
from .lists import KindList, WorkspaceList
from .workspace import REQUEST_LIMIT, Workspace

CONNECT_LIMIT = 60.0
HOME_SIZE = "10Gi"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_WORDS = (
    "amber",
    "birch",
    "cedar",
    "coral",
    "delta",
    "ember",
    "fjord",
    "grove",
    "hazel",
    "iris",
    "juniper",
    "kelp",
    "lark",
    "maple",
    "north",
    "olive",
)


class Client:
    """One server, asked from cells and scripts. Everything may raise `WorkspaceError`.

    Without `url` the server is found: JUPYTER_WORKSPACES_URL, JupyterHub, the Jupyter server of this kernel, else a local one is started.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, namespace: str = "default") -> None:
        self.asynchronous = AsyncClient(url, token, namespace=namespace)
        portal.loop()  # before `atexit`: what is registered last ends first
        atexit.register(self.close)

    def __repr__(self) -> str:
        return f"Client({self.asynchronous.root or 'not connected yet'!r}, namespace={self.namespace!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        portal.run(self.asynchronous.close(), REQUEST_LIMIT)

    @property
    def namespace(self) -> str:
        return self.asynchronous.namespace

    def kinds(self) -> KindList:
        """Kinds of workspaces, hidden ones left out."""
        return KindList(kind for kind in self._kinds() if not kind.hidden)

    def list(self, namespace: str | None = None) -> WorkspaceList:
        """Workspaces of a namespace; `"*"` for all."""
        items = portal.run(self.asynchronous.list(namespace), CONNECT_LIMIT)
        return WorkspaceList(Workspace(self.asynchronous, item) for item in items)

    def get(self, name: str, namespace: str | None = None) -> Workspace:
        return Workspace(self.asynchronous, portal.run(self.asynchronous.get(namespace or self.namespace, name), CONNECT_LIMIT))

    def claims(self, namespace: str | None = None) -> Objects:
        """Claims: name, size, who uses them."""
        return portal.run(self.asynchronous.claims(namespace), CONNECT_LIMIT)

    def create_claim(self, name: str, size: str = "1Gi", namespace: str | None = None) -> None:
        """Make a volume to be used as home or for data. `size` as a quantity: `10Gi`."""
        portal.run(self.asynchronous.create_claim(namespace or self.namespace, name, size), CONNECT_LIMIT)

    def delete_claim(self, name: str, namespace: str | None = None) -> None:
        """Delete a volume and the files in it."""
        portal.run(self.asynchronous.delete_claim(namespace or self.namespace, name), CONNECT_LIMIT)

    def spawn(
        self,
        kind: str,
        name: str | None = None,
        image: str | None = None,
        size: str | None = None,
        home: str | None = None,
        data: Mapping[str, str] | None = None,
        *,
        read_only: tuple[str, ...] | list[str] = (),
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        paused: bool = False,
    ) -> Workspace:
        """Make a workspace and start it; `ws.wait()` waits until it runs.

        `kind`, `image`, `size`: ids or names, `jw.kinds()` shows them; without image and size the kind's defaults. `name`: a free one
        is found without it. `home`: the claim for its files, made when it does not exist; without it `home-<name>`. `data`: claims and
        where they appear, `{"measurements": "/data/measurements"}`; those must exist (`jw.create_claim`). `read_only` names some of them.
        """
        where = namespace or self.namespace
        chosen = kinds_.choose(self._kinds(), kind)
        image_id, size_id = chosen.image(image).id, chosen.size(size).id
        if name is not None and (len(name) > 63 or not _NAME.fullmatch(name)):
            text = f"“{name}” cannot be a workspace's name."
            raise WorkspaceError(text, "Use at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit.")
        return portal.run(
            self._spawn(where, chosen, name, image_id, size_id, home, data or {}, read_only, labels or {}, paused), CONNECT_LIMIT
        )

    async def _spawn(
        self,
        namespace: str,
        kind: Kind,
        name: str | None,
        image: str,
        size: str,
        home: str | None,
        data: Mapping[str, str],
        read_only: tuple[str, ...] | list[str],
        labels: Mapping[str, str],
        paused: bool,
    ) -> Workspace:
        client = self.asynchronous
        if name is None:
            taken = {item["name"] for item in await client.list(namespace)}
            name = _free_name(kind.name, taken)
        held = {claim["name"] for claim in await client.claims(namespace)}
        for claim in data:
            if claim not in held:
                raise WorkspaceError(f"There is no claim {claim} in {namespace}.", f'jw.create_claim("{claim}") makes it.')
        home = home or f"home-{name}"
        if home not in held:
            await client.create_claim(namespace, home, HOME_SIZE)
        mounts = [
            {"pvcName": claim, "mountPath": _mount_path(path, kind), **({"readOnly": True} if claim in read_only else {})}
            for claim, path in data.items()
        ]
        body: dict[str, Any] = {
            "name": name,
            "kind": kind.name,
            "paused": paused,
            "podTemplate": {
                "podMetadata": {"labels": dict(labels), "annotations": {}},
                "volumes": {"home": home, "data": mounts},
                "options": {"imageConfig": image, "podConfig": size},
            },
        }
        await client.create(namespace, body)
        item = await client.get(namespace, name)
        return Workspace(client, {**item, "volumes": {"home": home}})

    def _kinds(self) -> list[Kind]:
        return [kinds_.from_item(item) for item in portal.run(self.asynchronous.kinds(), CONNECT_LIMIT)]


def _mount_path(path: str, kind: Kind) -> str:
    """An absolute path as it is; another one lies in the home."""
    return path if path.startswith("/") else f"{kind.home.rstrip('/')}/{path.strip('/')}"


def _free_name(kind: str, taken: set[str]) -> str:
    for _ in range(100):
        name = f"{kind}-{secrets.choice(_WORDS)}-{secrets.randbelow(90) + 10}"
        if name not in taken:
            return name
    return f"{kind}-{secrets.token_hex(4)}"
