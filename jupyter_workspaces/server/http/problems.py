"""Error responses of the HTTP APIs. Each API encodes them in its own envelope."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from itertools import islice

from jupyter_workspaces.kube import errors
from jupyter_workspaces.kube.causes import Cause

MOST_CAUSES = 100
"""Limit of reported causes: a body can have a hundred thousand errors."""


class Problem(Exception):
    """Error response: HTTP status and a message for people."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Conflict(Problem):
    """409: the current state of the object, or of the cluster, does not allow the request.

    `reason` is the reason in the words of the cluster, if it has one.
    """

    def __init__(
        self,
        message: str,
        reason: str | None = None,
        status: HTTPStatus = HTTPStatus.CONFLICT,
    ) -> None:
        super().__init__(status, message)
        self.reason = reason


class StaleRevision(Conflict):
    """The object has changed since the client read it: 409, or 412 with `If-Match`."""

    def __init__(self) -> None:
        super().__init__(
            "It was changed since you read it. Read it again, make your change, and send it with "
            "the new revision."
        )

    def as_precondition(self) -> Conflict:
        """Return the same problem as 412 (RFC 9110, If-Match)."""
        return Conflict(self.message, status=HTTPStatus.PRECONDITION_FAILED)


class InvalidObject(Problem):
    """422: the object is invalid, with one cause for each invalid field.

    `by_cluster` is true if the cluster found the causes.
    """

    def __init__(self, message: str, causes: tuple[Cause, ...], by_cluster: bool) -> None:
        super().__init__(HTTPStatus.UNPROCESSABLE_ENTITY, message)
        self.causes, self.by_cluster = causes, by_cluster


def bad_request(message: str) -> Problem:
    """Return a 400."""
    return Problem(HTTPStatus.BAD_REQUEST, message)


def too_large(message: str) -> Problem:
    """Return a 413."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def not_found(message: str) -> Problem:
    """Return a 404."""
    return Problem(HTTPStatus.NOT_FOUND, message)


def forbidden(message: str) -> Problem:
    """Return a 403."""
    return Problem(HTTPStatus.FORBIDDEN, message)


def already_exists(what: str, name: str) -> Problem:
    """Return a 409 for a name that is in use."""
    return Conflict(f"There is a {what} named {name} already; choose another name.")


def conflict(reason: str) -> Problem:
    """Return a 409 with the reason of the cluster."""
    return Conflict("This cannot be done now.", reason)


def invalid(
    causes: Iterable[Cause], by_cluster: bool = False, message: str | None = None
) -> Problem:
    """Return a 422. The default message has the first causes."""
    found = tuple(islice(causes, MOST_CAUSES))
    if message is None:
        first = "; ".join(f"{cause.field}: {cause.message}" for cause in found[:3])
        message = first or "The request is not valid."
    return InvalidObject(message, found, by_cluster)


def from_cluster(error: errors.ClusterError, what: str = "object", name: str = "") -> Problem:
    """Return the problem for an error response of the cluster about object `name`."""
    match error:
        case errors.AlreadyExists():
            return already_exists(what, name)
        case errors.NotFound():
            return not_found(f"There is no {what} named {name}." if name else error.message)
        case errors.Invalid():
            causes = error.causes or (Cause("FieldValueInvalid", error.message),)
            return invalid(causes, by_cluster=True)
        case errors.Conflict():
            return conflict(error.message)
        case errors.Forbidden():
            return not_allowed(error.message)
        case errors.Unauthorized():
            text = (
                "The cluster does not accept the server's credentials. Sign in to the cluster "
                "again, then retry."
            )
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, text)
        case errors.Unreachable():
            text = f"The cluster does not answer: {error.message}. Try again in a moment."
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, text)
        case errors.BadRequest():
            return bad_request(error.message)
    if error.status == HTTPStatus.INSUFFICIENT_STORAGE:
        return Problem(HTTPStatus.INSUFFICIENT_STORAGE, error.message)
    text = f"The cluster could not do it: {error.message}"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, text)


def not_allowed(reason: str) -> Problem:
    """Return a 403 for a user whom the cluster does not authorize."""
    return forbidden(f"You may not do this: {reason}. Ask the administrator of the cluster.")
