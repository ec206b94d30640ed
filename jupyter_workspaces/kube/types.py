"""Types of Kubernetes objects as decoded JSON, shared by the whole package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, that the holder may modify."""

ObjectView = Mapping[str, Any]
"""A Kubernetes object, or a part of one, that is only read: it may be shared with a cache."""
