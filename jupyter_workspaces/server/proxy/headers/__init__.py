"""Request and response headers of proxied requests."""
