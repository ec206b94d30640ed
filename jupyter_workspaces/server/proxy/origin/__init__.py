"""The workspaces' own origin: sign-in, sessions and routes."""
