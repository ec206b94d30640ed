"""Errors of the API: an exception that becomes a `Status` object, worded as by Kubernetes."""

from __future__ import annotations

import json
from typing import Any

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.localkube.apiserver.objects.fields import sets
from jupyter_workspaces.localkube.apiserver.objects.fields.entries import APPLY, Manager
from jupyter_workspaces.localkube.apiserver.objects.fields.managers import Conflicts

_MOST_CAUSES = 200
"""Most causes in one error, because a body can have a hundred thousand mistakes."""


class Refusal(Exception):
    """An error response."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        causes: tuple[Cause, ...] = (),
        retry: int | None = None,
    ) -> None:
        """Create an error.

        Args:
            code: HTTP status code.
            reason: machine-readable reason, such as `NotFound`.
            message: human-readable message.
            details: the object that the error is about.
            causes: errors of single fields.
            retry: seconds after which the client may retry.
        """
        super().__init__(message)
        self.code, self.reason, self.message, self.causes, self.retry = (
            code,
            reason,
            message,
            causes,
            retry,
        )
        self._details, self._detailed = dict(details or {}), details is not None
        if retry is not None:
            self._details["retryAfterSeconds"] = retry

    def document(self) -> dict[str, Any]:
        """Return the Status object."""
        details = dict(self._details)
        if self.causes:
            details["causes"] = [
                {
                    key: value
                    for key, value in (
                        ("reason", cause.reason),
                        ("message", cause.message),
                        ("field", cause.field),
                    )
                    if value
                }
                for cause in self.causes
            ]
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if details or self._detailed:
            body["details"] = details
        body["code"] = self.code
        return body


def success(resource: Resource, name: str, uid: str) -> dict[str, Any]:
    """Return the Status of a completed deletion."""
    deleted = details(resource, name) | {"uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": deleted,
    }


def details(resource: Resource, name: str) -> dict[str, Any]:
    """Return the details of a Status: the object that it is about."""
    pairs = (("name", name), ("group", resource.group), ("kind", resource.plural))
    return {key: value for key, value in pairs if value}


def _title(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def not_found(resource: Resource, name: str) -> Refusal:
    """Return 404 for an object that does not exist."""
    return Refusal(
        404, "NotFound", f'{_title(resource)} "{name}" not found', details=details(resource, name)
    )


def already_exists(resource: Resource, name: str) -> Refusal:
    """Return 409 for an object that exists already."""
    return Refusal(
        409,
        "AlreadyExists",
        f'{_title(resource)} "{name}" already exists',
        details=details(resource, name),
    )


def undecodable(why: str) -> Refusal:
    """Return 422 for a patch whose result is no valid object of the kind."""
    return Refusal(
        422,
        "Invalid",
        f"the patched object is not valid: {why}",
        details={},
        causes=(Cause("FieldValueInvalid", why, "patch"),),
    )


def conflict(resource: Resource, name: str, why: str) -> Refusal:
    """Return 409 for a write that conflicts with the stored object."""
    return Refusal(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {_title(resource)} "{name}": {why}',
        details=details(resource, name),
    )


def apply_conflict(conflicts: Conflicts) -> Refusal:
    """Return 409 for an apply of fields that have other managers; a cause for each field."""
    held = sorted(
        (_manager(manager), sorted(sets.path_texts(fields))) for manager, fields in conflicts.held
    )
    causes = [
        Cause("FieldManagerConflict", f"conflict with {who}", path)
        for who, paths in held
        for path in paths
    ]
    if len(causes) == 1:
        text = f"{causes[0].message}: {causes[0].field}"
    else:
        text = "\n".join(
            f"conflicts with {who}:\n" + "\n".join(f"- {path}" for path in paths)
            for who, paths in held
        )
    noun = "conflict" if len(causes) == 1 else "conflicts"
    return Refusal(
        409, "Conflict", f"Apply failed with {len(causes)} {noun}: {text}", causes=tuple(causes)
    )


def _manager(manager: Manager) -> str:
    """Return a manager as conflicts show it, with the API version if it updates."""
    name = json.dumps(manager.name, ensure_ascii=False)
    if manager.subresource:
        name += f" with subresource {json.dumps(manager.subresource)}"
    return name if manager.operation == APPLY else f"{name} using {manager.api_version}"


def invalid(resource: Resource, name: str, causes: list[Cause]) -> Refusal:
    """Return 422 for an object with invalid fields."""
    causes = causes[:_MOST_CAUSES]
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    pairs = (("name", name), ("group", resource.group), ("kind", resource.kind))
    details = {key: value for key, value in pairs if value}
    return Refusal(
        422, "Invalid", f'{kind} "{name}" is invalid: {text}', details=details, causes=tuple(causes)
    )


def forbidden(resource: Resource, name: str, why: str, causes: tuple[Cause, ...] = ()) -> Refusal:
    """Return 403 for an operation on an object."""
    return Refusal(
        403,
        "Forbidden",
        f'{_title(resource)} "{name}" is forbidden: {why}',
        details=details(resource, name),
        causes=causes,
    )


def bad_request(message: str) -> Refusal:
    """Return 400."""
    return Refusal(400, "BadRequest", message)


def expired(message: str = "The provided continue parameter is too old; list again") -> Refusal:
    """Return 410 for a list that cannot be continued."""
    return Refusal(410, "Expired", message)


def gone(requested: int, oldest: int) -> Refusal:
    """Return 410 for a resource version that is too old."""
    return Refusal(410, "Expired", f"too old resource version: {requested} ({oldest})")


def too_new(requested: int, newest: int) -> Refusal:
    """Return 504 for a resource version that does not exist yet."""
    cause = Cause("ResourceVersionTooLarge", "Too large resource version", "")
    return Refusal(
        504,
        "Timeout",
        f"Too large resource version: {requested}, current: {newest}",
        causes=(cause,),
        retry=1,
    )


def unauthorized() -> Refusal:
    """Return 401."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def internal() -> Refusal:
    """Return 500. The traceback is in the log."""
    return Refusal(500, "InternalError", "Internal error occurred: see the log of the API server")


