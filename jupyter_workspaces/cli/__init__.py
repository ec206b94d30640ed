"""The command line, `jupyter workspaces COMMAND`. docs/command-line.md describes it."""

from __future__ import annotations

from .commands import main

__all__ = ["main"]
