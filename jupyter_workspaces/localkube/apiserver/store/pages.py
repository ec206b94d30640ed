"""Paged lists: all pages of a list show the collection as it was at the first page."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass

import msgspec
from cachetools import TTLCache

from jupyter_workspaces.localkube.apiserver.http import status

from .store import Stored

SNAPSHOTS = 64
SNAPSHOT_SECONDS = 300.0


@dataclass(frozen=True)
class Page:
    """One page of a list.

    Attributes:
        token: continues the list; None on the last page.
        remaining: number of objects on later pages.
    """

    items: list[Stored]
    revision: int
    token: str | None
    remaining: int


class Pages:
    """Keeps the remaining objects of lists: at most 64 lists, for five minutes each."""

    def __init__(self) -> None:
        """Create it without lists."""
        self._snapshots: TTLCache[str, tuple[int, str, list[Stored]]] = TTLCache(
            SNAPSHOTS, SNAPSHOT_SECONDS
        )

    def first(self, collection: str, items: list[Stored], revision: int, limit: int | None) -> Page:
        """Return the first page of a list."""
        if not limit or len(items) <= limit:
            return Page(items, revision, None, 0)
        key = secrets.token_urlsafe(9)
        self._snapshots[key] = revision, collection, items
        return _page(key, items, revision, 0, limit)

    def next(self, collection: str, token: str, limit: int | None) -> Page:
        """Return the next page.

        Raises:
            Refusal: 410 if the list is not kept any more, 400 for an invalid token.
        """
        try:
            key, start = msgspec.json.decode(
                base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=tuple[str, int]
            )
        except (binascii.Error, msgspec.DecodeError, ValueError) as error:
            raise status.bad_request("continue key is not valid") from error
        held = self._snapshots.get(key)
        if held is None or held[1] != collection:
            raise status.expired()
        revision, _, items = held
        return _page(key, items, revision, max(0, start), limit)


def _page(key: str, items: list[Stored], revision: int, start: int, limit: int | None) -> Page:
    end = len(items) if not limit else start + limit
    if end >= len(items):
        return Page(items[start:], revision, None, 0)
    token = base64.urlsafe_b64encode(msgspec.json.encode((key, end))).decode().rstrip("=")
    return Page(items[start:end], revision, token, len(items) - end)
