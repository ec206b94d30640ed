"""Error responses of a Kubernetes API as exceptions (Kubernetes API conventions, `Status`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.common.errors import PlainError

from .causes import Cause


class NoEndpoint(PlainError):
    """A setting names a cluster that cannot be used. The message names the setting and the fix."""


class ClusterError(PlainError):
    """Error response of a Kubernetes API.

    Attributes:
        message: message of the `Status` object, or the beginning of another body.
        status: HTTP status code.
        reason: machine-readable reason of the `Status`.
        causes: causes of the `Status`.
        retry_after: `Retry-After` in seconds (RFC 9110 §10.2.3), 0 if missing.
        requests: number of requests until the failure: a list has several pages.
    """

    status = 500
    reason = "InternalError"
    retry_after = 0.0
    requests = 1

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str | None = None,
        causes: tuple[Cause, ...] = (),
    ) -> None:
        """Make an error; status and reason default to those of the class."""
        super().__init__(message)
        self.message = message
        self.status = type(self).status if status is None else status
        self.reason = type(self).reason if reason is None else reason
        self.causes = causes


class BadRequest(ClusterError):
    """The request is malformed (400)."""

    status, reason = 400, "BadRequest"


class Unauthorized(ClusterError):
    """The credentials are missing or invalid (401)."""

    status, reason = 401, "Unauthorized"


class Forbidden(ClusterError):
    """The user lacks a permission (403)."""

    status, reason = 403, "Forbidden"


class NotFound(ClusterError):
    """The object or resource type does not exist (404)."""

    status, reason = 404, "NotFound"


class Conflict(ClusterError):
    """The object changed since it was read, or a precondition does not hold (409)."""

    status, reason = 409, "Conflict"


class AlreadyExists(ClusterError):
    """There is an object with this name (409)."""

    status, reason = 409, "AlreadyExists"


class Expired(ClusterError):
    """A watch or a continue token is too old; list again (410)."""

    status, reason = 410, "Expired"


class Invalid(ClusterError):
    """The object is invalid (422); `causes` name its fields."""

    status, reason = 422, "Invalid"


class Unreachable(ClusterError):
    """No valid response: connection refused, broken, or timed out. A retry may succeed.

    Attributes:
        answered: whether there was an HTTP response (a gateway's 503), whose text is not ours.
        timed_out: whether the request timed out.
    """

    status, reason = 503, "ServiceUnavailable"
    answered = False
    timed_out = False


class InvalidResponse(Unreachable):
    """Invalid response: a gateway's page instead of the Kubernetes API, or a truncated line."""


class Fenced(Unreachable):
    """A write that was not sent: this process may no longer hold the lease of the leader."""


_BY_REASON: dict[str, type[ClusterError]] = {
    kind.reason: kind
    for kind in (
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        AlreadyExists,
        Expired,
        Invalid,
        BadRequest,
    )
}
_BY_STATUS: dict[int, type[ClusterError]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        Expired,
        Invalid,
        Unreachable,
    )
}


def is_unavailable(error: ClusterError) -> bool:
    """Return whether the API decided nothing: unreachable, overloaded (429) or failing (5xx)."""
    return isinstance(error, Unreachable) or error.status == 429 or error.status >= 500


def from_status(http_status: int, body: Mapping[str, Any] | None, text: str = "") -> ClusterError:
    """Return the exception for an error response.

    Args:
        http_status: status code of the response.
        body: its body if that is a JSON object, such as a `Status`.
        text: its body as text, for the message if `body` is not a `Status`.
    """
    found = _from_status(http_status, body, text)
    if isinstance(found, Unreachable):
        found.answered = True
    return found


def _from_status(http_status: int, body: Mapping[str, Any] | None, text: str) -> ClusterError:
    if not body or body.get("kind") != "Status":
        return _BY_STATUS.get(http_status, ClusterError)(
            text.strip()[:500] or f"HTTP {http_status}", status=http_status
        )
    reason = body.get("reason") or ""
    code = body.get("code") or http_status
    kind = (
        _BY_REASON.get(reason)
        or ({"Gone": Expired}.get(reason))
        or _BY_STATUS.get(code, ClusterError)
    )
    causes = tuple(
        Cause(cause.get("reason", ""), cause.get("message", ""), cause.get("field", ""))
        for cause in (body.get("details") or {}).get("causes") or ()
    )
    return kind(
        body.get("message") or reason or f"HTTP {code}",
        status=code,
        reason=reason or None,
        causes=causes,
    )
