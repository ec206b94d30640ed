"""`WorkspaceInfo`: properties of a workspace, read from a list item of the API (docs/api.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Protocol
from urllib.parse import urlsplit

from jupyter_workspaces.common import quantities, timestamps

from . import formatting

Object = dict[str, Any]


class ServerAddress(Protocol):
    """Address of the server: `AsyncClient`."""

    @property
    def root(self) -> str:
        """Base URL, ending in `/`."""

    @property
    def same_page(self) -> bool:
        """Whether the server also serves the notebook's page."""


class WorkspaceInfo:
    """Properties of a workspace, as last loaded from the server."""

    def __init__(self, server: ServerAddress, item: Object) -> None:
        """Create the object from a list item of the API."""
        self._server, self._item = server, item
        self.mounts: list[str] | None = None
        """Names of its volumes; None until loaded (`volumes`, `WorkspaceList.learn_volumes`)."""

    @property
    def name(self) -> str:
        """Name."""
        return str(self._item["name"])

    @property
    def namespace(self) -> str:
        """Namespace."""
        return str(self._item["namespace"])

    @property
    def state(self) -> str:
        """State: Running, Pending, Paused, Error, Terminating or Unknown."""
        return formatting.shown_state(self._item)

    @property
    def state_words(self) -> formatting.StateLabel:
        """How the state is shown, such as Pausing while its programs stop."""
        return formatting.of_item(self._item)

    @property
    def message(self) -> str:
        """Human-readable reason for the current state; may be empty."""
        return str(self._item.get("stateMessage") or "")

    @property
    def kind(self) -> str:
        """Name of the workspace kind."""
        return str(self._item["workspaceKind"]["name"])

    @property
    def image(self) -> str:
        """Id of the image option."""
        return str(self._option("imageConfig")["id"])

    @property
    def size(self) -> str:
        """Id of the size option."""
        return str(self._option("podConfig")["id"])

    @property
    def image_name(self) -> str:
        """Name of the image option."""
        return formatting.option(self._option("imageConfig"))

    @property
    def size_words(self) -> str:
        """Size as text, such as `2 CPU · 4 GiB`, else the name of the size option."""
        info = self._option("podConfig")
        return formatting.size(info.get("labels"), formatting.option(info))

    @property
    def paused(self) -> bool:
        """Whether it is meant to be paused."""
        return bool(self._item["paused"])

    @property
    def last_activity(self) -> float:
        """Time of the last activity, in ms since 1970; 0 if unknown."""
        return float((self._item.get("activity") or {}).get("lastActivity") or 0)

    @property
    def created(self) -> float:
        """Creation time, in ms since 1970; 0 if unknown."""
        return float(timestamps.milliseconds((self._item.get("audit") or {}).get("createdAt")))

    @property
    def path(self) -> str:
        """Path of its first port; empty if its image option no longer exists."""
        paths = [
            (one.get("httpService") or {}).get("httpPath")
            for one in self._item.get("services") or ()
        ]
        return next((str(path) for path in paths if path), "")

    @property
    def url(self) -> str:
        """URL of its page; only the path if this notebook's server serves it."""
        if not self.path:
            return ""
        root = self._server.root or "/"
        return (urlsplit(root).path if self._server.same_page else root).rstrip("/") + self.path

    @property
    def summary(self) -> str:
        """Kind, image and size as text."""
        return " · ".join(part for part in (self.kind, self.image_name, self.size_words) if part)

    @property
    def resources(self) -> dict[str, float | None]:
        """Requested `cpu` (cores), `memory` (bytes) and `gpu` (count); None if unknown."""
        labels = {
            str(label.get("key")): str(label.get("value"))
            for label in self._option("podConfig").get("labels") or ()
        }
        return {name: _amount(labels.get(name)) for name in ("cpu", "memory", "gpu")}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and YAML (docs/command-line.md).

        Times are RFC 3339 in UTC; unknown values are None.
        """
        names = ("name", "namespace", "state", "message", "kind", "image", "size", "paused")
        return {name: getattr(self, name) for name in names} | {
            "url": self.url,
            "created": _rfc3339(self.created),
            "last_used": _rfc3339(self.last_activity),
            "volumes": self.mounts,
            **self.resources,
        }

    def _option(self, dimension: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._item["podTemplate"]["options"][dimension]["current"]
        return found


def _rfc3339(milliseconds: float) -> str | None:
    """Return a timestamp in ms as RFC 3339 in UTC; None for 0."""
    if not milliseconds:
        return None
    return (
        datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z")
    )


def _amount(quantity: str | None) -> float | None:
    """Return the value of a Kubernetes quantity; None if missing or invalid."""
    try:
        exact = quantities.parse(quantity) if quantity else None
    except quantities.QuantityError:
        return None
    return (
        None
        if exact is None
        else int(exact)
        if exact == exact.to_integral_value()
        else float(exact)
    )
