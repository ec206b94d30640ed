"""The embedded cluster: a Kubernetes API server, its small controllers and one node, all on this machine."""
