"""The embedded Kubernetes API server: one generic REST engine over a table of resources, stored in SQLite."""
