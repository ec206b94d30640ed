"""Answers other than success, in the envelope of Kubeflow Workspaces (contracts/kubeflow-workspaces.md §1.2)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from itertools import islice
from typing import Any

from jupyter_workspaces.kube import errors
from jupyter_workspaces.kube.causes import Cause

MOST_CAUSES = 100
"""More are not told: a body can have a hundred thousand mistakes."""


class Problem(Exception):
    """`cause` goes to the client as it is; absent where the contract has none."""

    def __init__(
        self, status: HTTPStatus, message: str, cause: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.cause = status, message, cause

    def document(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": str(self.status.value), "message": self.message}
        if self.cause is not None:
            error["cause"] = self.cause
        return {"error": error}


class Stale(Problem):
    """What was read has changed since. 409 by a body's revision, 412 by If-Match."""

    def __init__(self) -> None:
        text = "It was changed since you read it. Read it again, make your change, and send it with the new revision."
        super().__init__(HTTPStatus.CONFLICT, text, {})

    def as_precondition(self) -> Problem:
        return Problem(HTTPStatus.PRECONDITION_FAILED, self.message, self.cause)


def bad_request(message: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, message)


def too_large(message: str) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def not_found(message: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, message)


def forbidden(message: str) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, message)


def taken(what: str, name: str) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT, f"There is a {what} named {name} already; choose another name.", {}
    )


def stale() -> Problem:
    return Stale()


def conflict(message: str) -> Problem:
    """The cluster's own state is against it."""
    return Problem(
        HTTPStatus.CONFLICT,
        "This cannot be done now.",
        {"conflict_cause": [{"origin": "KUBERNETES", "message": message}]},
    )


def invalid(
    causes: Iterable[Cause], origin: str = "INTERNAL", message: str | None = None
) -> Problem:
    """422. Without a message the first causes are told."""
    found = list(islice(causes, MOST_CAUSES))
    errors_ = [
        {"origin": origin, "type": cause.reason, "field": cause.field, "message": cause.message}
        for cause in found
    ]
    if message is None:
        message = (
            "; ".join(f"{cause.field}: {cause.message}" for cause in found[:3])
            or "The request is not valid."
        )
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, message, {"validation_errors": errors_})


def from_cluster(error: errors.ClusterError, what: str = "object", name: str = "") -> Problem:
    """What a refusal of the cluster means to the client."""
    match error:
        case errors.AlreadyExists():
            return taken(what, name)
        case errors.NotFound():
            return not_found(f"There is no {what} named {name}." if name else error.message)
        case errors.Invalid():
            return invalid(
                error.causes or (Cause("FieldValueInvalid", error.message),), "KUBERNETES"
            )
        case errors.Conflict():
            return conflict(error.message)
        case errors.Forbidden():
            return forbidden(
                f"You may not do this: {error.message}. Ask whoever manages the cluster."
            )
        case errors.Unauthorized():
            text = "The cluster does not accept our credentials any more. Sign in to it again, then retry."
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, text)
        case errors.Unreachable():
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"The cluster does not answer: {error.message}. Try again in a moment.",
            )
        case errors.BadRequest():
            return bad_request(error.message)
    if error.status == HTTPStatus.INSUFFICIENT_STORAGE:
        return Problem(HTTPStatus.INSUFFICIENT_STORAGE, error.message)
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, f"The cluster could not do it: {error.message}"
    )
