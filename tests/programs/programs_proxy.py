"""A server with the proxy and one program behind it, in a process of its own.

`python programs_proxy.py BASE_URL PORT_OF_THE_PROGRAM TOLD_BASE REMOVES_PREFIX` prints its port, and ends with its input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from traitlets.config import Config

from jupyter_workspaces.connect import routes
from jupyter_workspaces.resources import names
from jupyter_workspaces.serve import ServeApp
from tests.connect.conftest import View


class App(ServeApp):
    async def _post_start(self) -> None:
        await super()._post_start()
        print(self.http_server._listeners[0].sockets[0].getsockname()[1], flush=True)
        self._watch = asyncio.create_task(self._end_with_input())

    async def _end_with_input(self) -> None:
        await asyncio.to_thread(sys.stdin.read)
        self.stop(from_signal=False)


def main(base_url: str, port: int, told_base: str, removes_prefix: bool) -> None:
    settings = {
        "App": {"ip": "127.0.0.1", "port": 0, "no_auth": True, "allow_root": True, "log_level": "WARN", "base_url": base_url},
        "IdentityProvider": {"token": ""},
    }
    server = App.instance(config=Config(settings))
    server.initialize([], find_extensions=False)
    view = View(port)
    view.without_token()
    view.pod["status"]["podIP"] = "127.0.0.1"
    if told_base != "/":
        view.pod["metadata"]["annotations"][names.BASE_URL] = told_base
    if removes_prefix:
        view.proxy["removePathPrefix"] = True
    server.web_app.settings["jupyter_workspaces"] = SimpleNamespace(ready=view.ready, workspaces_url="")
    server.web_app.add_handlers(".*$", routes(server.base_url))
    server.start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4] == "yes")
