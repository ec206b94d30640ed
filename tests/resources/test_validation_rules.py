"""Validation rules of our CRDs: each has a Python function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kind_objects import SCHEMAS

from jupyter_workspaces.kube.schemas.rules import registered
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.resources.validation_rules import RULES


def test_every_rule_of_our_crds_has_a_function() -> None:
    def rules(found: Any) -> Iterator[str]:
        if isinstance(found, dict):
            yield from (rule["rule"] for rule in found.get("x-kubernetes-validations", ()))
            for child in found.values():
                yield from rules(child)

    texts = {rule for found in SCHEMAS.values() for rule in rules(found)}
    assert texts == set(RULES) == registered(WORKSPACES.group)
