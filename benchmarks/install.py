"""Time of `pip install .` without Node, from a clean checkout, with a warm cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Figure, at_most

ROOT = Path(__file__).resolve().parent.parent
NODE_TOOLS = {"node", "nodejs", "npm", "npx", "corepack", "yarn", "yarnpkg", "jlpm"}


def path_without_node(folder: Path) -> Path:
    """A folder of links to everything in /usr/bin and /bin but Node's tools."""
    for source in (Path("/usr/bin"), Path("/bin")):
        for tool in source.iterdir():
            link = folder / tool.name
            if tool.name not in NODE_TOOLS and not os.path.lexists(link):
                link.symlink_to(tool)
    return folder


def install(folder: Path, environment: dict[str, str], what: list[str]) -> float:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    began = time.perf_counter()
    subprocess.run(
        [str(folder / "bin" / "pip"), "install", "-q", *what],
        check=True,
        env=environment | {"PATH": f"{folder}/bin:{environment['PATH']}"},
    )
    return time.perf_counter() - began


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        (base / "bin").mkdir()
        environment = {**os.environ, "PATH": str(path_without_node(base / "bin"))}
        subprocess.run(["git", "clone", "-q", str(ROOT), str(base / "source")], check=True)
        reference = install(
            base / "reference",
            environment,
            ["jupyter_server", "kubernetes", "ipywidgets", "aiohttp", "cryptography"],
        )
        ours = install(base / "ours", environment, [str(base / "source")])
    return [
        at_most(
            "install without Node, warm registry cache",
            ours,
            60,
            "s",
            f"its five largest dependencies alone: {reference:.0f} s",
        )
    ]
