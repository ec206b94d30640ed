"""Discovery and OpenAPI: how the server describes its API."""
