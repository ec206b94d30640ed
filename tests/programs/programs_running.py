"""Installs programs, starts them behind the proxy, and opens them in a browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page
from programs_catalog import Program

START_SECONDS = 300
STOP_SECONDS = 10
PLACE = "workspace/connect/team-a/small/web/"
PROXY = Path(__file__).with_name("programs_proxy.py")


@dataclass(frozen=True)
class Way:
    """How a program is run: the server's base URL, and the one of the path that the program is told."""

    name: str
    base_url: str
    told: str


WAYS = (
    Way("at /", "/", "/"),
    Way("at /user/x/", "/user/x/", "/user/x/"),
    Way("at /user/x/, started at /", "/user/x/", "/"),
)


@dataclass
class Seen:
    """What was wrong in the browser beside the steps."""

    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def cache() -> Path:
    """Where the environments of programs stay."""
    named = os.environ.get("JUPYTER_WORKSPACES_PROGRAMS")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jupyter-workspaces" / "programs"


def installed(program: Program) -> Path:
    """The program's folder of scripts. Raises `subprocess.CalledProcessError`."""
    return install(program.name, program.requirements)


def install(name: str, requirements: Sequence[str]) -> Path:
    """Make an environment, once, and return its folder of scripts. Raises `subprocess.CalledProcessError`."""
    environment = cache() / name
    done = environment / "installed"
    wanted = "\n".join(requirements)
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(environment, ignore_errors=True)
        python = str(environment / "bin" / "python")
        if uv := shutil.which("uv"):
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
            command = [uv, "pip", "install", "--quiet", "--python", python]
        else:
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
            command = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*command, *requirements], check=True)
        done.write_text(wanted)
    return environment / "bin"


@contextmanager
def behind_proxy(program: Program, way: Way) -> Iterator[str]:
    """The program, running behind the proxy: the address at which a person opens it."""
    prefix = way.told + PLACE
    with tempfile.TemporaryDirectory(prefix="jw-program-") as home:
        port = free_port()
        with started(program, prefix, port, Path(home)), _proxy(program, way, port) as front:
            yield f"http://127.0.0.1:{front}{way.base_url}{PLACE}{program.opens}"


@contextmanager
def started(program: Program, prefix: str, port: int, home: Path) -> Iterator[None]:
    """The program, told its path and listening."""
    scripts = installed(program)
    values = {"port": str(port), "prefix": prefix, "path": prefix.rstrip("/")}
    for name, text in program.files.items():
        (home / name).write_text(text.replace("PORT", str(port)), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "DASH_", "GRADIO_", "STREAMLIT_"))}
    environment |= {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "PYTHONUNBUFFERED": "1"}
    environment |= {name: value.format(**values) for name, value in program.environment.items()}
    command = [str(scripts / program.command[0]), *(word.format(**values) for word in program.command[1:])]
    log = home / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=written, stderr=written, start_new_session=True
        )
    try:
        end = time.monotonic() + START_SECONDS
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{program.name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    except Exception:
        print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
        raise
    finally:
        ended(process)


def ended(process: subprocess.Popen[bytes]) -> None:
    """The program and the processes that it has started."""
    for signal_number in (15, 9):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


@contextmanager
def _proxy(program: Program, way: Way, port: int) -> Iterator[int]:
    command = [sys.executable, str(PROXY), way.base_url, str(port), way.told, "yes" if program.removes_prefix else "no"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait(30)


def use(program: Program, way: Way, browser: Browser) -> None:
    """Do the program's steps. Raises what went wrong."""
    with behind_proxy(program, way) as url:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        seen = watched(page, url.partition("/workspace/")[0])
        try:
            page.goto(url, wait_until="domcontentloaded")
            program.steps(page)
            if program.with_data is not None and way.told == way.base_url:
                program.with_data(page)
            refused = [found for found in seen.refused if not any(name in found for name in program.lacks)]
            assert not refused, f"requests that were refused: {refused[:5]}"
            errors = [found for found in seen.errors if not any(name in found for name in program.lacks)]
            assert not errors, f"errors in the page: {errors[:5]}"
        except Exception:
            print(f"refused: {seen.refused[:8]}\nerrors: {seen.errors[:5]}\nat {page.url}", file=sys.stderr)
            _picture(page, f"{program.name}-{way.name}")
            raise
        finally:
            context.close()


def watched(page: Page, server: str) -> Seen:
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
