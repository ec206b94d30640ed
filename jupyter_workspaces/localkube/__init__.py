"""Kubernetes on one machine: API server, controllers and node.

Imports only `kube` and `common`. What it has to know of the project that uses it are parameters,
such as `settings.NodeSettings`.
"""
