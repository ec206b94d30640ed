"""A new workspace from what a person asked for: names checked, claims found or made, options understood, one request."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..timeouts import timeout
from .asynchronous import AsyncClient, Object
from .errors import WorkspaceError
from .kinds import Kind, closest

HOME_SIZE = "10Gi"
NAME_LIMIT = 63
NAME_ATTEMPTS = 3
REMOVE_SECONDS = 10.0
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_WORDS = (
    *("amber", "birch", "cedar", "coral", "delta", "ember", "fjord", "grove", "hazel", "iris", "juniper", "kelp", "lark", "maple"),
    *("north", "olive", "pearl", "quartz", "reed", "sage", "tundra", "umber", "violet", "willow", "yarrow", "zephyr"),
)

Mounts = Mapping[str, "str | tuple[str, str]"]
"""Claims and where they appear: `{"sales": "/data/sales", "ledger": ("/data/ledger", "ro")}`."""


@dataclass(frozen=True)
class Wish:
    """What is asked for. `home` None is `home-<name>`, made if need be; an empty one is none at all."""

    kind: Kind
    image: str
    size: str
    name: str | None = None
    home: str | None = None
    data: Mounts = field(default_factory=dict)
    read_only: Collection[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    paused: bool = False

    def body(self, name: str, home: str) -> Object:
        """The create model (contract §1.5 operation 6). Raises `WorkspaceError`."""
        volumes: dict[str, Any] = {"data": [self._mount(claim) for claim in self.data]}
        if home:
            volumes["home"] = home
        return {
            "name": name,
            "kind": self.kind.name,
            "paused": self.paused,
            "podTemplate": {
                "podMetadata": {"labels": dict(self.labels), "annotations": {}},
                "volumes": volumes,
                "options": {"imageConfig": self.image, "podConfig": self.size},
            },
        }

    def _mount(self, claim: str) -> dict[str, Any]:
        asked = self.data[claim]
        path, mode = (asked, "rw") if isinstance(asked, str) else asked
        if mode not in ("ro", "rw"):
            raise WorkspaceError(f"“{mode}” is no way to mount {claim}.", 'Use "ro" (read-only) or "rw".', {"data": mode})
        # A path without a slash in front lies in the home: that is where a person looks for it.
        place = path if path.startswith("/") else f"{self.kind.home.rstrip('/')}/{path.strip('/')}"
        return {"pvcName": claim, "mountPath": place, **({"readOnly": True} if mode == "ro" or claim in self.read_only else {})}


async def spawn(client: AsyncClient, namespace: str, wish: Wish) -> Object:
    """Make it, and give its list item. Raises `WorkspaceError`; then no claim is left behind that was only made for it."""
    if wish.name is not None:
        check_name(wish.name)
    held = {claim["name"] for claim in await client.claims(namespace)}
    for claim in (*([wish.home] if wish.home else []), *wish.data):
        if claim not in held:
            text = f"There is no claim {claim} in {namespace}."
            raise WorkspaceError(
                text,
                f'jw.create_claim("{claim}") makes it.{closest(claim, held)}',
                {"home" if claim == wish.home else "data": text},
                404,
            )
    if wish.name is not None:
        return await _make(client, namespace, wish, wish.name, held)
    for attempt in range(NAME_ATTEMPTS):
        name = free_name(wish.kind.name, {item["name"] for item in await client.list(namespace)})
        try:
            return await _make(client, namespace, wish, name, held)
        except WorkspaceError as error:
            if error.status != 409 or attempt == NAME_ATTEMPTS - 1:
                raise  # else somebody else took that name in between
    raise AssertionError("unreachable")


async def _make(client: AsyncClient, namespace: str, wish: Wish, name: str, held: Collection[str]) -> Object:
    home = f"home-{name}" if wish.home is None else wish.home
    body = wish.body(name, home)
    new_home = bool(home) and home not in held
    if new_home:
        await client.create_claim(namespace, home, HOME_SIZE)
    try:
        await client.create(namespace, body)
    except asyncio.CancelledError:  # somebody interrupts
        if new_home:
            await _remove(client, namespace, name, home, certain=False)
        raise
    except WorkspaceError as error:
        certain = error.status is not None and error.status < 500
        if new_home and not await _remove(client, namespace, name, home, certain=certain):
            text = f'The claim {home} was made for it and is left: jw.delete_claim("{home}") deletes it.'
            error.hint = f"{error.hint} {text}".strip()
        raise
    return await client.get(namespace, name)


async def _remove(client: AsyncClient, namespace: str, name: str, home: str, *, certain: bool) -> bool:
    """Delete a claim that was only made for a workspace which there is not. False when that is not known, or not possible now."""
    try:
        async with timeout(REMOVE_SECONDS):
            if not certain and await _exists(client, namespace, name):
                return True  # its answer was lost, and it has its home
            await client.delete_claim(namespace, home)
    except (WorkspaceError, asyncio.TimeoutError):
        return False
    return True


async def _exists(client: AsyncClient, namespace: str, name: str) -> bool:
    try:
        await client.model(namespace, name)
    except WorkspaceError as error:
        if error.status == 404:
            return False
        raise
    return True


def check_name(name: str) -> None:
    """Raises `WorkspaceError` for what cannot be a workspace's name."""
    if len(name) > NAME_LIMIT or not _NAME.fullmatch(name):
        hint = f"Use at most {NAME_LIMIT} lower-case letters, digits and “-”, beginning and ending with a letter or digit."
        raise WorkspaceError(f"“{name}” cannot be a workspace's name.", hint, {"name": hint})


def free_name(kind: str, taken: Collection[str]) -> str:
    """One that can be read aloud: `jupyterlab-cedar`, with a number where that is taken."""
    base = kind.replace(".", "-")[: NAME_LIMIT - 16].rstrip("-")
    for _ in range(20):
        name = f"{base}-{secrets.choice(_WORDS)}"
        if name not in taken:
            return name
    while (name := f"{base}-{secrets.choice(_WORDS)}-{secrets.randbelow(10_000)}") in taken:
        pass
    return name
