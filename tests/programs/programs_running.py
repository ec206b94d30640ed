"""A program in a workspace: created at one server, opened at one, used in a browser, deleted."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page
from programs_catalog import Program
from programs_cluster import TOKEN, Server, processes_of

from jupyter_workspaces.client import Client, Workspace

RUNNING_SECONDS = 180.0
DELETED_SECONDS = 60.0
LEFT_SECONDS = 10.0


@dataclass(frozen=True)
class Way:
    """A column of the table: base URLs of the servers that create and open the workspace."""

    name: str
    creates: str
    opens: str


WAYS = (
    Way("at /", "/", "/"),
    Way("at /user/x/", "/user/x/", "/user/x/"),
    Way("at /user/x/, started at /", "/", "/user/x/"),
)


@dataclass
class Seen:
    """What was wrong in the browser beside the steps."""

    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def check(self, program: Program) -> None:
        """Raise `AssertionError` for what is not the program's own fault."""
        for what, found in (
            ("requests that were refused", self.refused),
            ("errors in the page", self.errors),
        ):
            left = [one for one in found if not any(name in one for name in program.lacks)]
            assert not left, f"{what}: {left[:5]}"


def use(program: Program, way: Way, servers: Mapping[str, Server], browser: Browser) -> None:
    """Do the program's steps. Raises what went wrong."""
    opens, creates = servers[way.opens], servers[way.creates]
    name = f"{program.name}-{WAYS.index(way)}"
    with workspace(program, name, Client(creates.url, TOKEN, namespace="default", start=False)):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        try:
            page = signed_in(context, opens)
            use_page(program, name, page, opens.url, with_data=way.creates == way.opens)
        finally:
            context.close()


@contextmanager
def workspace(program: Program, name: str, client: Client) -> Iterator[Workspace]:
    """Create a workspace and wait until it runs; delete it afterwards, with all its processes."""
    made = client.spawn(program.name, name)
    try:
        made.wait(timeout=RUNNING_SECONDS, quiet=True)
        assert processes_of(name), "the processes of a running workspace are not found"
        yield made
    except Exception:
        print(f"log of {name}:\n{made.logs(tail=60)[-4000:]}", file=sys.stderr)
        raise
    finally:
        made.delete(timeout=DELETED_SECONDS)
        deadline = time.monotonic() + LEFT_SECONDS
        while (left := processes_of(name)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"processes of {name} run after it was deleted: {left}"


def signed_in(context: BrowserContext, server: Server) -> Page:
    """Return a page whose browser has the server's cookie."""
    page = context.new_page()
    page.goto(f"{server.url}login?token={TOKEN}&next={server.base_url}api/status")
    return page


def use_page(program: Program, name: str, page: Page, url: str, *, with_data: bool) -> None:
    """Open the workspace at the server at `url` and do the program's steps."""
    seen = watched(page, url)
    try:
        # The steps wait for what they need: on a busy machine, MLflow's scripts alone take half a
        # minute.
        page.goto(
            f"{url}workspace/connect/default/{name}/{program.port_id}/{program.opens}",
            wait_until="commit",
        )
        program.steps(page)
        if program.with_data is not None and with_data:
            program.with_data(page)
        seen.check(program)
    except Exception:
        print(
            f"refused: {seen.refused[:8]}\nerrors: {seen.errors[:5]}\nat {page.url}",
            file=sys.stderr,
        )
        print(f"dialogs: {page.get_by_role('dialog').all_inner_texts()}", file=sys.stderr)
        _picture(page, name)
        raise


def watched(page: Page, server: str) -> Seen:
    """Collect requests to our server that it answered with an error, and errors of scripts."""
    seen = Seen()
    page.on(
        "response",
        lambda got: (
            seen.refused.append(f"{got.status} {got.url}")
            if got.status >= 400 and got.url.startswith(server)
            else None
        ),
    )
    page.on("pageerror", lambda error: seen.errors.append(str(error)[:300]))
    return seen


def _picture(page: Page, name: str) -> None:
    if folder := os.environ.get("JUPYTER_WORKSPACES_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))
