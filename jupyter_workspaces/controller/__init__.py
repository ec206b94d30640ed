"""Reconcilers: Workspace → StatefulSet, Service, status; WorkspaceKind → counts. Written against the Kubernetes API only."""

from .runner import run

__all__ = ["run"]
