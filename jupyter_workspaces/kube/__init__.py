"""Speaks to a Kubernetes API: endpoint and credentials, client, caches, work queues, events."""
