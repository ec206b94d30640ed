"""HTTP errors that the proxy's handlers raise. `error_responses` turns them into responses."""

from __future__ import annotations

from collections.abc import Sequence

from tornado import web

from jupyter_workspaces.server.proxy.pages.placeholders import Step
from jupyter_workspaces.server.proxy.unavailable import Unavailable


class RequestRefused(web.HTTPError):
    """A request that is refused.

    Attributes:
        message: Sentences for people.
        reason_code: The reason for programs, in camel case.
    """

    def __init__(self, status: int, message: str, reason_code: str) -> None:
        """Store status, message and reason."""
        super().__init__(status)
        self.message, self.reason_code = message, reason_code


class RedirectTo(web.HTTPError):
    """A redirect to `url`."""

    def __init__(self, url: str, status: int = 302) -> None:
        """Store the URL."""
        super().__init__(status)
        self.url = url


class WorkspaceUnavailable(web.HTTPError):
    """The response for a workspace that cannot be opened now.

    Attributes:
        why: The reason.
        steps: The steps of the workspace's start, if it starts and the request shows them.
    """

    def __init__(
        self, why: Unavailable, steps: Sequence[Step] = (), status: int | None = None
    ) -> None:
        """Store the reason; `status` replaces the status code that belongs to it."""
        super().__init__(status or why.status)
        self.why, self.steps = why, steps
