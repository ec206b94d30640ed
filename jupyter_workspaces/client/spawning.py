"""Creates a workspace from `spawn` arguments: checks names, creates the home volume, retries.

Also used by the panel's form (`create_with_claims`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jupyter_workspaces.common.timeouts import timeout

from .asynchronous import AsyncClient, Object
from .errors import WorkspaceError
from .kinds import Kind, closest
from .names import check_name, readable_name

HOME_SIZE = "10Gi"
NAME_ATTEMPTS = 3
REMOVE_SECONDS = 10.0
Mounts = Mapping[str, "str | tuple[str, str]"]
"""Claims and mount paths: `{"sales": "/data/sales", "ledger": ("/data/ledger", "ro")}`."""


def parse_mount(text: str) -> tuple[str, tuple[str, str]]:
    """Return name, path and mode of a `VOLUME:PATH[:ro]` option. Raises `WorkspaceError` 400."""
    claim, _, rest = text.partition(":")
    path, _, mode = rest.partition(":")
    if not claim or not path or mode not in ("", "ro", "rw"):
        raise WorkspaceError(
            f"Invalid value '{text}' for --data.",
            "Use VOLUME:PATH, or VOLUME:PATH:ro for read-only.",
            status=400,
        )
    return claim, (path, mode or "rw")


@dataclass(frozen=True)
class SpawnRequest:
    """Arguments of `spawn`. `home` None is `home-<name>`, created if missing; empty is none."""

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
        """Return the create model (docs/api.md). Raises `WorkspaceError`."""
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
                f"Cannot mount volume '{claim}' with mode “{mode}”.",
                'Use "ro" (read-only) or "rw".',
                {"data": mode},
                422,
            )
        # A relative path is relative to the home, where users look for it.
        place = path if path.startswith("/") else f"{self.kind.home.rstrip('/')}/{path.strip('/')}"
        return {
            "pvcName": claim,
            "mountPath": place,
            **({"readOnly": True} if mode == "ro" or claim in self.read_only else {}),
        }


async def spawn(client: AsyncClient, namespace: str, request: SpawnRequest) -> Object:
    """Create a workspace and return its list item.

    Raises `WorkspaceError`, after deleting volumes that were created only for it.
    """
    if request.name is not None:
        check_name(request.name)
    held = {claim["name"] for claim in await client.claims(namespace)}
    for claim in (*([request.home] if request.home else []), *request.data):
        if claim not in held:
            text = f"Volume '{claim}' not found in namespace '{namespace}'."
            hint = f'jw.create_claim("{claim}") creates it.{closest(claim, held)}'
            raise WorkspaceError(
                text, hint, {"home" if claim == request.home else "data": text}, 404
            )
    if request.name is not None:
        return await _create(client, namespace, request, request.name, held)
    for attempt in range(NAME_ATTEMPTS):
        name = readable_name(
            request.kind.name, {item["name"] for item in await client.list(namespace)}
        )
        try:
            return await _create(client, namespace, request, name, held)
        except WorkspaceError as error:
            if error.status != 409 or attempt == NAME_ATTEMPTS - 1:
                raise  # else another client took that name meanwhile
    raise AssertionError("unreachable")


async def _create(
    client: AsyncClient, namespace: str, request: SpawnRequest, name: str, held: Collection[str]
) -> Object:
    home = f"home-{name}" if request.home is None else request.home
    claims = [(home, HOME_SIZE)] if home and home not in held else []
    await create_with_claims(client, namespace, request.body(name, home), claims)
    return await client.get(namespace, name)


class Creates(Protocol):
    """Creates workspaces and claims: `AsyncClient` or a test double."""

    async def create(self, namespace: str, body: Mapping[str, Any]) -> None:
        """Create a workspace from a create model."""

    async def model(self, namespace: str, name: str) -> Any:
        """Return the update model of a workspace. Raises `WorkspaceError` 404."""

    async def create_claim(self, namespace: str, name: str, size: str) -> None:
        """Create a claim."""

    async def delete_claim(self, namespace: str, name: str) -> None:
        """Delete a claim and its files."""


async def create_with_claims(
    client: Creates, namespace: str, body: Mapping[str, Any], claims: Sequence[tuple[str, str]]
) -> None:
    """Create claims (name and size), then the workspace that mounts them.

    After an error or an interrupt, deletes the claims that it created, but not if the workspace
    exists because only the response was lost. Raises `WorkspaceError`.
    """
    made: list[str] = []
    try:
        for name, size in claims:
            await client.create_claim(namespace, name, size)
            made.append(name)
        await client.create(namespace, body)
    except asyncio.CancelledError:
        await _delete_created(
            client, namespace, body["name"], made, certain=len(made) < len(claims)
        )
        raise
    except WorkspaceError as error:
        certain = len(made) < len(claims) or (
            error.status is not None and 400 <= error.status < 500
        )
        if left := await _delete_created(client, namespace, body["name"], made, certain=certain):
            text = (
                f"{error.message.rstrip('.')}. "
                f"Could not delete the new volume {', '.join(left)}, which was created for it."
            )
            hint = " ".join(f'jw.delete_claim("{name}") deletes it.' for name in left)
            raise WorkspaceError(
                text, f"{error.hint} {hint}".strip(), error.fields, error.status
            ) from error
        raise


async def _delete_created(
    client: Creates, namespace: str, workspace: str, claims: Sequence[str], *, certain: bool
) -> list[str]:
    """Delete claims that were created for a workspace.

    `certain` means that the workspace does not exist; otherwise this is checked first.

    Returns:
        Claims without a workspace that may still exist.
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
