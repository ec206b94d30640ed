"""Start, find, stop and reset the embedded cluster's process. Synchronous, cheap to import, safe to call from several processes at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_workspaces.localkube.directory import (
    Directory,
    LocalClusterError,
    home,
    refused,
)
from jupyter_workspaces.localkube.lock import Lock
from jupyter_workspaces.localkube.processes import alive, wait_ended

from . import environment
from .parts import Parts, of_record

__all__ = [
    "Keeper",
    "LocalClusterError",
    "Parts",
    "Status",
    "answers",
    "files",
    "home",
    "reset",
    "start",
    "status",
    "stop",
]

ANOTHER_RUNS = 75
"""Exit status of a process that found another one in its directory (sysexits' EX_TEMPFAIL)."""

FAILED = 70
"""Exit status of a process that said on its standard error why it cannot run."""

PAUSE = 0.02
AGAIN_SECONDS = 0.5
ANSWER_SECONDS = 2.0

_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Status:
    """What there is of a local cluster. `memory` in bytes; `pods` counts the running ones; both None when it does not run or answer.

    `problem` is what of it fails at present and is tried again.
    """

    running: bool
    directory: Path
    pid: int | None = None
    url: str | None = None
    version: str | None = None
    pods: int | None = None
    memory: int | None = None
    parts: Parts | None = None
    problem: str | None = None


def start(
    directory: str | Path | None = None,
    timeout: float = 30,
    port: int | None = None,
    parts: Parts | None = None,
) -> Path:
    """Find the running cluster of a directory, or start one, and return its kubeconfig once it answers. Raises `LocalClusterError`.

    Without `parts` one that runs is taken as it is, and one that died comes back as it was.
    """
    if workspace := os.environ.get("JUPYTER_WORKSPACE"):
        raise LocalClusterError(
            f"This is inside the workspace {workspace}, where no cluster is started: it would be one of its own, out of your sight. "
            "Manage workspaces from the Jupyter server that started this one, or set KUBECONFIG to name a cluster."
        )
    files = _files(directory)
    files.prepare()
    deadline = time.monotonic() + timeout
    if _answers(files):
        return _as_asked(files, parts)
    wanted = parts or of_record(files.record())
    child: subprocess.Popen[bytes] | None = _spawn(files, port, wanted)
    again = 0.0
    try:
        while time.monotonic() < deadline:
            if _answers(files):
                return _as_asked(files, parts)
            if child is not None and (code := child.poll()) is not None:
                _children.pop(child.pid, None)
                complaint = _complaint(child)
                if code != ANOTHER_RUNS:
                    raise LocalClusterError(
                        complaint
                        or f"The local cluster ended at once (exit status {code}); see {files.log}."
                    )
                child, again = None, time.monotonic() + AGAIN_SECONDS
            if child is None and time.monotonic() > again:
                # The one that was there may have gone without getting ready.
                child = _spawn(files, port, wanted)
            time.sleep(PAUSE)
    finally:
        if child is not None and child.stderr is not None:
            child.stderr.close()
    raise LocalClusterError(
        f"The local cluster in {files.path} did not answer within {timeout:g} s. Its log {files.log} says what it does; "
        "`jupyter workspaces local stop` ends it."
    )


def stop(directory: str | Path | None = None, timeout: float = 15, pods: bool = False) -> bool:
    """Stop the process; True if one ran. Workspaces keep running unless `pods`. Raises `LocalClusterError` if it cannot be stopped."""
    import psutil

    files = _files(directory)
    process = _process(files)
    if process is not None:
        try:
            process.terminate()
            try:
                wait_ended(process, timeout)
            except psutil.TimeoutExpired:
                process.kill()
                wait_ended(process, timeout)
        except psutil.NoSuchProcess:
            pass
        except (psutil.AccessDenied, psutil.TimeoutExpired) as error:
            raise LocalClusterError(
                f"The local cluster's process {process.pid} cannot be stopped: {error}"
            ) from error
        _reap()
        files.process.unlink(missing_ok=True)
    if pods and files.pods.is_dir():
        from jupyter_workspaces.localkube.node import stop_pods

        stop_pods(files.path)
    return process is not None


def status(directory: str | Path | None = None) -> Status:
    """Look, and change nothing."""
    import psutil

    files = _files(directory)
    process = _process(files)
    if process is None:
        return Status(False, files.path)
    record = files.record() or {}
    try:
        memory: int | None = process.memory_info().rss
    except psutil.Error:
        memory = None
    try:
        listed = _ask(files, "/api/v1/pods").get("items") or []
        pods: int | None = sum(
            1 for pod in listed if pod.get("status", {}).get("phase") == "Running"
        )
    except (OSError, ValueError, AttributeError):
        pods = None
    return Status(
        True,
        files.path,
        process.pid,
        record.get("url"),
        record.get("version"),
        pods,
        memory,
        of_record(record),
        _problem(files),
    )


def _problem(files: Directory) -> str | None:
    try:
        told = _ask(files, "/readyz", good=(200, 500))
    except (OSError, ValueError):
        return "Its API server does not answer."
    text = told.decode(errors="replace").strip() if isinstance(told, bytes) else ""
    return None if text == "ok" else text


def reset(directory: str | Path | None = None) -> None:
    """Stop the process and its pods, and delete all the cluster's data, the files in its claims included. Raises `LocalClusterError`."""
    import psutil

    files = _files(directory)
    stop(files.path, pods=True)
    if not files.path.is_dir():
        return
    with Lock(files.lock):
        for mounted in psutil.disk_partitions(all=True):
            if files.path in Path(mounted.mountpoint).parents:
                raise LocalClusterError(
                    f"{mounted.mountpoint} is mounted inside the local cluster's directory. Unmount it, then reset again."
                )
        database = [
            files.database.with_name(files.database.name + suffix)
            for suffix in ("", "-wal", "-shm", "-journal")
        ]
        logs = files.path.glob(f"{files.log.name}*")
        secret = (
            files.kubeconfig,
            files.token,
            files.authority,
            files.authority_key,
            files.certificate,
            files.key,
            files.account_key,
        )
        try:
            for path in (*secret, *database, files.port, files.process, *logs):
                path.unlink(missing_ok=True)
            from jupyter_workspaces.localkube.node.records import all_pods

            for pod in all_pods(files.path):
                pod.remove()  # with what it has outside of this directory
            for path in (files.pods, files.volumes):
                if path.exists():
                    shutil.rmtree(path)
        except OSError as error:
            raise refused(files.path, error) from error


def answers(directory: str | Path | None = None) -> bool:
    """Whether a cluster runs in the directory and is ready. Starts nothing; waits at most 2 s for its answer."""
    return _answers(_files(directory))


def files(directory: str | Path | None = None) -> tuple[Path, Path]:
    """The kubeconfig of a directory's cluster, and the file that is written anew at each of its starts."""
    found = _files(directory)
    return found.kubeconfig, found.process


class Keeper:
    """Brings a cluster that died back on the next request; the second time in a row only after a pause that grows.

    One that was stopped on purpose stays stopped. Safe to call from several threads; it may block for seconds.
    """

    FIRST_PAUSE = 2.0
    LONGEST_PAUSE = 60.0
    LONG_LIFE = 300.0

    def __init__(self, directory: str | Path | None = None) -> None:
        self._files = _files(directory)
        self._lock = threading.Lock()
        self._pause = 0.0
        self._started = -self.LONG_LIFE
        self._last: LocalClusterError | None = None

    def ensure(self) -> Path:
        """The kubeconfig of a cluster that answers. Raises `LocalClusterError`: stopped, failed again, or too soon to try again."""
        with self._lock:
            if _answers(self._files):
                return self._files.kubeconfig
            if self._files.record() is None:
                raise LocalClusterError(
                    "The local cluster was stopped. `jupyter workspaces local start` starts it again."
                )
            now = time.monotonic()
            if now - self._started >= max(self.LONG_LIFE, self._pause):
                self._pause = 0.0
            if (wait := self._started + self._pause - now) > 0:
                reason = f" ({self._last})" if self._last else ""
                raise LocalClusterError(
                    f"The local cluster died again{reason}. It is started again in {wait:.0f} s; see {self._files.log}."
                )
            self._pause = min(max(self._pause * 2, self.FIRST_PAUSE), self.LONGEST_PAUSE)
            try:
                found = start(self._files.path)
            except LocalClusterError as error:
                self._last = error
                raise
            finally:
                self._started = time.monotonic()
            self._last = None
            return found


def _files(directory: str | Path | None) -> Directory:
    return Directory(home() if directory is None else Path(directory).expanduser().absolute())


def _as_asked(files: Directory, parts: Parts | None) -> Path:
    """The kubeconfig of the cluster that runs. Raises `LocalClusterError` when it runs with other parts than asked for."""
    running = of_record(files.record())
    if parts is not None and parts != running:
        raise LocalClusterError(
            f"The local cluster runs with {running}. Stop it (`jupyter workspaces local stop`), then start it with {parts}."
        )
    return files.kubeconfig


def _process(files: Directory) -> Any:
    """The cluster's own process, or None. Only what still looks like one is ever signalled."""
    _reap()
    record = files.record()
    if record is None or (process := alive(record)) is None:
        return None
    import psutil

    try:
        return process if "jupyter_workspaces.local" in process.cmdline() else None
    except psutil.Error:
        return None


def _reap() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def _answers(files: Directory) -> bool:
    """Whether the recorded process lives and the server at its address is ours and answers."""
    if _process(files) is None:
        return False
    try:
        _ask(files, "/livez")
    except (OSError, ValueError):
        return False
    return True


def _ask(files: Directory, path: str, good: tuple[int, ...] = (200,)) -> Any:
    """GET over TLS, trusting only this cluster's authority. Raises `OSError` or `ValueError`."""
    import http.client
    import json
    from urllib.parse import urlsplit

    from jupyter_workspaces.common import tls

    address = urlsplit((files.record() or {}).get("url", ""))
    trust = tls.client_context(files.authority.read_bytes())
    connection = http.client.HTTPSConnection(
        address.hostname or "127.0.0.1", address.port, timeout=ANSWER_SECONDS, context=trust
    )
    try:
        connection.request(
            "GET",
            path,
            headers={"Authorization": f"Bearer {files.token.read_text(encoding='ascii').strip()}"},
        )
        answer = connection.getresponse()
        data = answer.read()
        if answer.status not in good:
            raise ValueError(f"{path}: HTTP {answer.status}")
        return json.loads(data) if answer.headers.get_content_type() == "application/json" else data
    except http.client.HTTPException as error:
        raise ValueError(str(error)) from error
    finally:
        connection.close()


def _spawn(files: Directory, port: int | None, parts: Parts) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own. Its standard error is a pipe only until it is ready or has said why not."""
    arguments = ["--detached", *parts.arguments(), *([] if port is None else ["--port", str(port)])]
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    try:
        child = subprocess.Popen(
            environment.command(files.path, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=files.path,
            env=environment.build(os.environ),
            start_new_session=True,
            creationflags=flags,
        )
    except OSError as error:
        raise LocalClusterError(
            f"The local cluster's process cannot be started with {sys.executable}: {error}"
        ) from error
    _children[child.pid] = child
    return child


def _complaint(child: subprocess.Popen[bytes]) -> str:
    """What a process that ended said last: its own sentence, or the last line of a traceback."""
    if child.stderr is None:
        return ""
    with child.stderr as pipe:
        lines = pipe.read(65536).decode(errors="replace").strip().splitlines()
    return "\n".join(lines if child.returncode == FAILED else lines[-1:])
