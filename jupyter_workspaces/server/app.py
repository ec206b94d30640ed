"""The server extension: settings, start and stop. Importing it must stay cheap; what it wires is imported when it is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from traitlets import Bool, Float, Int, List, Unicode

if TYPE_CHECKING:
    from jupyter_workspaces.kube.endpoint import Endpoint
    from jupyter_workspaces.kube.kubeconfig.sources import EndpointSource
    from jupyter_workspaces.local.launch import Keeper

    from .api.registry import Api
    from .connection import ClusterConnection
    from .http.kernel_access import Kernels
    from .proxy.origin.listeners import Listener


class JupyterWorkspaces(ExtensionApp):
    """Workspaces of a Kubernetes cluster, inside a Jupyter server."""

    name = "jupyter_workspaces"
    extension_url = "/workspaces/api/v1/healthcheck"
    load_other_extensions = True

    kubeconfig = Unicode(
        "",
        config=True,
        help="Kubeconfig of the cluster to use. Empty: KUBECONFIG, the pod's own cluster, else the local cluster.",
    )
    context = Unicode("", config=True, help="Context of the kubeconfig. Empty: its current one.")
    embedded = Bool(False, config=True, help="Use the local cluster whatever KUBECONFIG says.")
    directory = Unicode(
        "",
        config=True,
        help="Where the local cluster keeps its data. Empty: JUPYTER_WORKSPACES_HOME, else Jupyter's data directory.",
    )
    local_parts = List(
        Unicode(),
        config=True,
        help="Which parts the local cluster has: options of `python -m jupyter_workspaces.local`. Empty: all of them.",
    )
    page_seconds = Float(
        15,
        min=0.1,
        config=True,
        help="Seconds until a page says that a workspace's program does not answer, where a browser opens a document. "
        "After such a page the next one is waited for twice as long.",
    )
    response_seconds = Float(
        600,
        min=0.1,
        config=True,
        help="Seconds that any other request waits for the head of a workspace's response before it is answered with 504.",
    )
    websocket_message_mib = Int(
        256,
        min=1,
        config=True,
        help="Largest WebSocket message that is passed on, in MiB. Either side is closed with 1009 for a larger one.",
    )
    websocket_ping_seconds = Float(
        30,
        min=0,
        config=True,
        help="Seconds of silence after which the browser's side of a WebSocket is sent a ping. A browser that does not answer three of them "
        "is taken to be gone. 0: no pings. ServerApp.websocket_ping_interval has precedence.",
    )
    tab_notices = Bool(
        True,
        config=True,
        help="Say in the tab of a workspace what happened to it, such as that it was paused or deleted. The proxy appends a script "
        "element to the page that a browser opens in a tab. Other responses stay as they are. See docs/api.md.",
    )
    workspaces_url = Unicode(
        "",
        config=True,
        help="Open workspaces at this origin, apart from the Jupyter server, so that their pages cannot act as the user here. "
        "Such as https://workspaces.example.org, or http://*.localhost:8890: with *. every workspace has an origin of its own. "
        "Empty: at the server's own address. See docs/workspaces-url.md.",
    )
    workspaces_port = Int(
        0,
        config=True,
        help="Port to listen on for workspaces_url, for a reverse proxy in front. 0: the URL's own port if it is loopback.",
    )
    workspaces_ip = Unicode(
        "", config=True, help="Address to listen on with workspaces_port. Empty: 127.0.0.1."
    )
    workspaces_session_hours = Float(
        12.0,
        config=True,
        help="Hours without a request after which a browser must sign in to a workspace at workspaces_url again.",
    )
    request_headers = List(
        Unicode(),
        config=True,
        help="Names of request headers that reach workspaces although they say who somebody is, which headers of proxies in front do. "
        "A name that ends in * stands for all that begin so. Such as X-User-Id, of a program's own scripts.",
    )
    response_headers = List(
        Unicode(),
        config=True,
        help="Names of headers of workspaces' responses that reach the browser in addition to standard ones and those that begin with X-. "
        "A name that ends in * stands for all that begin so. Such as Docker-*.",
    )
    cookies = List(
        Unicode(),
        config=True,
        help="With --trusted-header-auth: names of cookies that reach workspaces although no workspace has set them by HTTP, which "
        "a page's scripts may have done. A name that ends in * stands for all that begin so.",
    )
    standalone = False
    """Whether this is the server of `jupyter workspaces serve`, without Jupyter's own routes."""

    connection: ClusterConnection
    _keeper: Keeper | None = None
    _listener: Listener | None = None
    _kernels: Kernels | None = None

    def initialize_settings(self) -> None:
        from functools import partial

        from .api.registry import APIS
        from .connection import ApiConnection, ClusterConnection
        from .http.base import CONNECTION
        from .http.kernel_access import SETTING as KERNELS
        from .http.kernel_access import Kernels
        from .proxy.headers.front_proxies import SETTING as PASSING
        from .proxy.headers.front_proxies import Passing
        from .proxy.limits import SETTING as LIMITS
        from .proxy.limits import Limits
        from .proxy.pages.tab_notice import SETTING as TAB_NOTICES

        self.settings[TAB_NOTICES] = self.tab_notices
        self.settings[LIMITS] = Limits(
            self.page_seconds,
            self.response_seconds,
            self.websocket_message_mib * 2**20,
            self.websocket_ping_seconds,
        )
        self.settings[PASSING] = Passing(
            tuple(self.request_headers), tuple(self.response_headers), tuple(self.cookies)
        )
        serverapp = self.serverapp
        assert serverapp is not None
        self.connection = ClusterConnection(self.choose_endpoint, self._files_of)

        self.settings[CONNECTION] = self.connection
        for api in APIS:
            prefix = self._prefix(api)
            build = partial(
                api.services,
                prefix=prefix,
                base_url=serverapp.base_url,
                publish=self._publish,
            )
            self.settings[api.setting] = ApiConnection(self.connection, prefix, build)
        provider = serverapp.identity_provider
        # Jupyter's own providers hand out random names; any other one vouches for its users.
        vouches = type(provider) not in (IdentityProvider, PasswordIdentityProvider)
        self.settings["jupyter_workspaces_trusted_identity"] = vouches
        if self._lets_kernels_in():
            self._kernels = self.settings[KERNELS] = Kernels()
        schema = Path(__file__).parent / "api" / "workspaces" / "change.yaml"
        if serverapp.event_logger is not None:
            serverapp.event_logger.register_event_schema(schema)

    def initialize_handlers(self) -> None:
        from .api.registry import APIS
        from .http.identity import HeaderIdentities

        assert self.serverapp is not None
        application = self.serverapp.web_app
        compatible = isinstance(self.serverapp.identity_provider, HeaderIdentities)
        # Not `self.handlers`: those must be plain patterns, and ours tell methods, WebSockets and pages from each other.
        application.add_handlers(".*$", self._connect_rules())
        for api in APIS:
            api.add_routes(application, self._prefix(api), compatible=compatible)

    def _prefix(self, api: Api) -> str:
        """Return the path at which this server serves an API."""
        assert self.serverapp is not None
        path = api.standalone_path if self.standalone else api.path
        return str(url_path_join(self.serverapp.base_url, path))

    def _connect_rules(self) -> list[Any]:
        """How workspaces are served. Ends the server when `workspaces_url` cannot be used: not at another address than was asked for."""
        from .proxy.handlers import routes

        assert self.serverapp is not None
        if not self.workspaces_url:
            return list(routes(self.serverapp.base_url))
        from .proxy.origin import listeners
        from .proxy.origin.redirects import SETTING as ORIGIN
        from .proxy.origin.redirects import SeparateOrigin
        from .proxy.origin.settings import BadOrigin, parse

        serverapp = self.serverapp
        try:
            origin = parse(self.workspaces_url)
            listeners.check_addresses(origin, serverapp)
            served = listeners.origin_application(serverapp.base_url, serverapp.web_app.settings)
            if (
                own := listeners.own_port(
                    origin, serverapp, self.workspaces_ip, self.workspaces_port
                )
            ) is not None:
                self._listener = listeners.Listener(served, serverapp, *own)
        except BadOrigin as why:
            self.log.critical("%s", why)
            serverapp.exit(2)
        serverapp.web_app.settings[ORIGIN] = SeparateOrigin(
            origin, serverapp.base_url, idle_seconds=3600 * self.workspaces_session_hours
        )
        self.connection.workspaces_url = origin.url
        listeners.serve_by_host(serverapp.web_app, served, origin)
        return listeners.server_rules(serverapp.base_url, serverapp)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Called when the server's loop runs. Nothing here is waited for: the server is there before the cluster is."""
        if self.workspaces_url:
            self._serve_origin(serverapp)
        if not os.environ.get("JUPYTER_WORKSPACE"):
            self.connection.start()
        if self._kernels is not None:
            try:
                self._kernels.publish(serverapp)
            except OSError as error:
                self.log.warning(
                    "Kernels cannot use workspaces without being told of this server by JUPYTER_WORKSPACES_URL and _TOKEN: "
                    "%s cannot be written (%s)",
                    error.filename,
                    error.strerror,
                )

    def _lets_kernels_in(self) -> bool:
        """Whether kernels may manage workspaces by this server: not inside a workspace, and not where a proxy names each user."""
        from .http.identity import HeaderIdentities

        assert self.serverapp is not None
        return not os.environ.get("JUPYTER_WORKSPACE") and not isinstance(
            self.serverapp.identity_provider, HeaderIdentities
        )

    def _serve_origin(self, serverapp: Any) -> None:
        """Now that the server's own port is known, which may have been another one than it was told."""
        from .proxy.origin import listeners
        from .proxy.origin.redirects import public_server, separate_origin
        from .proxy.origin.settings import BadOrigin

        separate = separate_origin(serverapp.web_app.settings)
        try:
            listeners.check_addresses(separate.origin, serverapp)
            if (
                self._listener is None
                and separate.origin.is_loopback
                and separate.origin.port != serverapp.port
            ):
                raise BadOrigin(
                    f"workspaces_url {separate.origin.url} names the port of this server, which is {serverapp.port} now."
                )
        except BadOrigin as why:
            self.log.critical("%s", why)
            serverapp.exit(2)
        separate.server = public_server(serverapp)
        if self._listener is not None:
            self._listener.start()
        self.log.info("Workspaces open at %s", separate.origin.url)

    async def stop_extension(self) -> None:
        from .http.base import CONNECTION
        from .proxy.transfer.requests import close

        if self._kernels is not None:
            self._kernels.withdraw()
        if self._listener is not None:
            await self._listener.stop()
        if self.serverapp is not None:
            await close(
                self.serverapp.web_app.settings
            )  # not `self.settings`, which is a copy from before the first request
        if CONNECTION in self.settings:
            await self.connection.stop()

    def choose_endpoint(self) -> Endpoint:
        """Blocking. Raises `NoEndpoint`, `LocalClusterError`."""
        from jupyter_workspaces.kube.endpoint import choose

        return choose(
            self.kubeconfig or None,
            self.context or None,
            self._start_embedded,
            embedded=self.embedded,
        )

    def _files_of(self, endpoint: Endpoint) -> EndpointSource | None:
        """The files that decided for an endpoint, as `choose_endpoint` reads them; None for a pod's own cluster."""
        from functools import partial

        from jupyter_workspaces.kube.kubeconfig.loading import default_paths
        from jupyter_workspaces.kube.kubeconfig.sources import EndpointSource
        from jupyter_workspaces.local.launch import answers, files

        if endpoint.in_cluster:
            return None
        if not endpoint.embedded:
            paths = [Path(self.kubeconfig).expanduser()] if self.kubeconfig else default_paths()
            return EndpointSource(tuple(paths), self.context or None)
        kubeconfig, process = files(self.directory or None)
        return EndpointSource(
            (kubeconfig,), files=(process,), answers=partial(answers, self.directory or None)
        )

    def _start_embedded(self) -> Path:
        """The first request starts it; after that it is only brought back when it died, not when somebody stopped it."""
        from jupyter_workspaces.local.launch import Keeper, LocalClusterError, start
        from jupyter_workspaces.local.parts import parse

        if self._keeper is None:
            try:
                parts = parse(self.local_parts) if self.local_parts else None
            except ValueError as error:
                raise LocalClusterError(f"JupyterWorkspaces.local_parts: {error}") from None
            kubeconfig = start(self.directory or None, parts=parts)
            self._keeper = Keeper(self.directory or None)
            return kubeconfig
        return self._keeper.ensure()

    def _publish(self, change: dict[str, Any]) -> None:
        """JupyterLab's tabs listen on the server's event bus and read again what a hint names."""
        if self.serverapp is not None and self.serverapp.event_logger is not None:
            self.serverapp.event_logger.emit(
                schema_id="https://events.jupyter.org/jupyter_workspaces/change", data=change
            )
