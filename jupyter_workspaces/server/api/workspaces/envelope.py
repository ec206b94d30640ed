"""Envelope of errors in the Workspaces API."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.server.http.problems import Conflict, InvalidObject, Problem


def error(problem: Problem) -> dict[str, Any]:
    """Return `{"error": {"code", "message", "cause"?}}` as the original server writes it.

    `cause` has `validation_errors` or `conflict_cause`; it is empty for other conflicts, and
    missing for other errors.
    """
    found: dict[str, Any] = {"code": str(problem.status.value), "message": problem.message}
    match problem:
        case InvalidObject():
            origin = "KUBERNETES" if problem.by_cluster else "INTERNAL"
            found["cause"] = {
                "validation_errors": [
                    {
                        "origin": origin,
                        "type": cause.reason,
                        "field": cause.field,
                        "message": cause.message,
                    }
                    for cause in problem.causes
                ]
            }
        case Conflict(reason=None):
            found["cause"] = {}
        case Conflict():
            found["cause"] = {
                "conflict_cause": [{"origin": "KUBERNETES", "message": problem.reason}]
            }
    return {"error": found}
