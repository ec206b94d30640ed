"""Authentication, authorization and cross-site checks of every request to the proxy.

They run in `prepare`, before a byte of the body is read:

1. The Jupyter server's identity provider authenticates the user.
2. Requests of other sites' pages are refused (Fetch Metadata, `Origin`, `Referer`).
3. Jupyter's authorizer decides about the resource `workspaces`.
4. With `--trusted-header-auth`, a SubjectAccessReview decides about the workspace.
5. The server's cache must contain the namespace.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import cast

from jupyter_server.utils import ensure_async
from tornado import web
from tornado.httputil import url_concat

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import ClusterError, Forbidden
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.access_reviews import CannotReviewAccess, forbidden_message
from jupyter_workspaces.server.connection import NotReady
from jupyter_workspaces.server.http import origins
from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.http.kernel_access import KernelAccess
from jupyter_workspaces.server.proxy.headers.credentials import CredentialFilter
from jupyter_workspaces.server.proxy.headers.front_proxies import SETTING as ALLOWED_NAMES
from jupyter_workspaces.server.proxy.headers.front_proxies import AllowedNames, FrontProxy
from jupyter_workspaces.server.proxy.interfaces import Services
from jupyter_workspaces.server.proxy.target import WorkspacePort
from jupyter_workspaces.server.proxy.unavailable import Unavailable

from .error_responses import ErrorResponses
from .errors import RedirectTo, RequestRefused, WorkspaceUnavailable

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))

CLUSTER_SECONDS = 5.0
"""Seconds to wait for the cluster while its state is unknown. Placeholder pages retry."""

CROSS_ORIGIN = "CrossOrigin"
"""Reason code of requests from pages of other sites."""


class AccessHandler(KernelAccess, ErrorResponses):
    """Handler that serves only authenticated and authorized requests of trusted pages.

    Attributes:
        action: Jupyter's action to authorize; empty for read or write, by the request's method.
        reads_only: Whether GET requires only `get` on the workspace. Others require `update`,
            because who uses the programs in a workspace can change what is in it.
        services: The server's services, after `prepare`.
    """

    auth_resource = "workspaces"
    action = ""
    reads_only = False
    # Requests into a workspace do not keep the Jupyter server in front of it alive.
    _track_activity = False
    workspace_port: WorkspacePort
    services: Services

    def read_workspace_port(self) -> None:
        """Set `workspace_port` from the request's path."""
        named = self.path_kwargs
        self.workspace_port = WorkspacePort(named["namespace"], named["name"], named["port"])

    async def prepare(self) -> None:  # type: ignore[override]
        """Authenticate and authorize. Raises the errors of `errors`."""
        self.read_workspace_port()
        origins.drop_unreadable_referer(self.request)
        await self.authenticate()
        if not self.token_authenticated:
            self.refuse_cross_site()
        action = self.action or ("read" if self.request.method in _SAFE_METHODS else "write")
        allowed = await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, action, self.auth_resource)
        )
        if not allowed:
            raise RequestRefused(
                403,
                f"You are not permitted to {action} workspaces on this server. Ask your"
                " administrator for this permission.",
                "NotAllowed",
            )
        if action != "read" and not self.is_from_our_pages():
            raise RequestRefused(
                403,
                "This request does not say which page it comes from, so it was not forwarded.",
                CROSS_ORIGIN,
            )
        try:
            self.services = await cast(Services, self.settings["jupyter_workspaces"]).ready(
                CLUSTER_SECONDS, stale=True
            )
        except NotReady as error:
            raise WorkspaceUnavailable(Unavailable("cluster", str(error))) from error
        if isinstance(self.identity_provider, HeaderIdentities):
            await self._authorize_in_cluster(self.identity_provider)
        await self._watch_namespace()

    async def _watch_namespace(self) -> None:
        """Wait for the namespace's cache; after authorization, because a watch costs requests."""
        try:
            async with timeout(CLUSTER_SECONDS):
                await self.services.cluster.reach(self.workspace_port.namespace)
        except Forbidden as error:
            raise RequestRefused(
                403, f"{error.message}. Ask your administrator for this permission.", "NotAllowed"
            ) from error
        except (ClusterError, asyncio.TimeoutError) as error:
            message = str(error) or "The cluster did not answer in time. Trying again."
            raise WorkspaceUnavailable(Unavailable("cluster", message)) from error

    async def authenticate(self) -> None:
        """Set `current_user`.

        Raises:
            RequestRefused: The user is not signed in.
            RedirectTo: The login page, for a navigation.
        """
        try:
            await super().prepare(_redirect_to_login=False)
        except web.HTTPError as error:
            if error.status_code == 400:
                raise RequestRefused(
                    400, "The query of this URL is not valid UTF-8.", "BadRequest"
                ) from error
            if not self.check_host():
                raise RequestRefused(
                    403,
                    f"This server does not serve the host '{self.request.host}'.",
                    "UnknownHost",
                ) from None
        if self.current_user:
            return
        trusts_headers = isinstance(self.identity_provider, HeaderIdentities)
        if self.navigates and "login_url" in self.settings and not trusts_headers:
            url = self.get_login_url()
            # JupyterHub's URL has a query, and its cookie says where to go on.
            if "?" not in url:
                url = url_concat(url, {"next": self.request.uri or ""})
            raise RedirectTo(url)
        raise RequestRefused(
            401 if trusts_headers else 403,
            "You are not signed in to this server, or your session has ended. Sign in and try"
            " again.",
            "NotSignedIn",
        )

    async def _authorize_in_cluster(self, provider: HeaderIdentities) -> None:
        """Authorize the user of the trusted headers by a SubjectAccessReview."""
        identity = provider.identity(self.request.headers)
        verb = "get" if self.reads_only and self.request.method in _SAFE_METHODS else "update"
        namespace, name = self.workspace_port.namespace, self.workspace_port.name
        try:
            if identity and await self.services.access.allowed(
                identity, verb, WORKSPACES, namespace, name
            ):
                return
        except CannotReviewAccess as why:
            raise RequestRefused(500, str(why), "CannotAsk") from why
        except ClusterError as error:
            raise WorkspaceUnavailable(Unavailable("cluster", error.message)) from error
        assert identity is not None  # `authenticate` refuses requests without a user
        denied = forbidden_message(identity, verb, WORKSPACES, namespace, name)
        raise RequestRefused(
            403,
            f"You are not permitted to open this workspace: {denied}. Ask your administrator for"
            " this permission.",
            "NotAllowed",
        )

    def check_xsrf_cookie(self) -> None:
        """Do nothing: programs in workspaces do not know our `_xsrf`.

        `refuse_cross_site` and `is_from_our_pages` protect writes instead.
        """

    def refuse_cross_site(self) -> None:
        """Raise `RequestRefused` for a request of another site's page."""
        if self._is_cross_site():
            raise RequestRefused(
                403,
                "This request comes from a page of another site, so it was not forwarded.",
                CROSS_ORIGIN,
            )

    def _is_cross_site(self) -> bool:
        """Return whether a page of another site, and none of this workspace, sent the request.

        A page in a sandbox, such as an HTML file that Jupyter shows, has no origin of its own. It
        may load its images, which its `Referer` permits.
        """
        if not origins.is_cross_site(self.request, self.settings, lets_navigate=not self.action):
            return False
        own = f"{self.base_url}{self.workspace_port.path[1:]}"
        is_inside = (
            not self.action
            and "Origin" not in self.request.headers
            and origins.is_page_below(self.request, own)
        )
        return self.request.method not in ("GET", "HEAD") or not is_inside

    def is_from_our_pages(self) -> bool:
        """Return whether a write or WebSocket comes from our pages, or from no browser.

        `prepare` has refused those of other sites. A login cookie alone does not suffice.
        """
        if self.token_authenticated or "Origin" in self.request.headers:
            return True
        site = self.request.headers.get("Sec-Fetch-Site")
        if site is None:
            return not self.identity_provider.auth_enabled
        return site == "same-origin"

    @cached_property
    def credential_filter(self) -> CredentialFilter:
        """The filter that keeps this request's credentials out of the workspace."""
        provider = self.identity_provider
        tokens = {self.token, provider.get_token(self) if self.token_authenticated else ""}
        front = FrontProxy()
        if isinstance(provider, HeaderIdentities):
            identity = provider.identity(self.request.headers)
            names = frozenset((provider.user_header.lower(), provider.groups_header.lower()))
            front = FrontProxy(names, identity.user if identity is not None else "")
        return CredentialFilter(
            provider.get_cookie_name(self),
            frozenset(token for token in tokens if token),
            front,
            self.settings.get(ALLOWED_NAMES) or AllowedNames(),
        )
