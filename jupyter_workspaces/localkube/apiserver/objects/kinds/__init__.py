"""Strategies of the built-in kinds: defaults, fields of the server, rules.

Objects are normalized by `decoding`: values have the right types, and fields that are never left
out have their zero values. Sources: Kubernetes API reference and concepts; answers of the real API
server, recorded in `tests/localkube/apiserver/kind_cases.py`.
"""

from .claims import ClaimStrategy
from .data import ConfigMapStrategy, SecretStrategy
from .namespaces import NamespaceStrategy
from .nodes import EventStrategy, LeaseStrategy, NodeStrategy
from .pods import PodStrategy
from .roles import BindingStrategy, RoleStrategy
from .services import ServiceStrategy
from .stateful_sets import StatefulSetStrategy
from .storage import StorageClassStrategy, VolumeStrategy

__all__ = [
    "BindingStrategy",
    "ClaimStrategy",
    "ConfigMapStrategy",
    "EventStrategy",
    "LeaseStrategy",
    "NamespaceStrategy",
    "NodeStrategy",
    "PodStrategy",
    "RoleStrategy",
    "SecretStrategy",
    "ServiceStrategy",
    "StatefulSetStrategy",
    "StorageClassStrategy",
    "VolumeStrategy",
]
