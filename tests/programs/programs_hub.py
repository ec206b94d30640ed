"""A real JupyterHub with configurable-http-proxy: programs in workspaces, and a Lab in a workspace of a local cluster, behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import programs_steps as steps
from playwright.sync_api import Browser, Page, expect
from programs_catalog import Program
from programs_environments import cache, install
from programs_cluster import free_port

HERE = Path(__file__).resolve().parent
HUB_SECONDS = 120
LAB_USER = "lab"
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
c.Spawner.default_url = "/api"
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
ports = {ports!r}


def prepare(spawner):
    name = spawner.user.name
    own = {{"programs_hub_extension": name in ports, "jupyter_workspaces": name not in ports}}
    spawner.args = ["--allow-root", f"--ServerApp.jpserver_extensions={{own}}"]
    spawner.environment = {environment!r} | {{"PROGRAM_PORT": str(ports.get(name, 0))}}


c.Spawner.pre_spawn_hook = prepare
"""


@contextmanager
def hub(ports: Mapping[str, int], home: Path) -> Iterator[str]:
    """The hub's address. `ports` are those of the programs, by the users who have them; the user `lab` has a local cluster."""
    python = install("jupyterhub", ["jupyterhub"]) / "python"
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    (site / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    proxy = cache() / "proxy"
    if not (proxy / "node_modules").exists():
        proxy.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "configurable-http-proxy"], cwd=proxy, check=True)
    public, private, api = free_port(), free_port(), free_port()
    environment = {"PYTHONPATH": str(HERE), "JUPYTER_WORKSPACES_HOME": str(home / "cluster")}
    text = CONFIG.format(
        public=public,
        hub=private,
        api=api,
        proxy=[shutil.which("node"), str(proxy / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy")],
        home=str(home),
        python=str(python),
        ports=dict(ports),
        environment=environment,
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
        url = f"http://127.0.0.1:{public}/"
        end = time.monotonic() + HUB_SECONDS
        while not _answers(f"{url}hub/api"):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"JupyterHub did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        yield url
    except Exception:
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        raise
    finally:
        ended(process)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _signed_in(browser: Browser, url: str, user: str, following: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{url}hub/login?next=%2Fhub%2Fspawn%2F{user}")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill("any")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda found: found.startswith(f"{url}user/{user}/api"), timeout=3 * steps.SLOW)  # past signing in
    page.goto(f"{url}user/{user}/{following}", wait_until="domcontentloaded")
    return page


def _use_lab(browser: Browser, url: str) -> None:
    """A workspace made, opened and used with a notebook's kernel in it."""
    page = _signed_in(browser, url, LAB_USER, "lab")
    path = f"/user/{LAB_USER}/workspace/connect/default/behind-hub/jupyterlab/"
    made = page.evaluate(MAKE, {"api": f"{url}user/{LAB_USER}/"})
    assert made in (200, 201), made
    page.goto(f"{url.rstrip('/')}{path}lab")
    expect(page.locator(".jp-Launcher-body")).to_be_visible(timeout=2 * steps.SLOW)
    assert page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).baseUrl") == path
    page.locator(".jp-LauncherCard[data-category='Console']").first.click()
    expect(page.locator(".jp-CodeConsole-promptCell .cm-content")).to_be_visible(timeout=steps.SLOW)
    expect(page.locator(".jp-CodeConsole-banner")).to_be_visible(timeout=2 * steps.SLOW)  # the kernel is ready
    page.locator(".jp-CodeConsole-promptCell .cm-content").click()
    page.keyboard.type("print('answer', 6 * 7)")
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output").last).to_contain_text(steps.ANSWER, timeout=steps.SLOW)


MAKE = """async ({api}) => {
  const token = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "";
  const options = {imageConfig: "jupyterlab_scipy_190", podConfig: "tiny_cpu"};
  const podTemplate = {podMetadata: {labels: {}, annotations: {}}, volumes: {data: [], secrets: []}, options};
  const data = {name: "behind-hub", kind: "jupyterlab", paused: false, deferUpdates: false, podTemplate};
  const headers = {"Content-Type": "application/json", "X-XSRFToken": token};
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${api}workspaces/api/v1/workspaces/default`, {method: "POST", headers, body: JSON.stringify({data})});
    if (answer.status !== 503 || tries > 30) return answer.ok ? answer.status : `${answer.status} ${await answer.text()}`;
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
}"""


def use_behind_hub(programs: list[Program], browser: Browser) -> dict[str, str]:
    """What came of the Lab and of each program: "ok", or what went wrong."""
    results: dict[str, str] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jw-hub-")))
        ports = {}
        for program in programs:
            ports[program.name] = free_port()
            folder = home / f"program-{program.name}"
            folder.mkdir()
            stack.enter_context(started(program, f"/user/{program.name}/{PLACE}", ports[program.name], folder))
        stack.callback(_reset, home / "cluster")
        url = stack.enter_context(hub(ports, home))
        for program in programs:
            try:
                page = _signed_in(browser, url, program.name, "api")
                seen = watched(page, url)
                page.goto(f"{url}user/{program.name}/{PLACE}{program.opens}", wait_until="domcontentloaded")
                program.steps(page)
                if program.with_data is not None:
                    program.with_data(page)
                refused = [found for found in seen.refused if not any(name in found for name in program.lacks)]
                results[program.name] = f"FAIL {refused[:3]}" if refused else "ok"
            except Exception as error:  # noqa: BLE001 - whatever went wrong is this row's result
                results[program.name] = f"FAIL {str(error)[:1500]}"
        try:
            _use_lab(browser, url)
            results["jupyterlab"] = "ok"
        except Exception as error:  # noqa: BLE001 - as above
            results["jupyterlab"] = f"FAIL {str(error)[:1500]}"
    return results


def _reset(home: Path) -> None:
    from jupyter_workspaces.local import launch

    if home.exists():
        launch.reset(home)
