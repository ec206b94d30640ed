"""Reconciler of Workspace objects."""
