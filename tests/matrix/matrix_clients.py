"""The tested clients. Each has its own environment, kept beside the control plane's programs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import control_plane_binaries
from matrix_clusters import MatrixCluster
from matrix_table import Outcome
from scenario_steps import TARGET, Target

HERE = Path(__file__).resolve().parent
INSTALL_SECONDS = 600
SCENARIO_SECONDS = 900
COMPLAINT_LENGTH = 3000


@dataclass(frozen=True)
class Client:
    """A client.

    Attributes:
        script: its steps, run in an environment with `requirements`.
        program: the program that is tested, for clients that are not in Python.
    """

    name: str
    script: str
    requirements: tuple[str, ...] = ()
    program: Path | None = field(default=None, compare=False)


CLIENTS = (
    Client("kubernetes-31", "scenario_kubernetes.py", ("kubernetes==31.*",)),
    Client("kubernetes-35", "scenario_kubernetes.py", ("kubernetes==35.*",)),
    Client("kubernetes-37", "scenario_kubernetes.py", ("kubernetes==37.*",)),
    Client("kubernetes.aio", "scenario_kubernetes_aio.py", ("kubernetes==37.*", "aiohttp>=3.9,<4")),
    Client("kr8s", "scenario_kr8s.py", ("kr8s>=0.20,<0.21",)),
    Client("lightkube", "scenario_lightkube.py", ("lightkube>=1.0,<2",)),
    Client("kopf", "scenario_kopf.py", ("kopf>=1.45,<1.46",)),
)


class NoEnvironment(Exception):
    """The packages of a client cannot be installed. The message has the end of pip's output."""


def environment(client: Client) -> Path:
    """Return the Python of a client's environment.

    Raises:
        NoEnvironment: if it cannot be installed.
    """
    if not client.requirements:
        return Path(sys.executable)
    wanted = "\n".join((*client.requirements, sys.version))
    folder = (
        control_plane_binaries.base()
        / "clients"
        / f"{client.name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    )
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "-q", *client.requirements],
        ):
            made = subprocess.run(
                command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            if made.returncode != 0:
                raise NoEnvironment(
                    f"{client.name} cannot be installed: {made.stderr.strip()[-1000:]}"
                )
        done.write_text(wanted)
    return python


def namespace(client: Client) -> str:
    return "matrix-" + "".join(
        letter if letter.isalnum() else "-" for letter in client.name.lower()
    )


def run(client: Client, cluster: MatrixCluster) -> Iterator[Outcome]:
    """Yield the outcome of each step, and one more if the script ends before its last step."""
    try:
        python = environment(client)
    except NoEnvironment as error:
        yield Outcome(client.name, "environment", str(error), 0.0)
        return
    target = Target(
        str(cluster.kubeconfig),
        namespace(client),
        cluster.pod,
        cluster.port,
        cluster.exit_codes,
        str(client.program or ""),
    )
    with (
        tempfile.TemporaryDirectory(prefix="jw-matrix-") as home,
        tempfile.TemporaryFile("w+") as complaints,
    ):
        settings = {
            "HOME": home,
            "PATH": os.environ["PATH"],
            "KUBECONFIG": target.kubeconfig,
            TARGET: json.dumps(asdict(target)),
        }
        # Scripts import the steps beside them; nothing else of this repository is there for them.
        process = subprocess.Popen(
            [str(python), "-W", "ignore", str(HERE / client.script)],
            env=settings,
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=complaints,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        failed = False
        try:
            for outcome in _outcomes(client.name, process):
                failed |= bool(outcome.failure)
                yield outcome
            status = process.wait(SCENARIO_SECONDS)
        finally:
            process.kill()
            process.wait()
        complaints.seek(0)
        said = complaints.read().strip()[-COMPLAINT_LENGTH:]
        if status != (1 if failed else 0):
            yield Outcome(client.name, "the script's end", f"exit status {status}: {said}", 0.0)
        elif failed and said:
            print(said, flush=True)


def _outcomes(name: str, process: subprocess.Popen[str]) -> Iterator[Outcome]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            told = json.loads(line)
            yield Outcome(name, told["step"], told["failure"], told["seconds"])


def chosen(clients: Sequence[Client], names: Sequence[str]) -> list[Client]:
    """Return the clients whose names start with one of the names; all without names.

    Raises:
        ValueError: if a name matches no client.
    """
    for name in names:
        if not any(client.name.startswith(name) for client in clients):
            raise ValueError(
                f"there is no client {name}; "
                f"there are {', '.join(client.name for client in clients)}"
            )
    return [
        client
        for client in clients
        if not names or any(client.name.startswith(name) for name in names)
    ]
