"""What is special about each built-in kind: its defaults, what a client may not set, what makes it invalid.

Sources: the Kubernetes API reference and concepts pages; what the real API server answers (tests/local/apiserver/kind_cases.py).
"""

from .data import ConfigMapStrategy, SecretStrategy
from .namespaces import EventStrategy, NamespaceStrategy, NodeStrategy
from .pods import PodStrategy
from .roles import BindingStrategy, RoleStrategy
from .services import ServiceStrategy
from .stateful_sets import StatefulSetStrategy
from .storage import ClaimStrategy, StorageClassStrategy, VolumeStrategy

__all__ = [
    "BindingStrategy",
    "ClaimStrategy",
    "ConfigMapStrategy",
    "EventStrategy",
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
