"""The user's own `serve`, shared by all kernels and shells: found by its file, else started. It ends by itself after 15 idle minutes."""

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

_started: list[
    subprocess.Popen[bytes]
] = []  # they outlive us; until then somebody must take note when one ends

# What names the server of a kernel is not for a server: it would take itself for that kernel.
_NOT_FOR_SERVE = (
    "JPY_PARENT_PID",
    "JPY_SESSION_NAME",
    "JUPYTER_WORKSPACES_URL",
    "JUPYTER_WORKSPACES_TOKEN",
    VARIABLE,
)


async def shared_server(start: bool = True) -> tuple[str, str]:
    """Its root (ending in a slash) and token. Raises `WorkspaceError`."""
    if workspace := os.environ.get("JUPYTER_WORKSPACE"):
        text = f"This kernel runs inside the workspace {workspace}, from where workspaces are not managed."
        raise WorkspaceError(
            text,
            "Use the notebook server that started it, or name a server by JUPYTER_WORKSPACES_URL.",
        )
    file = serve_file()
    if (known := await _running(file)) is not None:
        return known
    if not start:
        raise Unreachable("No server of workspaces runs.", "`jupyter workspaces list` starts one.")
    log_path = file.with_name("serve.log")
    try:
        process = await asyncio.to_thread(_launch, file, log_path)
    except OSError as error:
        text = f"The local server of workspaces cannot be started: {error}."
        raise WorkspaceError(text, f"It needs to write into {file.parent}.") from error
    loop = asyncio.get_running_loop()
    end = loop.time() + START_SECONDS
    while loop.time() < end:
        if (known := await _running(file)) is not None:
            return known
        if process.poll() not in (
            None,
            0,
        ):  # 0: another kernel was faster, and its server comes up just now
            said = await asyncio.to_thread(_last_line, log_path)
            raise WorkspaceError(
                f"The local server of workspaces ended at once: {said}", f"Its log is {log_path}."
            )
        await asyncio.sleep(PAUSE_SECONDS)
    raise Unreachable(
        f"The local server of workspaces did not answer within {START_SECONDS:g} s.",
        f"Its log is {log_path}.",
    )


def _launch(file: Path, log_path: Path) -> subprocess.Popen[bytes]:
    """Raises `OSError`."""
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
    """Root and token of the one that the file tells of, if it answers."""
    import aiohttp

    try:
        told = json.loads(await asyncio.to_thread(file.read_text, "utf-8"))
        root, token = str(told["url"]), str(told["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    headers = {"Authorization": f"token {token}"}
    try:
        # The description asks who one is, so it also tells whether the token is right.
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
        return "no log was written"
    return lines[-1][-300:] if lines else "it said nothing"
