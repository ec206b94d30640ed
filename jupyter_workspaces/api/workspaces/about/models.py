"""What goes over the wire (contract operations 1 and 3, and ours)."""

from __future__ import annotations

import msgspec


class Namespace(msgspec.Struct):
    name: str


class ClusterInfo(msgspec.Struct):
    """Which cluster the server speaks to, for people. `user` is who the cluster takes us for, empty when it does not say."""

    name: str
    embedded: bool
    user: str
    namespace: str
    version: str
