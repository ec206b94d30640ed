"""The HTTP APIs of the server, one folder each (docs/adding-an-api.md)."""
