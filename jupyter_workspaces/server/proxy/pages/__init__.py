"""Placeholder pages for workspaces that cannot be opened, and the notice in open tabs. Pure."""
