"""Used by every layer: errors, supervised tasks, timeouts, TLS, readers and listeners."""
