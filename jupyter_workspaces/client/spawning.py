"""A new workspace from what a person asked for: names checked, claims found or made, options understood, one request."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jupyter_workspaces.common.timeouts import timeout

from .asynchronous import AsyncClient, Object
from .errors import WorkspaceError
from .kinds import Kind, closest

HOME_SIZE = "10Gi"
NAME_LIMIT = 63
NAME_ATTEMPTS = 3
REMOVE_SECONDS = 10.0
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_WORDS = (
    *(
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
    ),
    *(
        "north",
        "olive",
        "pearl",
        "quartz",
        "reed",
        "sage",
        "tundra",
        "umber",
        "violet",
        "willow",
        "yarrow",
        "zephyr",
    ),
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
            raise WorkspaceError(
                f"“{mode}” is no way to mount {claim}.",
                'Use "ro" (read-only) or "rw".',
                {"data": mode},
                422,
            )
        # A path without a slash in front lies in the home: that is where a person looks for it.
        place = path if path.startswith("/") else f"{self.kind.home.rstrip('/')}/{path.strip('/')}"
        return {
            "pvcName": claim,
            "mountPath": place,
            **({"readOnly": True} if mode == "ro" or claim in self.read_only else {}),
        }


async def spawn(client: AsyncClient, namespace: str, wish: Wish) -> Object:
    """Make it, and give its list item. Raises `WorkspaceError`; then no claim is left behind that was only made for it."""
    if wish.name is not None:
        check_name(wish.name)
    held = {claim["name"] for claim in await client.claims(namespace)}
    for claim in (*([wish.home] if wish.home else []), *wish.data):
        if claim not in held:
            text = f"There is no claim {claim} in {namespace}."
            hint = f'jw.create_claim("{claim}") makes it.{closest(claim, held)}'
            raise WorkspaceError(text, hint, {"home" if claim == wish.home else "data": text}, 404)
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


async def _make(
    client: AsyncClient, namespace: str, wish: Wish, name: str, held: Collection[str]
) -> Object:
    home = f"home-{name}" if wish.home is None else wish.home
    claims = [(home, HOME_SIZE)] if home and home not in held else []
    await create_with_claims(client, namespace, wish.body(name, home), claims)
    return await client.get(namespace, name)


class Creates(Protocol):
    """Creates workspaces and claims: `AsyncClient` or a test double."""

    async def create(self, namespace: str, body: Mapping[str, Any]) -> None: ...

    async def model(self, namespace: str, name: str) -> Any: ...

    async def create_claim(self, namespace: str, name: str, size: str) -> None: ...

    async def delete_claim(self, namespace: str, name: str) -> None: ...


async def create_with_claims(
    client: Creates, namespace: str, body: Mapping[str, Any], claims: Sequence[tuple[str, str]]
) -> None:
    """Create claims (name and size), then the workspace that mounts them.

    After an error or an interrupt, deletes the claims that it created, but not if the workspace exists
    because only the response was lost. Raises `WorkspaceError`.
    """
    made: list[str] = []
    try:
        for name, size in claims:
            await client.create_claim(namespace, name, size)
            made.append(name)
        await client.create(namespace, body)
    except asyncio.CancelledError:
        await _take_back(client, namespace, body["name"], made, certain=len(made) < len(claims))
        raise
    except WorkspaceError as error:
        certain = len(made) < len(claims) or (
            error.status is not None and 400 <= error.status < 500
        )
        if left := await _take_back(client, namespace, body["name"], made, certain=certain):
            text = f"{error.message.rstrip('.')}. The volume {', '.join(left)} was made for it and could not be deleted."
            hint = " ".join(f'jw.delete_claim("{name}") deletes it.' for name in left)
            raise WorkspaceError(
                text, f"{error.hint} {hint}".strip(), error.fields, error.status
            ) from error
        raise


async def _take_back(
    client: Creates, namespace: str, workspace: str, claims: Sequence[str], *, certain: bool
) -> list[str]:
    """Delete claims that were only made for a workspace. Returns those that are still there without it, or may be.

    `certain` says that the workspace does not exist; else that is asked.
    """
    left = list(claims)
    try:
        async with timeout(REMOVE_SECONDS):
            if left and not certain and await _exists(client, namespace, workspace):
                return []
            for name in claims:
                try:
                    await client.delete_claim(namespace, name)
                except WorkspaceError as error:
                    if error.status != 404:
                        continue
                left.remove(name)
    except (WorkspaceError, asyncio.TimeoutError):
        return left
    return left


async def _exists(client: Creates, namespace: str, name: str) -> bool:
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
        raise WorkspaceError(
            f"“{name}” cannot be a workspace's name.",
            hint,
            {"name": f"“{name}” cannot be a workspace's name"},
            422,
        )


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
