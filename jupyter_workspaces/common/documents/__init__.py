"""Reads JSON, YAML and JSON patches from others within limits of size, depth and values."""
