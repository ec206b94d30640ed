"""Roles and who has them."""

from __future__ import annotations

from typing import Any

from ....resources.causes import Cause, invalid
from .. import names
from ..strategies import Strategy

Object = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"


class RoleStrategy(Strategy):
    def name_problem(self, name: str) -> str | None:
        return names.path_segment(name)


class BindingStrategy(RoleStrategy):
    def default(self, obj: Object) -> None:
        obj["roleRef"]["apiGroup"] = obj["roleRef"].get("apiGroup") or GROUP
        for subject in obj.get("subjects") or ():
            if subject["kind"] in ("User", "Group"):
                subject.setdefault("apiGroup", GROUP)

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        if old is not None and obj["roleRef"] != old["roleRef"]:
            return [invalid("roleRef", obj["roleRef"], "cannot change roleRef")]
        return []
