"""Subresources of pods: exec, attach, port-forward, logs, and metrics."""
