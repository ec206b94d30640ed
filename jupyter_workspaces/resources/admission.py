"""Decides whether a Workspace or WorkspaceKind may be written.

`review` is called by the admission webhook of a real cluster (`controller/webhook.py`) and by the
API server of the local cluster (`local/admission.py`). The rules themselves are in
`workspace_rules.py` and `kind_rules.py`; `docs/controller.md` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.types import ObjectView

from . import kind_rules, workspace_rules
from .catalog import WORKSPACE_KINDS, WORKSPACES
from .rule_lookup import Lookup

Operation = Literal["CREATE", "UPDATE", "DELETE"]


@dataclass
class Review:
    """Result of a review.

    Attributes:
        causes: errors of the object; any of them refuses the write with 422.
        conflict: reason to refuse the write with 409, or None.
        warnings: messages for the user that refuse nothing.
    """

    causes: list[Cause] = field(default_factory=list)
    conflict: str | None = None
    warnings: list[str] = field(default_factory=list)


def review(
    resource: Resource,
    operation: Operation,
    old: ObjectView | None,
    new: ObjectView | None,
    lookup: Lookup,
) -> Review:
    """Apply the rules to a write. Other resources than ours are always allowed.

    Args:
        resource: resource type of the object.
        operation: what the request does.
        old: the stored object; None for CREATE.
        new: the object to store; None for DELETE.
        lookup: kinds and workspaces of the cluster.
    """
    if resource == WORKSPACES and new is not None:
        return Review(workspace_rules.check(old, new, lookup))
    if resource == WORKSPACE_KINDS:
        if operation == "DELETE" and old is not None:
            return Review(conflict=kind_rules.why_in_use(old, lookup))
        if new is not None:
            causes, warnings = kind_rules.check(old, new, lookup)
            return Review(causes, warnings=warnings)
    return Review()
