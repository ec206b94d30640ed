"""Kubernetes on one machine: API server, controllers and node. Imports only `kube` and `common`."""
