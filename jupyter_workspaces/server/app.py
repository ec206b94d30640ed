"""The Jupyter server extension: its settings, its start and its stop.

Importing this module must stay cheap, so everything that it uses is imported when it is loaded.
"""

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
    from .proxy.origin.listener import OriginListener


class JupyterWorkspaces(ExtensionApp):
    """Manage workspaces of a Kubernetes cluster from a Jupyter server."""

    name = "jupyter_workspaces"
    extension_url = "/workspaces/api/v1/healthcheck"
    load_other_extensions = True

    kubeconfig = Unicode(
        "",
        config=True,
        help="Path of the kubeconfig of the cluster to use. If empty: the files in KUBECONFIG, the "
        "cluster of the pod in which the server runs, or the local cluster, in this order.",
    )
    context = Unicode(
        "", config=True, help="Context of the kubeconfig. If empty: its current context."
    )
    embedded = Bool(
        False,
        config=True,
        help="Use the local cluster of this machine, even if KUBECONFIG is set.",
    )
    directory = Unicode(
        "",
        config=True,
        help="Data directory of the local cluster. If empty: JUPYTER_WORKSPACES_HOME, else a "
        "directory in Jupyter's data directory.",
    )
    local_parts = List(
        Unicode(),
        config=True,
        help="Parts of the local cluster to start, as options of "
        "`python -m jupyter_workspaces.local`. If empty: all parts.",
    )
    page_seconds = Float(
        15,
        min=0.1,
        config=True,
        help="Timeout in seconds for a workspace's response to a page that a browser opens. After "
        "the timeout, the browser gets a page about it, and the next timeout is twice as long.",
    )
    response_seconds = Float(
        600,
        min=0.1,
        config=True,
        help="Timeout in seconds for the head of a workspace's response to any other request. "
        "After the timeout, the request is answered with 504.",
    )
    websocket_message_mib = Int(
        256,
        min=1,
        config=True,
        help="Size limit of a WebSocket message in MiB. A larger message closes both sides with "
        "code 1009.",
    )
    websocket_ping_seconds = Float(
        30,
        min=0,
        config=True,
        help="Seconds of silence after which the browser of a WebSocket gets a ping. After three "
        "unanswered pings, both sides are closed. 0: no pings. ServerApp.websocket_ping_interval "
        "has precedence.",
    )
    tab_notices = Bool(
        True,
        config=True,
        help="Show a notice in the tab of a workspace that was paused, was deleted or does not "
        "answer. The proxy appends a script element to the page that a browser opens in a tab; "
        "other responses do not change. See docs/api.md.",
    )
    workspaces_url = Unicode(
        "",
        config=True,
        help="Origin at which browsers open workspaces, such as https://workspaces.example.org. "
        "Pages of workspaces at another origin than the Jupyter server's cannot act as the user "
        "there. With a wildcard, such as http://*.localhost:8890, every workspace has an origin of "
        "its own. If empty: the server's own origin. See docs/workspaces-url.md.",
    )
    workspaces_port = Int(
        0,
        config=True,
        help="Port to listen on for workspaces_url, behind a reverse proxy. 0: the port of the "
        "URL, if its host is this machine.",
    )
    workspaces_ip = Unicode(
        "", config=True, help="Address to listen on with workspaces_port. If empty: 127.0.0.1."
    )
    workspaces_session_hours = Float(
        12.0,
        config=True,
        help="Hours without a request after which a session at workspaces_url ends, and the "
        "browser signs in again.",
    )
    request_headers = List(
        Unicode(),
        config=True,
        help="Names of request headers that are forwarded to workspaces although they look like "
        "headers with which a reverse proxy identifies the user, such as X-User-Id of a program's "
        "own scripts. A * at the end of a name is a wildcard.",
    )
    response_headers = List(
        Unicode(),
        config=True,
        help="Names of response headers of workspaces that are forwarded to browsers, in addition "
        "to standard headers and those that begin with X-, for example Docker-*. A * at the end of "
        "a name is a wildcard.",
    )
    cookies = List(
        Unicode(),
        config=True,
        help="With --trusted-header-auth: names of cookies that are forwarded to workspaces "
        "although no workspace set them by HTTP, for cookies that scripts of pages set. A * at the "
        "end of a name is a wildcard.",
    )
    standalone = False
    """Whether this is the server of `jupyter workspaces serve`, without Jupyter's own routes."""

    connection: ClusterConnection
    _keeper: Keeper | None = None
    _listener: OriginListener | None = None
    _kernels: Kernels | None = None

    def initialize_settings(self) -> None:
        """Set the web application's settings from the traits."""
        from functools import partial

        from .api.registry import APIS
        from .connection import ApiConnection, ClusterConnection
        from .http.base import CONNECTION
        from .http.kernel_access import SETTING as KERNELS
        from .http.kernel_access import Kernels
        from .proxy.headers.front_proxies import SETTING as ALLOWED_NAMES
        from .proxy.headers.front_proxies import AllowedNames
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
        self.settings[ALLOWED_NAMES] = AllowedNames(
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
        # Jupyter's own providers invent user names; other ones authenticate their users.
        is_trusted = type(provider) not in (IdentityProvider, PasswordIdentityProvider)
        self.settings["jupyter_workspaces_trusted_identity"] = is_trusted
        if self._lets_kernels_in():
            self._kernels = self.settings[KERNELS] = Kernels()
        schema = Path(__file__).parent / "api" / "workspaces" / "change.yaml"
        if serverapp.event_logger is not None:
            serverapp.event_logger.register_event_schema(schema)

    def initialize_handlers(self) -> None:
        """Add the rules of the APIs and of the proxy to the web application."""
        from .api.registry import APIS
        from .http.identity import HeaderIdentities

        assert self.serverapp is not None
        application = self.serverapp.web_app
        compatible = isinstance(self.serverapp.identity_provider, HeaderIdentities)
        # Not `self.handlers`: those must be plain patterns, and ours distinguish WebSockets.
        application.add_handlers(".*$", self._proxy_rules())
        for api in APIS:
            api.add_routes(application, self._prefix(api), compatible=compatible)

    def _prefix(self, api: Api) -> str:
        """Return the path at which this server serves an API."""
        assert self.serverapp is not None
        path = api.standalone_path if self.standalone else api.path
        return str(url_path_join(self.serverapp.base_url, path))

    def _proxy_rules(self) -> list[Any]:
        """Return the rules of the proxy. Exits if `workspaces_url` is invalid."""
        from .proxy.routes import routes

        assert self.serverapp is not None
        if not self.workspaces_url:
            return list(routes(self.serverapp.base_url))
        from .proxy.origin.listener import OriginListener, check_addresses, own_port
        from .proxy.origin.routes import origin_application, serve_by_host, server_rules
        from .proxy.origin.separate_origin import SETTING as ORIGIN
        from .proxy.origin.separate_origin import SeparateOrigin
        from .proxy.origin.workspaces_url import InvalidWorkspacesUrl, parse

        serverapp = self.serverapp
        try:
            origin = parse(self.workspaces_url)
            check_addresses(origin, serverapp)
            served = origin_application(serverapp.base_url, serverapp.web_app.settings)
            own = own_port(origin, serverapp, self.workspaces_ip, self.workspaces_port)
            if own is not None:
                self._listener = OriginListener(served, serverapp, *own)
        except InvalidWorkspacesUrl as why:
            self.log.critical("%s", why)
            serverapp.exit(2)
        serverapp.web_app.settings[ORIGIN] = SeparateOrigin(
            origin, serverapp.base_url, idle_seconds=3600 * self.workspaces_session_hours
        )
        self.connection.workspaces_url = origin.url
        serve_by_host(serverapp.web_app, served, origin)
        return server_rules(serverapp.base_url, serverapp)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Start in the background. Jupyter calls it when the server's event loop runs."""
        if self.workspaces_url:
            self._serve_origin(serverapp)
        if not os.environ.get("JUPYTER_WORKSPACE"):
            self.connection.start()
        if self._kernels is not None:
            try:
                self._kernels.publish(serverapp)
            except OSError as error:
                self.log.warning(
                    "Cannot write %s: %s. Kernels find this server only if JUPYTER_WORKSPACES_URL"
                    " and JUPYTER_WORKSPACES_TOKEN are set.",
                    error.filename,
                    error.strerror,
                )

    def _lets_kernels_in(self) -> bool:
        """Return whether kernels get a token: not in a workspace, nor with trusted headers."""
        from .http.identity import HeaderIdentities

        assert self.serverapp is not None
        return not os.environ.get("JUPYTER_WORKSPACE") and not isinstance(
            self.serverapp.identity_provider, HeaderIdentities
        )

    def _serve_origin(self, serverapp: Any) -> None:
        """Serve the workspaces' origin, when the server's own port is known."""
        from .proxy.origin.listener import check_addresses
        from .proxy.origin.separate_origin import public_server, separate_origin
        from .proxy.origin.workspaces_url import InvalidWorkspacesUrl

        separate = separate_origin(serverapp.web_app.settings)
        try:
            check_addresses(separate.origin, serverapp)
            if (
                self._listener is None
                and separate.origin.is_loopback
                and separate.origin.port != serverapp.port
            ):
                raise InvalidWorkspacesUrl(
                    f"workspaces_url {separate.origin.url} has the configured port of this server,"
                    f" but the server listens on port {serverapp.port}. Set that port, or free the"
                    " configured one."
                )
        except InvalidWorkspacesUrl as why:
            self.log.critical("%s", why)
            serverapp.exit(2)
        separate.server = public_server(serverapp)
        if self._listener is not None:
            self._listener.start()
        self.log.info("Workspaces open at %s", separate.origin.url)

    async def stop_extension(self) -> None:
        """Close all connections, and stop the services."""
        from .http.base import CONNECTION
        from .proxy.upstreams import close

        if self._kernels is not None:
            self._kernels.withdraw()
        if self._listener is not None:
            await self._listener.stop()
        if self.serverapp is not None:
            # Not `self.settings`, which is a copy from before the first request.
            await close(self.serverapp.web_app.settings)
        if CONNECTION in self.settings:
            await self.connection.stop()

    def choose_endpoint(self) -> Endpoint:
        """Return the Kubernetes API to use. Blocks while the local cluster starts.

        Raises:
            NoEndpoint: The settings name no cluster that can be used.
            LocalClusterError: The local cluster cannot be started.
        """
        from jupyter_workspaces.kube.endpoint import choose

        return choose(
            self.kubeconfig or None,
            self.context or None,
            self._start_embedded,
            embedded=self.embedded,
        )

    def _files_of(self, endpoint: Endpoint) -> EndpointSource | None:
        """Return the files by which an endpoint was chosen, None for the pod's own cluster."""
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
        """Start the local cluster, the first time. Later, restart it if it has crashed.

        A cluster that was stopped on purpose stays stopped.
        """
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
        """Emit a change on the server's event bus, so that JupyterLab's tabs reload it."""
        if self.serverapp is not None and self.serverapp.event_logger is not None:
            self.serverapp.event_logger.emit(
                schema_id="https://events.jupyter.org/jupyter_workspaces/change", data=change
            )
