"""Who asks, may they, and does the request come from our own pages: the same for HTTP, WebSockets and the status behind the pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any, cast

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import ensure_async
from tornado import web
from tornado.httputil import url_concat

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import (
    ClusterError,
    Forbidden,
    NotFound,
    Unauthorized,
)
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.access_reviews import CannotReviewAccess, forbidden_message
from jupyter_workspaces.server.connection import NotReady
from jupyter_workspaces.server.http import origins
from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.http.kernel_access import KernelAccess
from jupyter_workspaces.server.http.problems import Problem

from .headers.address_fields import Addresses
from .headers.credentials import Guard
from .headers.front_proxies import SETTING as PASSING
from .headers.front_proxies import Front, Passing
from .headers.request_headers import public_scheme
from .pages.placeholders import Step, page
from .pages.tab_notice import TIMING
from .rewriting.public_path import PublicPath
from .target import (
    Place,
    Services,
    Target,
    Unavailable,
    resolve,
)
from .transfer.requests import Upstreams, upstreams

PORT = r"(?P<namespace>[a-z0-9.-]+)/(?P<name>[a-z0-9.-]+)/(?P<port>[a-z0-9_-]+)"
_READS = frozenset(("GET", "HEAD", "OPTIONS"))

CLUSTER_SECONDS = 5.0
"""How long a request waits for the cluster where nothing is known yet; the page continues by itself."""
STEPS_SECONDS = 2.0
LOOK_SECONDS = 0.5
"""Interval in seconds at which a delayed request checks for the workspace."""


REASONS = {"token": "NoToken", "secret": "MayNotReadToken", "silent": "NoAnswer"}
"""The machine's word for states whose name is not one."""


class Refused(web.HTTPError):
    """A refusal in words for a person; `kind` is the machine's word."""

    def __init__(self, status: int, message: str, kind: str) -> None:
        super().__init__(status)
        self.message, self.kind = message, kind


class Elsewhere(web.HTTPError):
    """Not here: `url` is where to go."""

    def __init__(self, url: str, status: int = 302) -> None:
        super().__init__(status)
        self.url = url


class Absent(web.HTTPError):
    """The workspace cannot be reached now; `steps` tell how far its start is, where it starts."""

    def __init__(
        self, why: Unavailable, steps: Sequence[Step] = (), status: int | None = None
    ) -> None:
        super().__init__(status or why.status)
        self.why, self.steps = why, steps


