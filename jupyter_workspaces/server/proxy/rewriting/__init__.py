"""Rewriting of addresses in the bodies of responses."""
