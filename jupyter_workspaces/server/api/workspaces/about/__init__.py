"""The server itself: health, description, namespaces, which cluster (contract operations 1 to 3, and ours)."""
