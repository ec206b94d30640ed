"""A server extension for a single-user server of JupyterHub: the proxy, with one program behind it instead of a cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jupyter_workspaces.connect import routes
from jupyter_workspaces.resources import names
from tests.connect.conftest import View


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "programs_hub_extension"}]


def _load_jupyter_server_extension(server: Any) -> None:
    view = View(int(os.environ["PROGRAM_PORT"]))
    view.without_token()
    view.pod["status"]["podIP"] = "127.0.0.1"
    view.pod["metadata"]["annotations"][names.BASE_URL] = server.base_url
    server.web_app.settings["jupyter_workspaces"] = SimpleNamespace(ready=view.ready, workspaces_url="")
    server.web_app.add_handlers(".*$", routes(server.base_url))
