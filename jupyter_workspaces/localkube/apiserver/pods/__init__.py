"""Subresources of pods: exec, attach, port-forward, log; and the metrics API."""
