"""Workspace kinds and their pictures."""
