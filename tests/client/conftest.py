"""A server to connect to, and an environment that names no other one."""

from client_fixtures import alone, asynchronous, client, server

__all__ = ["alone", "asynchronous", "client", "server"]
