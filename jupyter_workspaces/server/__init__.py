"""The server: Jupyter Server extension, standalone server, HTTP APIs and proxy."""
