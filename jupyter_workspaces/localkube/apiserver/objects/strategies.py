"""The rules that hold for objects of any kind; those of built-in kinds are in `kinds/`, those of custom ones in `custom.py`."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube.causes import Cause

from .names import subdomain

Object = dict[str, Any]


class Strategy:
    """The rules that hold for any object; kinds differ by what they override.

    `read`, `default`, `prepare` and `complete` change the object in place, on create and update alike: what a client may leave out is its writer's as if it
    had been said, what the server sets is nobody's. `check` gives causes. `old` is None on create.
    """

    has_generation = False
    returns_deleted = False
    unconditional_update = True
    status_at_creation = False
    finalizers_have_domains = True

    def name_problem(self, name: str) -> str | None:
        return subdomain(name)

    def read(self, obj: Object) -> None:
        """What a client sent, as it is meant. What it applies is read otherwise."""

    def default(self, obj: Object) -> None:
        """Fill in what a client may leave out."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set what only the server may."""

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        return []

    def complete(self, obj: Object) -> None:
        """Give what is valid what only the server can give."""

    def unknown_fields(self, obj: Object) -> list[str]:
        """Paths of fields that a custom kind's schema has not."""
        return []

    def warnings(self, obj: Object, old: Object | None) -> list[str]:
        """What to tell who writes a valid object."""
        return []
