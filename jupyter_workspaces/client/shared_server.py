"""The user's shared local server: finds the running one by its runtime file, else starts it.

All kernels and shells of a user share it. It shuts down after 15 idle minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from jupyter_workspaces.common.kernel_file import VARIABLE
from jupyter_workspaces.common.paths import serve_file

from .errors import Unreachable, WorkspaceError

START_SECONDS = 45.0
PAUSE_SECONDS = 0.1
IDLE_MINUTES = 15
ANSWER_SECONDS = 2.0

# Servers that this process started. They outlive it; polled so that none stays a zombie.
_started: list[subprocess.Popen[bytes]] = []

# Variables of a kernel, which would make the server act as a part of that kernel.
_NOT_FOR_SERVE = (
    "JPY_PARENT_PID",
    "JPY_SESSION_NAME",
    "JUPYTER_WORKSPACES_URL",
    "JUPYTER_WORKSPACES_TOKEN",
    VARIABLE,
)


async def shared_server(start: bool = True) -> tuple[str, str]:
    """Return base URL (ending in `/`) and token of the server. Raises `WorkspaceError`."""
    if workspace := os.environ.get("JUPYTER_WORKSPACE"):
        text = f"Cannot manage workspaces from inside the workspace '{workspace}'."
        raise WorkspaceError(
            text,
            "Use the Jupyter server that started the workspace, or set JUPYTER_WORKSPACES_URL.",
        )
    file = serve_file()
    if (known := await _running(file)) is not None:
        return known
    if not start:
        raise Unreachable(
            "No workspaces server is running.", "`jupyter workspaces list` starts one."
        )
    log_path = file.with_name("serve.log")
    try:
        process = await asyncio.to_thread(_launch, file, log_path)
    except OSError as error:
        text = f"Cannot start the local workspaces server: {error}."
        raise WorkspaceError(text, f"Check that {file.parent} is writable.") from error
    loop = asyncio.get_running_loop()
    end = loop.time() + START_SECONDS
    while loop.time() < end:
        if (known := await _running(file)) is not None:
            return known
        # Exit status 0: another process started a server first, which is coming up.
        if process.poll() not in (None, 0):
            line = await asyncio.to_thread(_last_line, log_path)
            raise WorkspaceError(
                f"The local workspaces server stopped at start: {line}", f"See its log: {log_path}."
            )
        await asyncio.sleep(PAUSE_SECONDS)
    raise Unreachable(
        f"The local workspaces server did not respond within {START_SECONDS:g} s.",
        f"See its log: {log_path}.",
    )


def _launch(file: Path, log_path: Path) -> subprocess.Popen[bytes]:
    """Start the server in the background. Raises `OSError`."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [
        sys.executable,
        "-m",
        "jupyter_workspaces.server.serve",
        "--runtime-file",
        str(file),
        "--idle-minutes",
        str(IDLE_MINUTES),
    ]
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_SERVE}
    for ended in [process for process in _started if process.poll() is not None]:
        _started.remove(ended)
    with open(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=file.parent,
            env=environment,
        )
    _started.append(process)
    return process


async def _running(file: Path) -> tuple[str, str] | None:
    """Return base URL and token of the server in the runtime file, if it responds."""
    import aiohttp

    try:
        content = json.loads(await asyncio.to_thread(file.read_text, "utf-8"))
        root, token = str(content["url"]), str(content["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    headers = {"Authorization": f"token {token}"}
    try:
        # The OpenAPI document needs authentication, so this also checks the token.
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(
                f"{root}api/v1/swagger/doc.json", headers=headers, allow_redirects=False
            ) as answer,
        ):
            return (root, token) if answer.status == 200 else None
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
        return None


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1][-300:] if lines else "empty log"
