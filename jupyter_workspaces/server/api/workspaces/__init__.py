"""Kubeflow Workspaces 2.0 (contracts/kubeflow-workspaces.md §1), one folder a topic, and our own routes beside it."""
