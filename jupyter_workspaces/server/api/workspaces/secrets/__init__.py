"""Secrets that workspaces mount (contract operations 25 to 29). Their values are written and never read."""
