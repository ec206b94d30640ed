"""The server itself: health, OpenAPI document, namespaces and cluster."""
