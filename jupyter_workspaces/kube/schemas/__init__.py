"""Structural schemas of custom resources: pruning, defaults, validation and rules."""
