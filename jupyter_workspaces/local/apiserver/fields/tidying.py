"""What built-in kinds leave out: nulls, and lists and maps in which nothing stands."""

from __future__ import annotations

from typing import Any

from .types import FREE, Type


def tidied(type_: Type, value: Any) -> Any:
    """The value without what says nothing; empty structures say something, and values of free form are as they are."""
    if type_.mapping is FREE.mapping:
        return value
    if isinstance(value, dict) and (mapping := type_.mapping) is not None:
        found = {}
        for name, child in value.items():
            if child is None:
                continue
            known = mapping.fields.get(name)
            inner = known.type if known is not None else mapping.element
            if inner is not None:
                child = tidied(inner, child)
                if known is not None and not child and not known.required and _can_be_empty(inner, child):
                    continue
            found[name] = child
        return found
    if isinstance(value, list) and type_.listing is not None:
        return [tidied(type_.listing.element, item) for item in value]
    return value


def _can_be_empty(type_: Type, value: Any) -> bool:
    if isinstance(value, list):
        return True
    return isinstance(value, dict) and type_.mapping is not None and type_.mapping.element not in (None, FREE)
