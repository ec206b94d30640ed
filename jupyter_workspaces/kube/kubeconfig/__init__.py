"""Kubeconfig files: reading, credentials of their users, and writing back new tokens."""
