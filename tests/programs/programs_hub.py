"""A real JupyterHub with configurable-http-proxy, and programs in workspaces behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import programs_steps as steps
from playwright.sync_api import Browser, Page
from programs_catalog import Program
from programs_cluster import add_kinds, cluster, free_port, running
from programs_environments import cache, install
from programs_running import use_page, workspace

from jupyter_workspaces.client import Client
from jupyter_workspaces.resources.templates import is_plain_base_url

USERS = {"ana": "token-of-ana", "ana@b.org": "token-of-address", "ana+c@b.org": "token-of-plus"}
"""Users and their API tokens. Only the last one's base URL has an escape in it."""

LAB = Program("jupyterlab", [], "", steps.lab, opens="lab", port_id="jupyterlab")
"""Of the sample kind of this name, which is there on every local cluster."""

CONFIG = """\
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.api_tokens = {tokens!r}
c.Authenticator.allow_all = True
c.SimpleLocalProcessSpawner.home_dir_template = {home!r} + "/{{username}}"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--ServerApp.jpserver_extensions={{'jupyter_workspaces': True}}"]
c.Spawner.environment = {environment!r}
c.Spawner.default_url = "/api"
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
"""


def use_behind_hub(programs: Sequence[Program], browser: Browser) -> list[list[str]]:
    """Try the programs and JupyterLab as each user, and return the rows of the table."""
    rows = [["program", *(f"as {user}, behind JupyterHub" for user in USERS)]]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jw-hub-")))
        home = stack.enter_context(cluster(folder / "cluster"))
        add_kinds(home, programs)
        url = stack.enter_context(hub(home, folder))
        pages = {user: _signed_in(browser, url, user) for user in USERS}
        for program in (*programs, LAB):
            row = [program.name]
            for number, (user, page) in enumerate(pages.items()):
                row.append(_tried(program, f"{program.name}-{number}", user, url, page))
                print(f"{program.name}, {user}: {row[-1]}", flush=True)
            rows.append(row)
    return rows


def _tried(program: Program, name: str, user: str, url: str, page: Page) -> str:
    began = time.monotonic()
    base_url = _base_url(user)
    server = url.rstrip("/") + base_url
    try:
        with workspace(
            program, name, Client(server, USERS[user], namespace="default", start=False)
        ):
            use_page(program, name, page, server, with_data=is_plain_base_url(base_url))
            page.goto("about:blank")  # a page of a deleted workspace would go on asking for it
    except Exception:  # noqa: BLE001 - whatever went wrong is this row's result
        traceback.print_exc()
        return "FAIL"
    return f"ok {time.monotonic() - began:.0f} s"


@contextmanager
def hub(cluster_home: Path, folder: Path) -> Iterator[str]:
    """Run a hub whose users' servers work with the cluster in `cluster_home`. Yields its URL."""
    python = install("jupyterhub", ["jupyterhub"]) / "python"
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    ours = sysconfig.get_path("purelib")
    (site / "tests.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    public, private, api = free_port(), free_port(), free_port()
    text = CONFIG.format(
        public=public,
        hub=private,
        api=api,
        proxy=[shutil.which("node"), str(_proxy())],
        tokens={token: user for user, token in USERS.items()},
        home=str(folder),
        python=str(python),
        environment={"JUPYTER_WORKSPACES_HOME": str(cluster_home)},
    )
    (folder / "config.py").write_text(text)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "KUBE"))
    }
    environment = kept | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    url = f"http://127.0.0.1:{public}/"
    with running(
        [str(python), "-m", "jupyterhub", "-f", "config.py"], environment, folder, f"{url}hub/api"
    ) as log:
        try:
            yield url
        except Exception:
            print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
            raise


def _proxy() -> Path:
    """Install configurable-http-proxy, once, and return its script."""
    folder = cache() / "proxy"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "configurable-http-proxy"]
        subprocess.run(command, cwd=folder, check=True)
    return folder / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"


def _base_url(user: str) -> str:
    """Return the base URL of the user's server, as JupyterHub escapes it."""
    return f"/user/{quote(user, safe='@~')}/"


def _signed_in(browser: Browser, url: str, user: str) -> Page:
    """Sign in at the hub, start the user's server, and return a page that has its cookies."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{url}hub/login?next=%2Fhub%2Fspawn%2F{quote(user)}")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill("any")
    page.get_by_role("button", name="Sign in").click()
    server = f"{url.rstrip('/')}{_base_url(user)}api"
    page.wait_for_url(lambda found: found.startswith(server), timeout=3 * steps.SLOW)
    return page
