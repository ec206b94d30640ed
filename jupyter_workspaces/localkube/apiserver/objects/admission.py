"""Interface of admission: a function that may reject a write before it is stored.

The API server calls it in process, where a real one would call an admission webhook.
Source: Kubernetes docs, "Dynamic Admission Control".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.types import Object

Operation = Literal["CREATE", "UPDATE", "DELETE"]


class Review(Protocol):
    """Result of admission. The write is accepted if there is neither a conflict nor a cause."""

    @property
    def causes(self) -> Sequence[Cause]:
        """Why the object is invalid (422)."""

    @property
    def conflict(self) -> str | None:
        """Why the write conflicts with the state of the cluster (409)."""

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings for the client, which do not reject the write."""


Admission = Callable[[Resource, Operation, Object | None, Object | None], Review | None]
"""Reviews a write: resource, operation, old object, new object. Returns None to accept it."""
