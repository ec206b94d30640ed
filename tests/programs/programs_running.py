"""Opens programs in workspaces in a browser, and does what a person does with them."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page
from programs_catalog import Program
from programs_cluster import TOKEN, Server, running


@dataclass(frozen=True)
class Way:
    """Base URLs of the server at which a workspace is opened, and of the one at which it is made."""

    name: str
    opened_at: str
    made_at: str


WAYS = (
    Way("at /", "/", "/"),
    Way("at /user/x/", "/user/x/", "/user/x/"),
    Way("at /user/x/, made at /", "/user/x/", "/"),
)


@dataclass
class Seen:
    """What was wrong in the browser beside the steps."""

    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def check(self, program: Program) -> None:
        """Raises `AssertionError` for what is not the program's own fault."""
        for what, found in (("requests that were refused", self.refused), ("errors in the page", self.errors)):
            ours = [one for one in found if not any(name in one for name in program.lacks)]
            assert not ours, f"{what}: {ours[:5]}"


def use(program: Program, way: Way, at: Callable[[str], Server], browser: Browser) -> None:
    """Make a workspace, open it and do the program's steps. Raises what went wrong."""
    name = f"{program.name}-{WAYS.index(way)}"
    shown = at(way.opened_at)
    with running(program, at(way.made_at), name):
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.goto(f"{shown.url}api/status?token={TOKEN}")  # signs in
        try:
            steps(program, page, shown.url, shown.path(name, program.opens), with_data=way.opened_at == way.made_at)
        except Exception:
            _picture(page, f"{program.name}-{way.name}")
            raise
        finally:
            page.context.close()


def steps(program: Program, page: Page, server: str, url: str, *, with_data: bool) -> None:
    """Open a program and do its steps. Raises what went wrong."""
    seen = _watched(page, server)
    try:
        page.goto(url, wait_until="domcontentloaded")
        program.steps(page)
        if program.with_data is not None and with_data:
            program.with_data(page)
        seen.check(program)
    except Exception:
        print(f"refused: {seen.refused[:8]}\nerrors: {seen.errors[:5]}\nat {page.url}", file=sys.stderr)
        raise


def _watched(page: Page, server: str) -> Seen:
    """Requests to our server that were answered with an error, and errors of scripts."""
    seen = Seen()
    page.on(
        "response", lambda got: seen.refused.append(f"{got.status} {got.url}") if got.status >= 400 and got.url.startswith(server) else None
    )
    page.on("pageerror", lambda error: seen.errors.append(str(error)[:300]))
    return seen


def _picture(page: Page, name: str) -> None:
    if folder := os.environ.get("JUPYTER_WORKSPACES_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name.replace('/', '_').replace(' ', '-')}.png"))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
