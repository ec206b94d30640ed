"""CustomResourceDefinitions: validation, the kinds that they add, and their finalization."""
