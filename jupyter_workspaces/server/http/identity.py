"""Identity of a user by the headers of a trusted reverse proxy (`--trusted-header-auth`).

Every client that reaches the port can set these headers, so only the proxy may reach it.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from tornado import web
from tornado.httputil import HTTPHeaders
from traitlets import Unicode, default

from jupyter_workspaces.server.access_reviews import Identity


class HeaderIdentities(IdentityProvider):
    """Trusts the headers of a reverse proxy. Ignores tokens, cookies and passwords."""

    user_header = Unicode("kubeflow-userid", config=True, help="Header with the user name.")
    user_prefix = Unicode(":", config=True, help="Prefix that is removed from the user name.")
    groups_header = Unicode(
        "kubeflow-groups", config=True, help="Header with a group; one header line for each group."
    )
    groups_prefix = Unicode("", config=True, help="Prefix that is removed from each group.")

    @default("token")
    def _token_default(self) -> str:
        return ""  # tokens are not accepted, so none is printed in a link

    @property
    def auth_enabled(self) -> bool:
        """Return True: every request needs a user."""
        return True

    @property
    def login_available(self) -> bool:
        """Return False: the reverse proxy signs users in."""
        return False

    def identity(self, headers: HTTPHeaders) -> Identity | None:
        """Return the user of a request, None if the user header is missing or empty.

        The first user header counts. The value of a group header is one name, commas included.
        """
        users = headers.get_list(self.user_header)
        user = users[0].strip().removeprefix(self.user_prefix) if users else ""
        if not user:
            return None
        groups = (
            line.strip().removeprefix(self.groups_prefix)
            for line in headers.get_list(self.groups_header)
        )
        return Identity(user, tuple(group for group in groups if group))

    def get_user(self, handler: web.RequestHandler) -> User | None:
        """Return the user of the headers."""
        found = self.identity(handler.request.headers)
        return None if found is None else User(username=found.user)

    def validate_security(self, app: Any, ssl_options: dict[str, Any] | None = None) -> None:
        """Log a warning that clients of the port are trusted."""
        self.log.warning(
            "--trusted-header-auth: every client of this port can set the user in %s. Allow only "
            "the proxy to reach it.",
            self.user_header,
        )
