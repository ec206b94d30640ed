"""Access reviews: who am I, may I. Whoever holds the token may everything; RBAC objects are stored and not evaluated yet."""

from __future__ import annotations

from typing import Any

from .rows import Row
from .status import bad_request

Object = dict[str, Any]

ADMIN_GROUPS = ("system:masters", "system:authenticated")


def answer(row: Row, body: Object, user: str) -> Object:
    """The review with its status filled in. Raises `Refusal` 400."""
    spec, metadata = body.get("spec") or {}, body.get("metadata") or {}
    if not isinstance(spec, dict) or not isinstance(metadata, dict) or not isinstance(spec.get("groups") or [], list):
        raise bad_request(f"{row.resource.kind} cannot be read: spec and metadata must be objects, spec.groups a list")
    body["metadata"] = {"creationTimestamp": None} | metadata
    match row.resource.kind:
        case "SelfSubjectReview":
            body["status"] = {"userInfo": {"username": user, "groups": list(ADMIN_GROUPS)}}
        case "SelfSubjectRulesReview":
            everything = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
            body["status"] = {
                "resourceRules": everything,
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                "incomplete": False,
            }
        case "SelfSubjectAccessReview":
            body["status"] = {"allowed": True, "reason": f"{user} may do everything in this cluster"}
        case _:
            asked = spec.get("user")
            allowed = asked == user or "system:masters" in (spec.get("groups") or ())
            reason = (
                f"{asked} may do everything in this cluster" if allowed else "only the holder of the local cluster's token has rights in it"
            )
            body["status"] = {"allowed": allowed, "reason": reason}
    return body
