"""`jupyter workspaces serve`: the API and the proxy alone, without kernels, contents or a front end."""

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

IDLE_LOOK_SECONDS = 5.0
BODY_BYTES = 5 * 2**20
"""A little more than the API takes (`server/api/workspaces/bodies.py`), which then says so itself. Uploads into a workspace lift it."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class StandaloneWorkspaces(JupyterWorkspaces):
    """The extension, served at `/api/v1/` as the original backend serves it."""

    standalone = True
    extension_url = "/api/v1/healthcheck"


class ServeApp(ServerApp):
    """A server with nothing but our own routes."""

    name = "jupyter-workspaces-serve"
    description = __doc__ or ""
    # Signing in and the refusal of other origins are Jupyter's; its kernels, files and settings are not served.
    default_services: ClassVar[tuple[str, ...]] = ("auth", "security")  # type: ignore[assignment, misc]

    no_auth = Bool(
        False,
        config=True,
        help="Ask nobody who they are. Binds loopback only; foreign origins and hosts are refused all the same.",
    )
    trusted_header_auth = Bool(
        False,
        config=True,
        help="Believe the headers that name user and groups, and ask the cluster what they may. Only behind a proxy.",
    )
    runtime_file = Unicode(
        "", config=True, help="Where to write url, token and pid once it listens (mode 0600)."
    )
    idle_minutes = Float(
        0,
        config=True,
        help="End after so many minutes without a request or an open stream. 0: never.",
    )

    max_connections = Integer(
        min=1,
        config=True,
        help="Connections that are open at once; beyond it the longest idle one is closed. At most half of the files that the "
        "process may open. Default: JUPYTER_WORKSPACES_MAX_CONNECTIONS, else 2048.",
    )
    head_timeout = Float(
        15,
        min=0.1,
        config=True,
        help="Seconds from a connection to the end of its first request's headers.",
    )
    keep_alive_timeout = Float(
        75, min=0.1, config=True, help="Seconds between two requests of a connection."
    )
    body_timeout = Float(
        60, min=0.1, config=True, help="Seconds for the whole body of a request to the API."
    )
    body_idle_timeout = Float(
        30,
        min=0.1,
        config=True,
        help="Seconds without a byte of a body, of uploads into a workspace as well, which have no other limit.",
    )
    max_buffered_bytes = Integer(
        64 * 2**20,
        min=1,
        config=True,
        help="Bytes of all request bodies together that are held in memory.",
    )

    last_request = 0.0
    lost = False
    """Whether the server ended because it could not be reached any more."""
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
        return None  # `main` has raised the limit

    def init_httpserver(self) -> None:
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
        # In place of Jupyter's own one, which has not begun to listen yet.
        self._http_server = BoundedHTTPServer(
            self.web_app,
            limits=limits,
            lost=self._end_lost,
            ssl_options=self.ssl_options,
            xheaders=self.trust_xheaders,
            max_body_size=self.max_body_size,
            max_buffer_size=self.max_buffer_size,
        )

    def _end_lost(self, why: str) -> None:
        self.log.critical("This server ends, because nobody can reach it: %s", why)
        self.lost = True
        ending.exit_soon()
        self.stop(from_signal=False)

    def init_webapp(self) -> None:
        if self.no_auth:
            if self.ip not in _LOOPBACK:
                self.log.critical(
                    "--no-auth serves this machine only: use --ip 127.0.0.1, not %s.",
                    self.ip or "all addresses",
                )
                self.exit(2)
            self.tornado_settings = {**self.tornado_settings, "disable_check_xsrf": True}
            self.allow_remote_access = False
        if self.trusted_header_auth:
            if self.no_auth:
                self.log.critical(
                    "Choose one: --no-auth asks nobody who they are, --trusted-header-auth lets a proxy say it."
                )
                self.exit(2)
            # No cookie signs anybody in here, so there is none that another site could use. Our handlers ask who it is when it is time.
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
        if self.no_auth:
            return (
                f"Workspaces API at {self.connection_url}api/v1/\n"
                "It asks nobody who they are: every user of this machine may use it. Leave out --no-auth to ask for a token."
                + self._trusts_workspaces()
            )
        if self.trusted_header_auth:
            return f"Workspaces API at {self.connection_url}api/v1/\nIt believes the headers that a proxy sets; let nobody else reach it."
        return f"Workspaces API at {self.display_url}"

    def _trusts_workspaces(self) -> str:
        if self.web_app.settings["jupyter_workspaces"].connection.workspaces_url:
            return ""
        return "\nWorkspaces open at this address, so their pages can use this API. --workspaces-url gives them an origin of their own."

    async def _post_start(self) -> None:
        await super()._post_start()  # type: ignore[no-untyped-call]
        if self.runtime_file:
            self._write_runtime_file(Path(self.runtime_file))
        if self.idle_minutes:
            self._tasks = Supervisor(self.log)
            self._tasks.start("the end when idle", self._end_when_idle)

    async def _cleanup(self) -> None:
        if self._tasks is not None:
            await self._tasks.stop()
        if self.runtime_file:
            _remove_own(Path(self.runtime_file))
        await super()._cleanup()

    async def _end_when_idle(self) -> None:
        limit = 60 * self.idle_minutes
        while True:
            await asyncio.sleep(min(IDLE_LOOK_SECONDS, max(limit / 4, 0.05)))
            if self._in_use():
                self.last_request = time.monotonic()
            elif time.monotonic() - self.last_request > limit:
                self.log.info("Nobody asked for %g minutes; this server ends.", self.idle_minutes)
                self.stop(from_signal=False)
                await asyncio.Event().wait()  # `_cleanup` ends it

    def _in_use(self) -> bool:
        """Whether an event stream, a workspace or a request is open, such as a followed log."""
        from .proxy.transfer.requests import in_use

        if getattr(self._http_server, "busy", 0):
            return True
        connection = self.web_app.settings["jupyter_workspaces"].connection
        return connection.streams > 0 or in_use(self.web_app.settings)

    def _write_runtime_file(self, path: Path) -> None:
        told = {
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
            json.dump(told, file)
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
    """Serve until stopped. Port 0 chooses a free one; a taken port ends with its name.

    `header_names` are settings of `HeaderIdentities` (user_header, user_prefix, groups_header, groups_prefix).
    `local_parts` are options of `python -m jupyter_workspaces.local` for a local cluster that is started for this server.
    """
    settings: dict[str, dict[str, Any]] = {
        "ServeApp": {
            "ip": ip,
            "port": port,
            "port_retries": 0,  # clients know the server by its port: a taken one is an error, not a reason to move
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
        settings["IdentityProvider"] = {
            "token": ""
        }  # who may ask at all is decided by Host and Origin
    elif trusted_header_auth:
        settings["ServeApp"]["identity_provider_class"] = (
            "jupyter_workspaces.server.http.identity.HeaderIdentities"
        )
        settings["HeaderIdentities"] = dict(header_names or {})
    elif runtime_file:
        settings["IdentityProvider"] = {
            "token": secrets.token_urlsafe(32)
        }  # told by the file alone; a token of Jupyter's own is logged
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
    """`python -m jupyter_workspaces.server.serve`: how a client starts the one server that all clients of a user share."""
    import argparse

    from jupyter_workspaces.common.lock import AlreadyLocked, locked

    parser = argparse.ArgumentParser(description=__doc__)
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
        return  # another client was faster; its server serves this one too


if __name__ == "__main__":
    _from_command_line()
