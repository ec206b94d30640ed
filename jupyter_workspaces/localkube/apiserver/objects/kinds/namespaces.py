"""Namespaces."""

from __future__ import annotations

from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

FINALIZER = "kubernetes"


class NamespaceStrategy(Strategy):
    """Rules of namespaces."""

    def name_problem(self, name: str) -> str | None:
        """Return why a name is invalid, or None."""
        return name_rules.label(name)

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = labels | {
            "kubernetes.io/metadata.name": obj["metadata"]["name"]
        }

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set the fields that only the server may set, in place."""
        if old is None:
            held = obj["spec"].get("finalizers") or []
            obj["spec"] = {"finalizers": [*held, *({FINALIZER} - set(held))]}
            obj["status"] = {"phase": "Active"}
        else:
            obj["spec"] = old.get("spec", {})

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        wrong = ((name, name_rules.finalizer(name)) for name in obj["spec"].get("finalizers") or ())
        return [invalid("spec.finalizers", name, problem) for name, problem in wrong if problem]
