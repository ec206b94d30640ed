"""Bodies in YAML. Requests: only what JSON could say as well, within bounds that keep the event loop free."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import yaml

LIMIT = 512 * 2**10
"""Bytes; YAML takes fifty times as long as JSON to read."""

_DEPTH = 100
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: type[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Plain(_Loader):  # type: ignore[misc]
    """Times stay text, as in Kubernetes."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Loader.yaml_implicit_resolvers.items()
    }


def decode(data: bytes) -> Any:
    """The one document of the body as JSON values. Raises `ValueError` or `yaml.YAMLError`."""
    depth = 0
    for event in yaml.parse(data, Loader=_Plain):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases are not taken: a few lines of them can stand for gigabytes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEPTH:
                raise ValueError(f"nested deeper than {_DEPTH}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    # Through JSON, so that keys are text and nothing but JSON's types is left.
    return msgspec.json.decode(msgspec.json.encode(yaml.load(data, Loader=_Plain)))


def encode(document: Any) -> bytes:
    """JSON values as YAML, as Kubernetes writes it: keys in order, blocks."""
    return yaml.dump(document, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=True).encode()