class ConnectHandler(KernelAccess, JupyterHandler):
    """Asks everything before a body is read. Errors are a page for a person who navigates, JSON for everybody else."""

    auth_resource = "workspaces"
    action = ""
    _track_activity = (
        False  # a workspace that is used does not keep the server in front of it alive
    )
    place: Place
    services: Services
    shows_steps = False
    link: tuple[str, str] | None = (
        None  # an address and its words, for a page that leads elsewhere instead of going on by itself
    )
    _is_absent = False
    reads_only = False  # whoever uses the programs in a workspace changes what is in it: that is `update`, not `get`

    def set_place(self) -> None:
        """Read the workspace's port from the address."""
        named = self.path_kwargs
        self.place = Place(named["namespace"], named["name"], named["port"])

    async def prepare(self) -> None:  # type: ignore[override]
        self.set_place()
        origins.drop_unreadable_referer(self.request)
        await self.authenticate()
        if not self.token_authenticated and self._is_cross_site():
            raise Refused(
                403,
                "This request comes from a page of another site, so it was not passed on.",
                "CrossOrigin",
            )
        action = self.action or ("read" if self.request.method in _READS else "write")
        allowed = await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, action, self.auth_resource)
        )
        if not allowed:
            raise Refused(
                403,
                f"You may not {action} workspaces on this server. Ask whoever manages it.",
                "NotAllowed",
            )
        if action != "read" and not self.from_our_pages():
            raise Refused(
                403,
                "This request does not say which page it comes from, so it was not passed on.",
                "CrossOrigin",
            )
        try:
            self.services = await cast(Services, self.settings["jupyter_workspaces"]).ready(
                CLUSTER_SECONDS, stale=True
            )
        except NotReady as error:
            raise Absent(Unavailable("cluster", str(error))) from error
        if isinstance(self.identity_provider, HeaderIdentities):
            await self._ask_cluster(self.identity_provider)
        try:  # only after authorization: a watched namespace costs requests, and may replace another one
            async with timeout(CLUSTER_SECONDS):
                await self.services.cluster.reach(self.place.namespace)
        except Forbidden as error:
            raise Refused(
                403, f"{error.message}. Ask whoever manages the cluster.", "NotAllowed"
            ) from error
        except (ClusterError, asyncio.TimeoutError) as error:
            raise Absent(
                Unavailable(
                    "cluster", str(error) or "The cluster did not answer in time. Trying again."
                )
            ) from error

    async def authenticate(self) -> None:
        """Set `current_user`. Raises `Refused`, or `Elsewhere` the login page for a person who navigates."""
        try:
            await super().prepare(_redirect_to_login=False)
        except web.HTTPError as error:
            if error.status_code == 400:
                raise Refused(
                    400, "The query of this address is not text in UTF-8.", "BadRequest"
                ) from error
            if not self.check_host():
                raise Refused(
                    403, f"This server is not known as {self.request.host}.", "UnknownHost"
                ) from None
        if not self.current_user:
            if (
                self.navigates
                and "login_url" in self.settings
                and not isinstance(self.identity_provider, HeaderIdentities)
            ):
                url = (
                    self.get_login_url()
                )  # JupyterHub's names the hub, and where to go on stands in a cookie
                raise Elsewhere(
                    url if "?" in url else url_concat(url, {"next": self.request.uri or ""})
                )
            status = 401 if isinstance(self.identity_provider, HeaderIdentities) else 403
            raise Refused(
                status,
                "You are not signed in to this server, or no longer. Sign in and try again.",
                "NotSignedIn",
            )

    async def _ask_cluster(self, provider: HeaderIdentities) -> None:
        """Whether the cluster lets who the headers name. Raises `Refused`, `Absent`."""
        identity = provider.identity(self.request.headers)
        verb = "get" if self.reads_only and self.request.method in _READS else "update"
        try:
            if identity and await self.services.access.allowed(
                identity, verb, WORKSPACES, self.place.namespace, self.place.name
            ):
                return
        except CannotReviewAccess as why:
            raise Refused(500, str(why), "CannotAsk") from why
        except ClusterError as error:
            raise Absent(Unavailable("cluster", error.message)) from error
        assert identity is not None  # `prepare` has refused nobody
        why_not = forbidden_message(
            identity, verb, WORKSPACES, self.place.namespace, self.place.name
        )
        raise Refused(
            403,
            f"You may not open this workspace: {why_not}. Ask whoever manages the cluster.",
            "NotAllowed",
        )

    def check_xsrf_cookie(self) -> None:
        """Do nothing: the apps in workspaces do not know our `_xsrf`.

        `prepare` and `from_our_pages` guard writes instead.
        """

    def _is_cross_site(self) -> bool:
        """Whether the request is for a page of another site, and for none of this workspace.

        A page that is shown in a sandbox (Jupyter shows HTML files so) has no origin of its own;
        it may load its pictures by `Referer`.
        """
        if not origins.is_cross_site(self.request, self.settings, lets_navigate=not self.action):
            return False
        own = f"{self.base_url}{self.place.path[1:]}"
        inside = (
            not self.action
            and "Origin" not in self.request.headers
            and origins.is_page_below(self.request, own)
        )
        return self.request.method not in ("GET", "HEAD") or not inside

    def from_our_pages(self) -> bool:
        """Return whether a write or a WebSocket is of our pages, or of no browser at all.

        `prepare` has refused those of other sites. A login cookie without any word of origin is not enough.
        """
        if self.token_authenticated or "Origin" in self.request.headers:
            return True
        site = self.request.headers.get("Sec-Fetch-Site")
        if site is None:
            return not self.identity_provider.auth_enabled
        return site == "same-origin"

    @property
    def navigates(self) -> bool:
        """Whether a person looks at the answer as a page."""
        if self.request.method not in ("GET", "HEAD"):
            return False
        mode = self.request.headers.get("Sec-Fetch-Mode")
        return mode == "navigate" if mode else "text/html" in self.request.headers.get("Accept", "")

    @property
    def upstreams(self) -> Upstreams:
        return upstreams(self.settings)

    @cached_property
    def guard(self) -> Guard:
        provider = self.identity_provider
        tokens = {self.token, provider.get_token(self) if self.token_authenticated else ""}
        front = Front()
        if isinstance(provider, HeaderIdentities):
            identity = provider.identity(self.request.headers)
            names = frozenset((provider.user_header.lower(), provider.groups_header.lower()))
            front = Front(names, identity.user if identity is not None else "")
        passing = self.settings.get(PASSING) or Passing()
        return Guard(
            provider.get_cookie_name(self),
            frozenset(token for token in tokens if token),
            front,
            passing,
        )

    def addresses(self, path: PublicPath) -> Addresses:
        """Return the addresses of a workspace's port, for its headers."""
        scheme = public_scheme(self.request.headers, self.request.protocol)
        return Addresses(path, scheme, lambda origin: origins.is_trusted(origin, self.settings))

    @property
    def status_url(self) -> str:
        return f"{self.base_url}workspace/status/{self.place.namespace}/{self.place.name}/{self.place.port_id}"

    def public_path(self, target: Target) -> PublicPath:
        return PublicPath(
            self.base_url,
            target.path,
            target.remove_prefix,
            target.netloc,
            self.request.host,
            self.request.protocol,
        )

    async def find(self) -> Target:
        """Where the workspace answers. Raises `Absent`."""
        try:
            return resolve(self.services.cluster, self.place)
        except Unavailable as why:
            if (
                not self.navigates
                and not self.shows_steps
                and (target := await self._slow_down()) is not None
            ):
                return target
            raise await self.absent(why) from why

    async def _slow_down(self) -> Target | None:
        """Delay frequent requests to an unreachable workspace. Returns its target if it recovers."""
        refusals = self.upstreams.refusals
        user = (
            "" if self.token_authenticated else getattr(self.current_user, "username", "")
        )  # Jupyter names programs at random
        client = (self.place.namespace, self.place.name, self.request.remote_ip, user)
        left = refusals.pause(client)
        refusals.waiting += 1
        try:
            while left > 0:
                await asyncio.sleep(min(left, LOOK_SECONDS))
                left -= LOOK_SECONDS
                try:
                    return resolve(self.services.cluster, self.place)
                except Unavailable:
                    continue
        finally:
            refusals.waiting -= 1
        return None

    async def workspace_token(self, target: Target) -> str | None:
        """The token that opens the workspace; None if its kind has none. Raises `Absent`."""
        try:
            return await self.upstreams.token(self.services.cluster, self.place, target)
        except ClusterError as error:
            raise Absent(_without_token(self.place, target, error)) from error

    def silent(self, seconds: float) -> Absent:
        """For a program that took a request and did not begin to answer it."""
        text = f"Its program took the request and did not answer within {seconds:g}\N{NO-BREAK SPACE}s. It may be busy or stopped."
        return Absent(Unavailable("silent", text))

    async def absent(self, why: Unavailable) -> Absent:
        """With the steps of its start, for those who look at them."""
        if why.state == "gone" and not (self.navigates or self.shows_steps):
            # JupyterLab takes a 404 for a missing folder, and at once looks for the one above it, for ever.
            return Absent(why, status=HTTPStatus.GONE)
        if why.state not in ("starting", "failed") or not (self.navigates or self.shows_steps):
            return Absent(why)
        try:
            async with timeout(STEPS_SECONDS):
                progress = await self.services.pods.progress(self.place.namespace, self.place.name)
        except (Problem, ClusterError, asyncio.TimeoutError):
            return Absent(why)  # the page says what it knows without them
        steps = [Step(step.name, step.state, step.seconds) for step in progress.steps]
        if steps and all(
            step.state == "done" for step in steps
        ):  # ready, says the cluster, yet nothing answers
            steps[-1] = Step(steps[-1].name, "current")
        return Absent(why, steps)

    def answer(self, data: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(data))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A page for whom it is shown to, JSON `{"message", "reason"}` for everybody else."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        self.set_header("Cache-Control", "no-store")
        if isinstance(error, Elsewhere):
            self.set_header("Location", error.url)
            self.finish()
            return
        message, reason = HTTPStatus(status_code).phrase, "Error"
        steps: Sequence[Step] = ()
        shown = Unavailable({401: "signed_out", 403: "refused"}.get(status_code, "error"), message)
        if isinstance(error, Refused):
            message, reason = error.message, error.kind
            shown = Unavailable(shown.state, message)
        elif isinstance(error, Absent):
            self._is_absent = True
            shown, steps = error.why, error.steps
            message, reason = (
                f"{self.place.name}: {shown.message}",
                REASONS.get(shown.state) or shown.state.capitalize(),
            )
        if isinstance(error, Absent):
            self.set_header(
                "Server-Timing", f"{TIMING};desc={shown.state}"
            )  # seen by the script of `tab_notice`
        if status_code in (503, 504):
            self.set_header(
                "Retry-After",
                "2" if shown.state in ("starting", "stopping", "cluster", "silent") else "30",
            )
        if self.navigates and hasattr(self, "place"):
            text, policy = page(shown, self.place, steps, self.status_url, self.link)
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.set_header("Content-Security-Policy", policy)
            self.set_header(
                "X-Frame-Options", "SAMEORIGIN"
            )  # older browsers know no frame-ancestors
            self.finish(text)
        else:
            self.answer({"message": message, "reason": reason})

    def _log(self) -> None:
        """Log the request; of equal failures only the first few in a minute."""
        status = self.get_status()
        if status >= 400 and hasattr(self, "place"):
            path = self.place.path if self._is_absent else self.request.path
            shown, left_out = self.upstreams.repeats.count((path, status))
            if left_out:
                self.log.warning(
                    "%d more requests for %s were answered %d in the minute before",
                    left_out,
                    path,
                    status,
                )
            if not shown:
                return
        super()._log()

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(
            value, Refused | Elsewhere | Absent
        ):  # a refusal is an answer, not a fault
            super().log_exception(typ, value, tb)


def _without_token(place: Place, target: Target, error: ClusterError) -> Unavailable:
    """Why the workspace's token is not known, as far as the cluster said."""
    match error:
        case NotFound():
            return Unavailable(
                "token",
                f"Its token is missing ({error.message}): restart the workspace to have a new one made.",
            )
        case Forbidden():
            text = (
                f"This server may not get Secret '{target.secret}' in namespace '{place.namespace}', which holds its token. "
                "Ask your administrator to allow it."
            )
            return Unavailable("secret", text)
        case Unauthorized():
            return Unavailable(
                "cluster",
                "The cluster does not accept this server's credentials any more. Sign in to the cluster again.",
            )
    return Unavailable(
        "cluster",
        "The cluster does not answer, so the token of the workspace cannot be read. Trying again.",
    )
