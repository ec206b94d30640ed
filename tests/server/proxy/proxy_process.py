"""A server with the proxy in a process of its own, so that its memory can be read.

`python -m tests.server.proxy.proxy_process PORT_OF_THE_APP MESSAGE_BYTES` prints its port. It
serves `View` without authentication.
"""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

from traitlets.config import Config

from jupyter_workspaces.server.http.base import CONNECTION
from jupyter_workspaces.server.proxy import routes
from jupyter_workspaces.server.proxy.limits import SETTING, Limits
from jupyter_workspaces.server.serve import ServeApp

from .conftest import View


class App(ServeApp):
    async def _post_start(self) -> None:
        await super()._post_start()
        print(self.http_server._listeners[0].sockets[0].getsockname()[1], flush=True)
        self._watch = asyncio.create_task(self._end_with_input())

    async def _end_with_input(self) -> None:
        await asyncio.to_thread(sys.stdin.read)
        self.stop(from_signal=False)


def main(port: int, message_bytes: int) -> None:
    settings = {
        "App": {
            "ip": "127.0.0.1",
            "port": 0,
            "no_auth": True,
            "allow_root": True,
            "log_level": "CRITICAL",
        },
        "IdentityProvider": {"token": ""},
    }
    server = App.instance(config=Config(settings))
    server.initialize([], find_extensions=False)
    server.web_app.settings[SETTING] = Limits(websocket_message_bytes=message_bytes)
    server.web_app.settings["jupyter_workspaces"] = SimpleNamespace(ready=View(port).ready)
    server.web_app.settings[CONNECTION] = SimpleNamespace(workspaces_url="")
    server.web_app.add_handlers(".*$", routes(server.base_url))
    server.start()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