def page_not_found(resource: Resource | None = None, name: str = "") -> Refusal:
    """Return 404 for a path that is not served.

    Args:
        resource: the resource, if it lacks such a subresource.
        name: name of the object.
    """
    about = {} if resource is None else details(resource, name)
    return Refusal(
        404, "NotFound", "the server could not find the requested resource", details=about
    )


def method_not_allowed(resource: Resource | None = None) -> Refusal:
    """Return 405.

    Args:
        resource: the resource whose subresource is requested.
    """
    about = {} if resource is None else details(resource, "")
    return Refusal(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        details=about,
    )


def unsupported_media(accepted: list[str]) -> Refusal:
    """Return 415 for the media type of a body."""
    text = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return Refusal(415, "UnsupportedMediaType", text)


def unsupported_encoding() -> Refusal:
    """Return 415 for a compressed body."""
    return Refusal(
        415,
        "UnsupportedMediaType",
        "the body of the request is compressed; send it without Content-Encoding",
    )


def unsupported_patch(accepted: list[str], *, detailed: bool = True) -> Refusal:
    """Return 415 for the media type of a patch.

    Args:
        accepted: media types of patches that are accepted.
        detailed: whether the Status has (empty) details.
    """
    text = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return Refusal(415, "UnsupportedMediaType", text, details={} if detailed else None)


def too_many_requests(limit: int) -> Refusal:
    """Return 429 for more open streams than the limit."""
    return Refusal(
        429,
        "TooManyRequests",
        f"More than {limit} watches and logs are open; close some, then try again",
        retry=1,
    )


def too_large(limit: int) -> Refusal:
    """Return 413 for a body of too many bytes."""
    return entity_too_large(f"Request entity too large: limit is {limit}")


def entity_too_large(message: str) -> Refusal:
    """Return 413 with a message."""
    return Refusal(413, "RequestEntityTooLarge", message)
