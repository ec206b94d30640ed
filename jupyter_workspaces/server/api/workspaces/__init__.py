"""The Workspaces API of Kubeflow, one folder for each topic (docs/api.md, docs/dialects.md)."""
