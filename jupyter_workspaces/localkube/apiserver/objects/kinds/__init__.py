"""What is special about each built-in kind: its defaults, what a client may not set, what makes it invalid.

Objects come here in the one form of `decoding`: of the right types, with the zero values of fields that are always there.
Sources: the Kubernetes API reference and concepts pages; what the real API server answers (tests/localkube/apiserver/kind_cases.py).
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
