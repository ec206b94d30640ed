"""Workspaces: list, create, read, change, pause, restart, delete (contract operations 4 to 10, and PATCH)."""
