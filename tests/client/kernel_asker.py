"""Server extension: runs the code of a file in a kernel, writes its output to a file, and exits.

The kernel belongs to a real server without a sign-in. Loaded by `start_servers.JupyterServer`.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User

SECONDS = 180


class OnlyByCookie(IdentityProvider):
    """An identity provider of a site's own, which knows no tokens."""

    def get_user(self, handler: Any) -> User | None:
        return User("anna") if handler.get_cookie("site") == "anna" else None

    def is_token_authenticated(self, handler: Any) -> bool:
        return False


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "kernel_asker"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    pass


async def _start_jupyter_server_extension(serverapp: Any) -> None:
    serverapp.asking = asyncio.create_task(_ask(serverapp))


async def _ask(serverapp: Any) -> None:
    go, code, result = (Path(os.environ[f"ASK_{name}"]) for name in ("GO", "CODE", "RESULT"))
    (result.with_suffix(".ready")).touch()
    while not go.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.05)
    told: dict[str, Any] = {"out": "", "error": ""}
    manager = serverapp.kernel_manager
    kernel_id = await manager.start_kernel()
    client = manager.get_kernel(kernel_id).client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=SECONDS)

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                told["out"] += content["text"]
            elif message["msg_type"] == "error":
                told["error"] = "\n".join(content["traceback"])

        await client.execute_interactive(code.read_text(), output_hook=hear, timeout=SECONDS)
    except (
        RuntimeError,
        asyncio.TimeoutError,
        TimeoutError,
        OSError,
    ) as error:  # the kernel died, or did not answer in time
        told["error"] = repr(error)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(kernel_id, now=True)
        partial = result.with_suffix(".partial")
        partial.write_text(json.dumps(told))
        partial.rename(result)
        serverapp.stop(from_signal=False)
