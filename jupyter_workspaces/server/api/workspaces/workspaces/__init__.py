"""Workspaces: list, create, read, change, pause, restart, stop and delete."""
