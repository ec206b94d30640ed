"""What a Kubernetes API can refuse, as exceptions that carry its own words (Kubernetes API conventions, `Status`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.common.errors import PlainError

from .causes import Cause


class NoEndpoint(PlainError):
    """A setting names a cluster that cannot be used. The text names the setting and the fix."""


class ClusterError(PlainError):
    """Error response of the cluster: `status` is the HTTP status, `reason` that of the `Status`.

    `retry_after` is `Retry-After` in seconds (RFC 9110 §10.2.3), 0 if missing. `requests` is the
    number of requests until the failure: a list has several pages.
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
        super().__init__(message)
        self.message = message
        self.status = type(self).status if status is None else status
        self.reason = type(self).reason if reason is None else reason
        self.causes = causes


class BadRequest(ClusterError):
    status, reason = 400, "BadRequest"


class Unauthorized(ClusterError):
    status, reason = 401, "Unauthorized"


class Forbidden(ClusterError):
    status, reason = 403, "Forbidden"


class NotFound(ClusterError):
    status, reason = 404, "NotFound"


class Conflict(ClusterError):
    """The object changed since it was read, or a precondition does not hold."""

    status, reason = 409, "Conflict"


class AlreadyExists(ClusterError):
    status, reason = 409, "AlreadyExists"


class Expired(ClusterError):
    """A watch or a continue token is too old; list again."""

    status, reason = 410, "Expired"


class Invalid(ClusterError):
    status, reason = 422, "Invalid"


class Unreachable(ClusterError):
    """No valid response: connection refused, broken, or timed out. A retry may succeed.

    `answered` is true for an HTTP response (a gateway's 503), whose text is foreign; `timed_out` is
    true after a timeout.
    """

    status, reason = 503, "ServiceUnavailable"
    answered = False
    timed_out = False


class NotAnAnswer(Unreachable):
    """Invalid response: a gateway's page instead of the Kubernetes API, or a truncated line."""


class Fenced(Unreachable):
    """A write that was not sent, because we may no longer be the one who writes."""


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
    """The exception for a failed answer; `body` is the `Status` object if it was one."""
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
