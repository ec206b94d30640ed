"""Authentication and authorization of requests to the API server."""
