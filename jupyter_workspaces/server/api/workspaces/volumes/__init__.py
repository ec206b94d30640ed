"""Claims and storage classes."""
