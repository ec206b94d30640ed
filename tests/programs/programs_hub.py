"""A real JupyterHub with configurable-http-proxy: programs and a Lab in workspaces of a local cluster, behind it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import programs_steps
from playwright.sync_api import Browser, Page, expect
from programs_catalog import Program
from programs_cluster import PORT, answers, cluster
from programs_environments import cache, install
from programs_running import free_port, steps

HUB_SECONDS = 120
STOP_SECONDS = 20
USERS = ("ana", "ana@example.org")
"""The second one's base URL has an escape in it."""
CONFIG = """\
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.Authenticator.allow_all = True
c.SimpleLocalProcessSpawner.home_dir_template = {home!r} + "/{{username}}"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--ServerApp.jpserver_extensions={{'jupyter_workspaces': True}}"]
c.Spawner.environment = {environment!r}
c.Spawner.default_url = "/api"
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
"""


@contextmanager
def hub(home: Path) -> Iterator[str]:
    """The hub's address. Each user's server has the extension, for the local cluster in `home`/cluster."""
    python = install("jupyterhub", ["jupyterhub"]) / "python"
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    (site / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    proxy = cache() / "proxy"
    if not (proxy / "node_modules").exists():
        proxy.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "configurable-http-proxy"], cwd=proxy, check=True)
    public = free_port()
    text = CONFIG.format(
        public=public,
        hub=free_port(),
        api=free_port(),
        proxy=[shutil.which("node"), str(proxy / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy")],
        home=str(home),
        python=str(python),
        environment={"JUPYTER_WORKSPACES_HOME": str(home / "cluster")},
    )
    (home / "config.py").write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "KUBE"))}
    log = home / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [str(python), "-m", "jupyterhub", "-f", "config.py"],
            cwd=home,
            env=kept | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        answers(f"http://127.0.0.1:{public}/hub/api", process, log, HUB_SECONDS)
        yield f"http://127.0.0.1:{public}/"
    except Exception:
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        raise
    finally:
        for end in (signal.SIGTERM, signal.SIGKILL):  # also the proxy and the users' servers
            try:
                os.killpg(process.pid, end)
                process.wait(STOP_SECONDS)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


class User:
    """A person with a browser of their own, signed in to the hub."""

    def __init__(self, browser: Browser, hub_url: str, name: str) -> None:
        self.name = name
        self.page: Page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        self.page.goto(f"{hub_url}hub/login?next={quote(f'/hub/spawn/{name}', safe='')}")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill("any")
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda found: "/user/" in found and found.rstrip("?").endswith("/api"), timeout=3 * programs_steps.SLOW)
        self.url = self.page.url.rstrip("?").removesuffix("api")

    def make(self, name: str, kind: str, image: str, size: str) -> None:
        """Make a workspace as a page of the server does, and wait until it runs."""
        self.page.goto(f"{self.url}api")
        made = self.page.evaluate(MAKE, {"api": f"{self.url}workspaces/api/v1/", "name": name, "kind": kind, "image": image, "size": size})
        assert made == "Running", made

    def delete(self, name: str) -> None:
        self.page.goto(f"{self.url}api")
        deleted = self.page.evaluate(DELETE, {"api": f"{self.url}workspaces/api/v1/", "name": name})
        assert deleted == 204, deleted

    def path(self, name: str, port: str, below: str = "") -> str:
        return f"{self.url}workspace/connect/default/{name}/{port}/{below}"


TOKEN = """const token = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "";
  const headers = {"Content-Type": "application/json", "X-XSRFToken": token};"""
MAKE = f"""async ({{api, name, kind, image, size}}) => {{
  {TOKEN}
  const podTemplate = {{
    podMetadata: {{labels: {{}}, annotations: {{}}}}, volumes: {{data: [], secrets: []}}, options: {{imageConfig: image, podConfig: size}},
  }};
  const body = JSON.stringify({{data: {{name, kind, paused: false, deferUpdates: false, podTemplate}}}});
  const answer = await fetch(`${{api}}workspaces/default`, {{method: "POST", headers, body}});
  if (!answer.ok) return `${{answer.status}} ${{await answer.text()}}`;
  for (let tries = 0; tries < 600; tries++) {{
    const {{data}} = await (await fetch(`${{api}}workspaces/default?filter=name%3D${{name}}`)).json();
    if (data[0]?.state === "Running" || data[0]?.state === "Error") return data[0].state === "Running" ? "Running" : data[0].stateMessage;
    await new Promise(resolve => setTimeout(resolve, 500));
  }}
  return "It did not start in time.";
}}"""
DELETE = f"""async ({{api, name}}) => {{
  {TOKEN}
  return (await fetch(`${{api}}workspaces/default/${{name}}`, {{method: "DELETE", headers}})).status;
}}"""


def use_behind_hub(programs: Sequence[Program], browser: Browser) -> list[list[str]]:
    """A row for a Lab and each program, a column for each user: "ok", or "FAIL"."""
    rows = [["behind JupyterHub", *USERS], *([name] for name in ("jupyterlab", *(program.name for program in programs)))]
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jw-hub-")))
        stack.enter_context(cluster(home / "cluster", programs))
        url = stack.enter_context(hub(home))
        for number, name in enumerate(USERS):
            user = User(browser, url, name)
            rows[1].append(_tried(lambda user=user, number=number: _use_lab(user, f"lab-{number}")))
            for row, program in zip(rows[2:], programs, strict=True):
                row.append(_tried(lambda user=user, number=number, program=program: _use(user, f"{program.name}-{number}", program)))
            user.page.context.close()
    return rows


def _tried(use: Callable[[], None]) -> str:
    try:
        use()
    except Exception:  # noqa: BLE001 - whatever went wrong is this cell's result
        traceback.print_exc()
        return "FAIL"
    return "ok"


def _use(user: User, name: str, program: Program) -> None:
    user.make(name, program.name, "latest", "small")
    try:
        steps(program, user.page, user.url, user.path(name, PORT, program.opens), with_data=True)
    finally:
        user.delete(name)


def _use_lab(user: User, name: str) -> None:
    """A Lab in a workspace: its kernel answers in a console."""
    user.make(name, "jupyterlab", "jupyterlab_scipy_190", "tiny_cpu")
    page = user.page
    try:
        page.goto(user.path(name, "jupyterlab", "lab"))
        page.locator(".jp-LauncherCard[data-category='Console']").first.click(timeout=2 * programs_steps.SLOW)
        prompt = page.locator(".jp-CodeConsole-promptCell .cm-content")
        expect(page.locator(".jp-CodeConsole-banner")).to_be_visible(timeout=2 * programs_steps.SLOW)  # the kernel is ready
        prompt.click()
        page.keyboard.type("print('answer', 6 * 7)")
        page.keyboard.press("Shift+Enter")
        expect(page.locator(".jp-OutputArea-output").last).to_contain_text(programs_steps.ANSWER, timeout=programs_steps.SLOW)
    finally:
        user.delete(name)
