"""Strategies: the rules of a kind. This is the base class with the rules of every kind.

Those of built-in kinds are in `kinds/`, those of custom resources in `definitions/`.
"""

from __future__ import annotations

from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.types import Object

from .name_rules import subdomain


class Strategy:
    """Rules of a kind; subclasses override what differs.

    `read`, `default`, `prepare` and `complete` change the object in place, on create and update
    alike. Fields that `default` sets belong to the manager who writes the object; those that the
    other methods set have no manager.

    Attributes:
        has_generation: whether writes of the content increment `metadata.generation`.
        returns_deleted: whether a deletion returns the object instead of a Status.
        unconditional_update: whether an update may lack the resource version.
        status_at_creation: whether a new object keeps its status.
        finalizers_have_domains: whether finalizers need a domain.
    """

    has_generation = False
    returns_deleted = False
    unconditional_update = True
    status_at_creation = False
    finalizers_have_domains = True

    def name_problem(self, name: str) -> str | None:
        """Return why a name is invalid, or None."""
        return subdomain(name)

    def read(self, obj: Object) -> None:
        """Normalize what a client sent, except for a server-side apply."""

    def default(self, obj: Object) -> None:
        """Fill in defaults."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set fields that only the server may set. `old` is None for a new object."""

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid. `old` is None for a new object."""
        return []

    def complete(self, obj: Object) -> None:
        """Set fields of a valid object that only the server can determine."""

    def unknown_fields(self, obj: Object) -> list[str]:
        """Return the paths of fields that the schema of a custom kind does not have."""
        return []

    def warnings(self, obj: Object, old: Object | None) -> list[str]:
        """Return warnings about a valid object."""
        return []
