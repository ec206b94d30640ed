"""Managed fields and server-side apply: sets of fields, types, merging."""
