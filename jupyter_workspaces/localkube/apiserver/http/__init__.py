"""HTTP of the API server: routing, decoding of requests, encoding of responses."""
