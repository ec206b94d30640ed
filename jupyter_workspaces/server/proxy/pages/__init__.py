"""Pages for workspaces that cannot be reached, and the notice in open tabs."""
