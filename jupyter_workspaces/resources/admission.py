"""Whether an object of our two kinds may be written: rules over old, new and a look-up. Pure; served in process and by webhook alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause

from .catalog import WORKSPACE_KINDS, WORKSPACES

Object = Mapping[str, Any]
Operation = Literal["CREATE", "UPDATE", "DELETE"]


@dataclass
class Review:
    """`conflict` refuses with 409, `causes` with 422; `warnings` are told and refuse nothing."""

    causes: list[Cause] = field(default_factory=list)
    conflict: str | None = None
    warnings: list[str] = field(default_factory=list)


class Lookup(Protocol):
    """The part of the cluster that the rules look at."""

    def kind(self, name: str) -> Object | None:
        """A WorkspaceKind."""

    def kind_names(self) -> Iterable[str]:
        """All of them, for hints."""

    def workspaces_of_kind(self, kind: str) -> Iterable[Object]:
        """Workspaces of all namespaces whose `spec.kind` is this."""


def review(
    resource: Resource, operation: Operation, old: Object | None, new: Object | None, lookup: Lookup
) -> Review:
    """What the rules say of a write; resources other than ours are always let through."""
    from . import kind_rules, workspace_rules

    if resource == WORKSPACES and new is not None:
        return Review(workspace_rules.check(old, new, lookup))
    if resource == WORKSPACE_KINDS:
        if operation == "DELETE" and old is not None:
            return Review(conflict=kind_rules.in_use(old, lookup))
        if new is not None:
            causes, warnings = kind_rules.check(old, new, lookup)
            return Review(causes, warnings=warnings)
    return Review()
