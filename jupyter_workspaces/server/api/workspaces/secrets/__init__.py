"""Secrets that workspaces mount. Their values are written and never read."""
