"""Options of lists and watches: the resource version, and the size of pages.

Source: Kubernetes docs, "API concepts", Resource versions; ListOptions of meta/v1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause, forbidden, not_supported

from . import requests, status

EXACT, NOT_OLDER = "Exact", "NotOlderThan"
_LIST_OPTIONS = Resource("meta.k8s.io", "v1", "", "ListOptions")


@dataclass(frozen=True)
class ListOptions:
    """Options of a list.

    Attributes:
        revision: None for the newest state, 0 for any.
        exact: whether the state at exactly that revision is requested.
        limit: most objects on a page; None for all.
        token: where to continue a list.
    """

    revision: int | None
    exact: bool
    limit: int | None
    token: str


@dataclass(frozen=True)
class WatchOptions:
    """Options of a watch.

    The existing objects are sent first with `initial_events`, or without a revision.

    Attributes:
        seconds: duration of the watch; None leaves it to the server.
    """

    revision: int | None
    initial_events: bool
    bookmarks: bool
    seconds: int | None


def of_list(query: Mapping[str, str]) -> ListOptions:
    """Return the options of a list.

    Raises:
        Refusal: 400 for malformed numbers, 422 for options that exclude each other.
    """
    _check(query, watches=False)
    revision, limit, token = (
        requests.number(query, "resourceVersion"),
        _limit(query),
        query.get("continue", ""),
    )
    if token and revision:
        raise status.bad_request("specifying resource version is not allowed when using continue")
    match = query.get("resourceVersionMatch", "")
    return ListOptions(
        revision,
        bool(revision) and (match == EXACT or (limit is not None and not match)),
        limit,
        token,
    )


def of_watch(query: Mapping[str, str]) -> WatchOptions:
    """Return the options of a watch.

    Raises:
        Refusal: as for `of_list`.
    """
    _check(query, watches=True)
    return WatchOptions(
        requests.number(query, "resourceVersion"),
        requests.flag(query, "sendInitialEvents"),
        requests.flag(query, "allowWatchBookmarks"),
        requests.number(query, "timeoutSeconds"),
    )


def _check(query: Mapping[str, str], *, watches: bool) -> None:
    if causes := list(_causes(query, watches=watches)):
        raise status.invalid(_LIST_OPTIONS, "", causes)


def _causes(query: Mapping[str, str], *, watches: bool) -> Iterator[Cause]:
    match, revision, token = (
        query.get(name, "") for name in ("resourceVersionMatch", "resourceVersion", "continue")
    )
    initial = "sendInitialEvents" in query
    # Kubernetes reads such a watch as one with initial events.
    if watches and token and not match and revision in ("", "0"):
        yield forbidden("resourceVersionMatch", "may not be set together with continue")
    if match and not initial:
        if watches:
            yield forbidden(
                "resourceVersionMatch", "may not be set for a watch without sendInitialEvents"
            )
        if not revision:
            yield forbidden("resourceVersionMatch", "may not be set without resourceVersion")
    if match and token:
        yield forbidden("resourceVersionMatch", "may not be set together with continue")
    if match and match not in (EXACT, NOT_OLDER):
        yield not_supported("resourceVersionMatch", match, [EXACT, NOT_OLDER])
    if match == EXACT and revision == "0":
        yield forbidden("resourceVersionMatch", 'Exact needs a resourceVersion other than "0"')
    if initial and not watches:
        yield forbidden("sendInitialEvents", "may not be set for a list")
    elif initial and not match:
        yield forbidden(
            "resourceVersionMatch", "sendInitialEvents needs resourceVersionMatch=NotOlderThan"
        )
    elif initial and match == EXACT:
        yield not_supported("resourceVersionMatch", match, [NOT_OLDER])


def _limit(query: Mapping[str, str]) -> int | None:
    """Return the limit; None if it is absent, zero or negative."""
    text = query.get("limit", "")
    return (
        None
        if text.startswith("-") and text[1:].isdigit()
        else requests.number(query, "limit") or None
    )
