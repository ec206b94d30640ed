"""Reconcilers: Workspace → StatefulSet, Service, status; WorkspaceKind → counts. Written against the Kubernetes API only."""

from .run import run

__all__ = ["run"]
