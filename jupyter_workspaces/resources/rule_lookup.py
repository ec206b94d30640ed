"""The part of the cluster that the admission rules read: kinds, and the workspaces of a kind.

`kind_rules.py` and `workspace_rules.py` take a `Lookup`, so that the same rules run over the caches
of the webhook and over the storage of the local cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from jupyter_workspaces.kube.types import ObjectView


class Lookup(Protocol):
    """Read access to WorkspaceKinds and Workspaces."""

    def kind(self, name: str) -> ObjectView | None:
        """Return the WorkspaceKind, or None if it does not exist."""

    def kind_names(self) -> Iterable[str]:
        """Return the names of all WorkspaceKinds, for hints in messages."""

    def workspaces_of_kind(self, kind: str) -> Iterable[ObjectView]:
        """Return the Workspaces of all namespaces whose `spec.kind` is `kind`."""
