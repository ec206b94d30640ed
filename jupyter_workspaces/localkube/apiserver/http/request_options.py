"""Decodes the options of writes and deletions from the query or the body of a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiohttp import web

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import patches
from jupyter_workspaces.localkube.apiserver.objects.fields.entries import (
    MAX_MANAGER_BYTES,
    manager_name,
)

from . import requests, status
from .options import DeleteOptions, WriteOptions

_LONGEST_GRACE = 10**9
_POLICIES = ["Foreground", "Background", "Orphan"]
_VALIDATIONS = ["", "Ignore", "Strict", "Warn"]
_KINDS = {
    method: Resource("meta.k8s.io", "v1", "", kind)
    for method, kind in (
        ("POST", "CreateOptions"),
        ("PUT", "UpdateOptions"),
        ("PATCH", "PatchOptions"),
        ("DELETE", "DeleteOptions"),
    )
}


def write_options(request: web.Request) -> WriteOptions:
    """Return the options of a create, update or patch.

    Raises:
        Refusal: 422 for invalid options.
    """
    query = request.query
    applies = (
        request.method == "PATCH"
        and requests.media_type(request.headers.get("Content-Type")) == patches.APPLY
    )
    given, validation = query.get("fieldManager", ""), query.get("fieldValidation", "")
    causes = [
        *_manager_causes(request.method, applies, given, "force" in query),
        *_dry_run_causes(query.getall("dryRun", [])),
        *(
            [not_supported("fieldValidation", validation, _VALIDATIONS)]
            if validation not in _VALIDATIONS
            else []
        ),
    ]
    if causes:
        raise status.invalid(_KINDS[request.method], "", causes)
    manager = manager_name(given, request.headers.get("User-Agent"))
    return WriteOptions(
        "dryRun" in query, validation or "Warn", manager, _flag(query, "force") is True
    )


def delete_options(
    query: Mapping[str, str], data: bytes, content_type: str | None
) -> DeleteOptions:
    """Return the options in the body (DeleteOptions), or else in the query.

    Raises:
        Refusal: 400 for malformed options, 422 for invalid ones.
    """
    given = requests.decode_body(data, content_type) if data.strip() else _of_query(query)
    if given.get("kind", "DeleteOptions") != "DeleteOptions":
        raise status.bad_request(f"the body must be DeleteOptions, not a {given['kind']}")
    preconditions = given.get("preconditions") or {}
    dry, policy, orphan = (
        given.get("dryRun") or [],
        given.get("propagationPolicy"),
        given.get("orphanDependents"),
    )
    if not isinstance(preconditions, dict) or not isinstance(dry, list):
        raise status.bad_request("preconditions must be an object and dryRun a list")
    texts = (policy, preconditions.get("uid"), preconditions.get("resourceVersion"))
    if not all(text is None or isinstance(text, str) for text in texts):
        raise status.bad_request("propagationPolicy and preconditions must be texts")
    causes = list(_dry_run_causes(dry))
    if policy is not None and isinstance(orphan, bool):
        causes.append(
            invalid("propagationPolicy", policy, "cannot be set together with orphanDependents")
        )
    elif policy is not None and policy not in _POLICIES:
        causes.append(not_supported("propagationPolicy", policy, _POLICIES))
    if causes:
        raise status.invalid(_KINDS["DELETE"], "", causes)
    if isinstance(orphan, bool):
        policy = "Orphan" if orphan else "Background"
    seconds = _seconds(given.get("gracePeriodSeconds"))
    return DeleteOptions(
        seconds, policy, preconditions.get("uid"), preconditions.get("resourceVersion"), bool(dry)
    )


def _of_query(query: Mapping[str, str]) -> Object:
    found: Object = {
        name: query[name] for name in ("gracePeriodSeconds", "propagationPolicy") if name in query
    }
    if "dryRun" in query:
        found["dryRun"] = [query["dryRun"]]
    if (orphan := _flag(query, "orphanDependents")) is not None:
        found["orphanDependents"] = orphan
    return found


def _flag(query: Mapping[str, str], name: str) -> bool | None:
    return query[name].lower() not in ("false", "0") if name in query else None


def _seconds(grace: Any) -> int | None:
    try:
        seconds = None if grace is None else int(grace)
    except (TypeError, ValueError, OverflowError) as error:
        raise status.bad_request("gracePeriodSeconds must be a whole number") from error
    if seconds is not None and seconds > _LONGEST_GRACE:
        raise status.bad_request(f"gracePeriodSeconds must be at most {_LONGEST_GRACE}")
    return seconds


def _dry_run_causes(given: Sequence[Any]) -> Iterator[Cause]:
    if any(value != "All" for value in given):
        yield not_supported("dryRun", given, ["All"])


def _manager_causes(method: str, applies: bool, manager: str, force: bool) -> Iterator[Cause]:
    if applies and not manager:
        yield required("fieldManager", "is required for apply patch")
    if method == "PATCH" and not applies and force:
        yield forbidden("force", "may not be specified for non-apply patch")
    if len(manager.encode()) > MAX_MANAGER_BYTES:
        yield Cause(
            "FieldValueTooLong",
            f"Too long: may not be more than {MAX_MANAGER_BYTES} bytes",
            "fieldManager",
        )
    strange = next(
        (index for index, letter in enumerate(manager) if not letter.isprintable()), None
    )
    if strange is not None:
        yield invalid(
            "fieldManager",
            manager,
            f"invalid character U+{ord(manager[strange]):04X} (at position {strange})",
        )
