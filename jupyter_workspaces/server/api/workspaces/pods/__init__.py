"""What runs for a workspace: its pod, log, events and the steps of its start (contract operations 11 and 12, and ours)."""
