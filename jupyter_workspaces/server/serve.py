"""Serve the workspaces API and the proxy without kernels, files or a front end.

This is the server behind `jupyter workspaces serve`, and the one that clients share if no Jupyter
server runs (`python -m jupyter_workspaces.server.serve`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from jupyter_server.serverapp import ServerApp
from tornado import web
from traitlets import Bool, Float, Integer, Unicode, default
from traitlets.config import Config

from jupyter_workspaces.common.listeners import descriptors, ending, log_limit
from jupyter_workspaces.common.listeners.connections import Limits, configured_connections
from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.common.terminal import SafeRecords

from .app import JupyterWorkspaces

IDLE_CHECK_SECONDS = 5.0
BODY_BYTES = 5 * 2**20
"""Size limit of a request's body.

It is more than the API's own limit, so that the API rejects larger bodies with its own error.
Uploads into a workspace lift it.
"""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class StandaloneWorkspaces(JupyterWorkspaces):
    """The extension with its API at `/api/v1/`, as in the original Kubeflow backend."""

    standalone = True
    extension_url = "/api/v1/healthcheck"


class ServeApp(ServerApp):
    """A Jupyter server that has only the routes of this extension."""

    name = "jupyter-workspaces-serve"
    description = "Serve the workspaces API and the proxy without kernels, files or a front end."
    # Jupyter's sign-in and origin checks, without its kernels, files and settings.
    default_services: ClassVar[tuple[str, ...]] = ("auth", "security")  # type: ignore[assignment, misc]

    no_auth = Bool(
        False,
        config=True,
        help="Disable authentication. The server then listens on a loopback address only, and "
        "still refuses requests of other origins and for other hosts.",
    )
    trusted_header_auth = Bool(
        False,
        config=True,
        help="Trust the user and group headers set by a reverse proxy, and authorize each request "
        "with a SubjectAccessReview. Only the reverse proxy may be able to connect to this server.",
    )
    runtime_file = Unicode(
        "",
        config=True,
        help="File to write with URL, token and process id when the server listens (mode 0600).",
    )
    idle_minutes = Float(
        0,
        config=True,
        help="Shut down after this many minutes without a request or an open stream. 0: never.",
    )

    max_connections = Integer(
        min=1,
        config=True,
        help="Limit of open connections. Above it, the connection that has been idle the longest "
        "is closed. At most half of the files that the process may open. Default: "
        "JUPYTER_WORKSPACES_MAX_CONNECTIONS, else 2048.",
    )
    head_timeout = Float(
        15,
        min=0.1,
        config=True,
        help="Timeout in seconds for the headers of a connection's first request.",
    )
    keep_alive_timeout = Float(
        75,
        min=0.1,
        config=True,
        help="Seconds after which a connection without a request is closed.",
    )
    body_timeout = Float(
        60,
        min=0.1,
        config=True,
        help="Timeout in seconds for the whole body of a request to the API.",
    )
    body_idle_timeout = Float(
        30,
        min=0.1,
        config=True,
        help="Timeout in seconds without a byte of a request's body. It also applies to uploads "
        "into workspaces, which have no other timeout.",
    )
    max_buffered_bytes = Integer(
        64 * 2**20,
        min=1,
        config=True,
        help="Total size in bytes of the request bodies that are buffered in memory.",
    )

    last_request = 0.0
    lost = False
    """Whether the server stopped because it can no longer accept connections."""
    _tasks: Supervisor | None = None

    @default("open_browser")
    def _open_browser(self) -> bool:
        return False

    @default("max_connections")
    def _max_connections(self) -> int:
        try:
            return configured_connections()
        except ValueError as error:
            self.log.critical("%s", error)
            self.exit(2)
            raise

    @default("max_body_size")
    def _max_body_size(self) -> int:
        return BODY_BYTES

    @default("min_open_files_limit")
    def _min_open_files_limit(self) -> int | None:
        return None  # `main` raises the limit

    def init_httpserver(self) -> None:
        """Create the HTTP server, with limits that apply before authentication."""
        from jupyter_workspaces.common.listeners.http_server import BoundedHTTPServer

        super().init_httpserver()
        log_limit.limit([*self.log.handlers, *logging.getLogger().handlers])
        limits = Limits(
            connections=self.max_connections,
            head=self.head_timeout,
            idle=self.keep_alive_timeout,
            body=self.body_timeout,
            body_idle=self.body_idle_timeout,
            buffered=self.max_buffered_bytes,
        )
        # Replaces Jupyter's server, which does not listen yet.
        self._http_server = BoundedHTTPServer(
            self.web_app,
            limits=limits,
            lost=self._stop_lost,
            ssl_options=self.ssl_options,
            xheaders=self.trust_xheaders,
            max_body_size=self.max_body_size,
            max_buffer_size=self.max_buffer_size,
        )

    def _stop_lost(self, why: str) -> None:
        self.log.critical("Shutting down: this server cannot accept connections any more: %s", why)
        self.lost = True
        ending.exit_soon()
        self.stop(from_signal=False)

    def init_webapp(self) -> None:
        """Check the settings of authentication, and create the web application."""
        if self.no_auth:
            if self.ip not in _LOOPBACK:
                self.log.critical(
                    "--no-auth serves this machine only. Use --ip 127.0.0.1 instead of %s.",
                    self.ip or "all addresses",
                )
                self.exit(2)
            self.tornado_settings = {**self.tornado_settings, "disable_check_xsrf": True}
            self.allow_remote_access = False
        if self.trusted_header_auth:
            if self.no_auth:
                self.log.critical(
                    "--no-auth and --trusted-header-auth exclude each other: the first disables "
                    "authentication, the second leaves it to a reverse proxy. Use one of them."
                )
                self.exit(2)
            # No cookie authenticates here, so another site cannot misuse one. Our handlers
            # authenticate each request.
            self.allow_unauthenticated_access = True
            self.tornado_settings = {**self.tornado_settings, "disable_check_xsrf": True}
        for handler in self.log.handlers:
            handler.addFilter(SafeRecords())
        super().init_webapp()
        log_request = self.web_app.settings["log_function"]

        def note(handler: web.RequestHandler) -> None:
            self.last_request = time.monotonic()
            log_request(handler)

        self.web_app.settings["log_function"] = note
        self.last_request = time.monotonic()

    def running_server_info(self, kernel_count: bool = True) -> str:
        """Return the text that is logged when the server listens."""
        if self.no_auth:
            return (
                f"Workspaces API at {self.connection_url}api/v1/\n"
                "Authentication is disabled: every user of this machine can use it. Leave out"
                " --no-auth to require a token." + self._origin_warning()
            )
        if self.trusted_header_auth:
            return (
                f"Workspaces API at {self.connection_url}api/v1/\n"
                "It trusts the user headers of a reverse proxy. Make sure that only the reverse"
                " proxy can connect to it."
            )
        return f"Workspaces API at {self.display_url}"

    def _origin_warning(self) -> str:
        from .http.base import CONNECTION

        if self.web_app.settings[CONNECTION].workspaces_url:
            return ""
        return (
            "\nWorkspaces open at this origin, so their pages can use this API. Use"
            " --workspaces-url to open them at an origin of their own."
        )

    async def _post_start(self) -> None:
        await super()._post_start()  # type: ignore[no-untyped-call]
        if self.runtime_file:
            self._write_runtime_file(Path(self.runtime_file))
        if self.idle_minutes:
            self._tasks = Supervisor(self.log)
            self._tasks.start("shutdown when idle", self._stop_when_idle)

    async def _cleanup(self) -> None:
        if self._tasks is not None:
            await self._tasks.stop()
        if self.runtime_file:
            _remove_own(Path(self.runtime_file))
        await super()._cleanup()

    async def _stop_when_idle(self) -> None:
        limit = 60 * self.idle_minutes
        while True:
            await asyncio.sleep(min(IDLE_CHECK_SECONDS, max(limit / 4, 0.05)))
            if self._in_use():
                self.last_request = time.monotonic()
            elif time.monotonic() - self.last_request > limit:
                self.log.info("Shutting down after %g idle minutes.", self.idle_minutes)
                self.stop(from_signal=False)
                await asyncio.Event().wait()  # until `_cleanup` cancels it

    def _in_use(self) -> bool:
        """Return whether an event stream, a workspace or a request (such as a log) is open."""
        from .http.base import CONNECTION
        from .proxy.upstreams import in_use

        if getattr(self._http_server, "busy", 0):
            return True
        return bool(self.web_app.settings[CONNECTION].streams) or in_use(self.web_app.settings)

    def _write_runtime_file(self, path: Path) -> None:
        document = {
            "url": self.local_url.partition("?")[0],
            "token": ""
            if self.no_auth or self.trusted_header_auth
            else self.identity_provider.token,
            "pid": os.getpid(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        with open(
            os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(document, file)
        partial.replace(path)


def main(
    *,
    port: int = 4000,
    ip: str = "127.0.0.1",
    no_auth: bool = False,
    kubeconfig: str = "",
    context: str = "",
    embedded: bool = False,
    directory: str = "",
    workspaces_url: str = "",
    workspaces_port: int = 0,
    workspaces_ip: str = "",
    idle_minutes: float = 0,
    runtime_file: str = "",
    quiet: bool = False,
    trusted_header_auth: bool = False,
    header_names: Mapping[str, str] | None = None,
    local_parts: Sequence[str] = (),
) -> None:
    """Serve until stopped.

    Args:
        port: Port to listen on; 0 for a free one. Exits if the port is in use.
        ip: Address to listen on.
        no_auth: See `ServeApp`.
        kubeconfig: See `JupyterWorkspaces`, as the arguments after it.
        context: Context of the kubeconfig.
        embedded: Use the local cluster.
        directory: Data directory of the local cluster.
        workspaces_url: Origin of workspaces.
        workspaces_port: Port of that origin.
        workspaces_ip: Address of that origin.
        idle_minutes: See `ServeApp`.
        runtime_file: See `ServeApp`.
        quiet: Log warnings and errors only.
        trusted_header_auth: See `ServeApp`.
        header_names: Traits of `HeaderIdentities`: user_header, user_prefix, groups_header,
            groups_prefix.
        local_parts: Parts of the local cluster to start.
    """
    settings: dict[str, dict[str, Any]] = {
        "ServeApp": {
            "ip": ip,
            "port": port,
            "port_retries": 0,  # clients know the server's port, so another one is an error
            "no_auth": no_auth,
            "trusted_header_auth": trusted_header_auth,
            "idle_minutes": idle_minutes,
            "runtime_file": runtime_file,
            "allow_root": True,
            "jpserver_extensions": {__name__: True},
            "log_level": "WARN" if quiet else "INFO",
        },
        "StandaloneWorkspaces": {
            "kubeconfig": kubeconfig,
            "context": context,
            "embedded": embedded,
            "directory": directory,
            "workspaces_url": workspaces_url,
            "workspaces_port": workspaces_port,
            "workspaces_ip": workspaces_ip,
            "local_parts": list(local_parts),
        },
    }
    if no_auth:
        settings["IdentityProvider"] = {"token": ""}  # `Host` and `Origin` are checked
    elif trusted_header_auth:
        settings["ServeApp"]["identity_provider_class"] = (
            "jupyter_workspaces.server.http.identity.HeaderIdentities"
        )
        settings["HeaderIdentities"] = dict(header_names or {})
    elif runtime_file:
        # Only the runtime file contains this token. Jupyter logs a token that it creates itself.
        settings["IdentityProvider"] = {"token": secrets.token_urlsafe(32)}
    descriptors.raise_limit()
    server = ServeApp.instance(config=Config(settings))
    server.initialize([], find_extensions=False)
    server.start()
    if server.lost:
        sys.exit(1)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": StandaloneWorkspaces}]


def _remove_own(path: Path) -> None:
    try:
        if json.loads(path.read_text(encoding="utf-8")).get("pid") == os.getpid():
            path.unlink()
    except (OSError, ValueError):
        pass


def _from_command_line() -> None:
    """Run the server that all clients of a user share, if none runs yet."""
    import argparse

    from jupyter_workspaces.common.lock import AlreadyLocked, locked

    parser = argparse.ArgumentParser(description=ServeApp.description)
    parser.add_argument("--runtime-file", type=Path, required=True)
    parser.add_argument("--idle-minutes", type=float, default=0)
    chosen = parser.parse_args()
    try:
        with locked(chosen.runtime_file.with_name("serve.lock")):
            main(
                port=0,
                runtime_file=str(chosen.runtime_file),
                idle_minutes=chosen.idle_minutes,
                quiet=True,
            )
    except AlreadyLocked:
        return  # another client has started the server in the meantime


if __name__ == "__main__":
    _from_command_line()
