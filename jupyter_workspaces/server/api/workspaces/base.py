"""Base handler of the Workspaces API: its envelope, and compatibility mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import msgspec

from jupyter_workspaces.common.documents.threads import read_in_thread
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.server.http import problems
from jupyter_workspaces.server.http.base import JSON, BaseHandler
from jupyter_workspaces.server.http.lists import Selection
from jupyter_workspaces.server.http.problems import Problem

from . import bodies, envelope

if TYPE_CHECKING:
    from jupyter_workspaces.server.connection import ApiConnection

    from .services import WorkspacesServices

Model = TypeVar("Model", bound=msgspec.Struct)

SETTING = "jupyter_workspaces"
"""Setting of the web application: the `ApiConnection` of this API."""

NATIVE_HEADERS = ("If-None-Match", "If-Match")
NATIVE_PARAMETERS = frozenset(
    {"revision", "limit", "continue", "sort", "filter", "fields", "watch", "follow"}
)


class DataHandler(BaseHandler):
    """Answers `{"data": …}`, or `{"error": {"code", "message", "cause"?}}`."""

    body_limit = bodies.BODY_LIMIT

    @property
    def services(self) -> ApiConnection[WorkspacesServices]:
        """The services of the API. Raises `RuntimeError` before `permit` was called."""
        self.check_permitted()
        return self._services

    @property
    def prefix(self) -> str:
        """Path of the API."""
        return self._services.prefix

    @property
    def _services(self) -> ApiConnection[WorkspacesServices]:
        found: ApiConnection[WorkspacesServices] = self.settings[SETTING]
        return found

    @property
    def compatible(self) -> bool:
        """Whether this request gets the headers of the original (docs/dialects.md).

        It does with trusted headers, unless it uses a feature that only native mode has.
        """
        is_native = any(name in self.request.headers for name in NATIVE_HEADERS)
        return self.trusts_headers and not is_native and not NATIVE_PARAMETERS & self.query.keys()

    def set_default_headers(self) -> None:
        """Set the headers of every response."""
        super().set_default_headers()
        if self.compatible:
            self.clear_header("X-Content-Type-Options")
            self.set_header("Access-Control-Allow-Origin", "*")

    def media(self, *accepted: str) -> str:
        """Return the media type of the body. Raises `Problem` 415, and 400 if it is invalid."""
        return bodies.media_type(self.request.headers.get("Content-Type", ""), *accepted)

    async def data(self, model: type[Model]) -> Model:
        """Decode `data` of the body's envelope. Raises `Problem` 400, 413, 415 and 422."""
        self.media(JSON)
        found = await read_in_thread(self.body, partial(bodies.enveloped, model=model))
        if self.expected is not None and getattr(found, "revision", None) == "":
            found.revision = self.expected  # type: ignore[attr-defined]
        causes: Callable[[], list[Cause]] | None = getattr(found, "causes", None)
        if causes is not None and (wrong := causes()):
            raise problems.invalid(wrong)
        return found

    def answer(
        self, data: Any, status: HTTPStatus = HTTPStatus.OK, *, location: str | None = None
    ) -> None:
        """Send `data` in the envelope."""
        if location is not None:
            self.set_header("Location", location)
        self.set_status(status)
        self.send(msgspec.json.encode({"data": data}))

    def answer_list(self, items: Sequence[Any], chosen: Selection | None) -> None:
        """Send a list, or the selected part of it; `Link` has the next page (RFC 8288)."""
        if chosen is None:
            return self.answer(items)
        page, token = chosen.apply(msgspec.to_builtins(items))
        if token is not None:
            query = [
                (name, value)
                for name, values in self.query.items()
                for value in values
                if name != "continue"
            ]
            url = f"{self.request.path}?{urlencode([*query, ('continue', token)])}"
            self.set_header("Link", f'<{url}>; rel="next"')
        self.answer(page)

    def encode_problem(self, problem: Problem) -> bytes:
        """Return the error in the envelope."""
        return msgspec.json.encode(envelope.error(problem))
