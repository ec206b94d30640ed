"""HTTP of the API server: requests, bodies, responses and streams."""
