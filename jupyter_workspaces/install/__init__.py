"""Puts CRDs, controller and `serve` into a real cluster, takes them out again, and says what is there."""
