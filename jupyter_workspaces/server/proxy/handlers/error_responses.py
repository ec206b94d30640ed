"""Error responses of the proxy: a placeholder page for a navigation, JSON for other requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from jupyter_server.base.handlers import JupyterHandler

from jupyter_workspaces.server.proxy.pages.placeholders import Step, page
from jupyter_workspaces.server.proxy.pages.tab_notice import METRIC
from jupyter_workspaces.server.proxy.target import WorkspacePort
from jupyter_workspaces.server.proxy.unavailable import Unavailable
from jupyter_workspaces.server.proxy.upstreams import Upstreams, upstreams

from .errors import RedirectTo, RequestRefused, WorkspaceUnavailable

_REASON_CODES = {"token": "NoToken", "secret": "MayNotReadToken", "silent": "NoAnswer"}
"""Reason codes of states for which it is not the capitalized name of the state."""
_CHANGES_SOON = frozenset(("starting", "stopping", "cluster", "silent"))


class ErrorResponses(JupyterHandler):
    """Handler that answers errors of `errors`, and limits equal lines of the log.

    Attributes:
        workspace_port: The requested port, once it has been read from the path.
        link: A URL and its text. A placeholder page with a link does not reload by itself.
    """

    workspace_port: WorkspacePort | None = None
    link: tuple[str, str] | None = None
    _is_unavailable = False

    @property
    def navigates(self) -> bool:
        """Whether a browser shows the response as a page."""
        if self.request.method not in ("GET", "HEAD"):
            return False
        mode = self.request.headers.get("Sec-Fetch-Mode")
        return mode == "navigate" if mode else "text/html" in self.request.headers.get("Accept", "")

    @property
    def upstreams(self) -> Upstreams:
        """The web application's shared connections and limits."""
        return upstreams(self.settings)

    @property
    def status_url(self) -> str:
        """Path of the workspace's state, for the script of placeholder pages."""
        port = self.workspace_port
        assert port is not None
        return f"{self.base_url}workspace/status/{port.namespace}/{port.name}/{port.port_id}"

    def write_json(self, data: Any) -> None:
        """Finish the response with a JSON document."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(data))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Respond with a page to a navigation, with JSON `{"message", "reason"}` otherwise."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        self.set_header("Cache-Control", "no-store")
        if isinstance(error, RedirectTo):
            self.set_header("Location", error.url)
            self.finish()
            return
        message, reason = HTTPStatus(status_code).phrase, "Error"
        state = {401: "signed_out", 403: "refused"}.get(status_code, "error")
        steps: Sequence[Step] = ()
        if isinstance(error, RequestRefused):
            message, reason = error.message, error.reason_code
        shown = Unavailable(state, message)
        if isinstance(error, WorkspaceUnavailable):
            self._is_unavailable = True
            shown, steps = error.why, error.steps
            if self.workspace_port is not None:
                message = f"{self.workspace_port.name}: {shown.message}"
            reason = _REASON_CODES.get(shown.state) or shown.state.capitalize()
            # The script of `pages.tab_notice` reads this header.
            self.set_header("Server-Timing", f"{METRIC};desc={shown.state}")
        if status_code in (503, 504):
            self.set_header("Retry-After", "2" if shown.state in _CHANGES_SOON else "30")
        if self.navigates and self.workspace_port is not None:
            self._write_page(shown, self.workspace_port, steps)
        else:
            self.write_json({"message": message, "reason": reason})

    def _write_page(
        self, shown: Unavailable, workspace_port: WorkspacePort, steps: Sequence[Step]
    ) -> None:
        text, policy = page(shown, workspace_port, steps, self.status_url, self.link)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", policy)
        # For older browsers, which do not know `frame-ancestors`.
        self.set_header("X-Frame-Options", "SAMEORIGIN")
        self.finish(text)

    def _log(self) -> None:
        """Log the request; of equal failures only the first few in a minute."""
        status = self.get_status()
        if status >= 400 and self.workspace_port is not None:
            path = self.workspace_port.path if self._is_unavailable else self.request.path
            shown, omitted = self.upstreams.log_limit.count((path, status))
            if omitted:
                self.log.warning(
                    "%d more requests for %s were answered with %d in the last minute",
                    omitted,
                    path,
                    status,
                )
            if not shown:
                return
        super()._log()

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an exception, unless it is an expected error response."""
        if not isinstance(value, RequestRefused | RedirectTo | WorkspaceUnavailable):
            super().log_exception(typ, value, tb)
