"""Workspace kinds and their pictures (contract operations 13 to 17, 19, 20, and PATCH)."""
