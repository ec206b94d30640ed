"""What every layer uses: errors, supervised tasks, time limits, TLS, bounded readers and listeners."""
