"""Start, find, stop and reset the process of a local cluster.

All functions are synchronous and may be called from several processes at once. The module is cheap
to import: what runs in the cluster is imported by its process only.
"""

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

from jupyter_workspaces.common.paths import home
from jupyter_workspaces.localkube.directory import Directory, LocalClusterError
from jupyter_workspaces.localkube.lock import exclusive
from jupyter_workspaces.localkube.processes import alive, wait_ended

from . import environment
from .parts import Parts, of_record
from .settings import POD_VARIABLE, WORKSPACE_VARIABLE, cluster_directory

__all__ = [
    "Directory",
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
"""Exit status of a process whose directory another one uses (EX_TEMPFAIL in sysexits(3))."""

FAILED = 70
"""Exit status of a process that wrote to its standard error why it cannot run."""

POLL_SECONDS = 0.02
RESTART_SECONDS = 0.5
ANSWER_SECONDS = 2.0

_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Status:
    """State of a local cluster.

    Attributes:
        running: Whether its process runs; without it, only `directory` is set.
        directory: The cluster's directory.
        pid: Process id.
        url: URL of the API server.
        version: Version of the package that runs.
        pods: Number of running pods; None if the API server does not answer.
        memory: Resident memory of the process in bytes.
        parts: The parts that run.
        problem: What fails at present and is retried; None if nothing does.
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
    """Find the running cluster of a directory, or start one.

    Args:
        directory: The cluster's directory; the user's own one by default.
        timeout: Seconds to wait until the cluster answers.
        port: Port of the API server; by default the last one, or a free one.
        parts: The parts that have to run. By default a running cluster is used as it is, and one
            that crashed is started with the same parts again.

    Returns:
        The path of the kubeconfig of a cluster that answers.

    Raises:
        LocalClusterError: The cluster cannot be started, or runs with other parts.
    """
    if workspace := os.environ.get(WORKSPACE_VARIABLE):
        raise LocalClusterError(
            f"No local cluster is started inside the workspace {workspace}: it would not be the "
            "cluster that runs this workspace. Manage workspaces from the Jupyter server that "
            "started this one, or set KUBECONFIG to use another cluster."
        )
    files = _files(directory)
    files.prepare()
    deadline = time.monotonic() + timeout
    if _answers(files):
        return _running(files, parts)
    wanted = parts or of_record(files.record())
    child: subprocess.Popen[bytes] | None = _spawn(files, port, wanted)
    restart_at = 0.0
    try:
        while time.monotonic() < deadline:
            if _answers(files):
                return _running(files, parts)
            if child is not None and (code := child.poll()) is not None:
                _children.pop(child.pid, None)
                output = _error_output(child)
                if code != ANOTHER_RUNS:
                    raise LocalClusterError(
                        output
                        or f"The local cluster ended during its start with exit status {code}. "
                        f"See its log {files.log}."
                    )
                child, restart_at = None, time.monotonic() + RESTART_SECONDS
            if child is None and time.monotonic() > restart_at:
                # The other process may have ended before it was ready.
                child = _spawn(files, port, wanted)
            time.sleep(POLL_SECONDS)
    finally:
        if child is not None and child.stderr is not None:
            child.stderr.close()
    raise LocalClusterError(
        f"The local cluster in {files.path} did not answer within {timeout:g} s. See its log "
        f"{files.log}, or stop it with `jupyter workspaces local stop`."
    )


def stop(directory: str | Path | None = None, timeout: float = 15, pods: bool = False) -> bool:
    """Stop the process of a cluster.

    Args:
        directory: The cluster's directory; the user's own one by default.
        timeout: Seconds until a process that does not stop is killed.
        pods: Whether to stop the pods as well; otherwise workspaces keep running.

    Returns:
        Whether a process was running.

    Raises:
        LocalClusterError: The process cannot be stopped.
    """
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
                f"Cannot stop the local cluster's process {process.pid}: {error}"
            ) from error
        _reap()
        files.process.unlink(missing_ok=True)
    if pods and files.pods.is_dir():
        from jupyter_workspaces.localkube.node import stop_pods

        stop_pods(files.path, POD_VARIABLE)
    return process is not None


def status(directory: str | Path | None = None) -> Status:
    """Return the state of a cluster without changing it."""
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
        listed = _get(files, "/api/v1/pods").get("items") or []
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
        answer = _get(files, "/readyz", good=(200, 500))
    except (OSError, ValueError):
        return "The API server does not answer."
    text = answer.decode(errors="replace").strip() if isinstance(answer, bytes) else ""
    return None if text == "ok" else text


def reset(directory: str | Path | None = None) -> None:
    """Stop a cluster and its pods, and delete all its data, including the files in its volumes.

    Raises:
        LocalClusterError: The process cannot be stopped, or the data cannot be deleted.
    """
    import psutil

    files = _files(directory)
    stop(files.path, pods=True)
    if not files.path.is_dir():
        return
    with exclusive(files):
        for mounted in psutil.disk_partitions(all=True):
            if files.path in Path(mounted.mountpoint).parents:
                raise LocalClusterError(
                    f"{mounted.mountpoint} is mounted inside the local cluster's directory. "
                    "Unmount it, then reset the cluster again."
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
                pod.remove()  # with its temporary files outside of this directory
            for path in (files.pods, files.volumes):
                if path.exists():
                    shutil.rmtree(path)
        except OSError as error:
            raise files.refused(files.path, error) from error


def answers(directory: str | Path | None = None) -> bool:
    """Return whether a cluster runs in the directory and answers.

    Starts nothing, and waits at most 2 s.
    """
    return _answers(_files(directory))


def files(directory: str | Path | None = None) -> tuple[Path, Path]:
    """Return the paths of a cluster's kubeconfig and of the record that each start replaces."""
    found = _files(directory)
    return found.kubeconfig, found.process


class Keeper:
    """Restarts a cluster that crashed, with growing pauses between restarts in a row.

    A cluster that was stopped stays stopped. Thread-safe; calls may block for seconds.
    """

    FIRST_PAUSE = 2.0
    LONGEST_PAUSE = 60.0
    LONG_LIFE = 300.0

    def __init__(self, directory: str | Path | None = None) -> None:
        """Watch the cluster of a directory, by default the user's own one."""
        self._files = _files(directory)
        self._lock = threading.Lock()
        self._pause = 0.0
        self._started = -self.LONG_LIFE
        self._last: LocalClusterError | None = None

    def ensure(self) -> Path:
        """Return the kubeconfig of the cluster, restarting it if it crashed.

        Raises:
            LocalClusterError: The cluster was stopped, its restart failed, or the last restart was
                too short a time ago.
        """
        with self._lock:
            if _answers(self._files):
                return self._files.kubeconfig
            if self._files.record() is None:
                raise LocalClusterError(
                    "The local cluster was stopped. Start it with `jupyter workspaces local start`."
                )
            now = time.monotonic()
            if now - self._started >= max(self.LONG_LIFE, self._pause):
                self._pause = 0.0
            if (wait := self._started + self._pause - now) > 0:
                reason = f" ({self._last})" if self._last else ""
                raise LocalClusterError(
                    f"The local cluster crashed again{reason}. It is restarted in {wait:.0f} s; "
                    f"see its log {self._files.log}."
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
    return cluster_directory(directory)


def _running(files: Directory, parts: Parts | None) -> Path:
    """Return the kubeconfig of the running cluster.

    Raises:
        LocalClusterError: It runs with other parts than `parts`.
    """
    running = of_record(files.record())
    if parts is not None and parts != running:
        raise LocalClusterError(
            f"The local cluster runs with {running}. Stop it (`jupyter workspaces local stop`), "
            f"then start it with {parts}."
        )
    return files.kubeconfig


def _process(files: Directory) -> Any:
    """Return the cluster's process; None if no process with its command line runs."""
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
    """Return whether the recorded process runs and the API server at its URL is ours."""
    if _process(files) is None:
        return False
    try:
        _get(files, "/livez")
    except (OSError, ValueError):
        return False
    return True


def _get(files: Directory, path: str, good: tuple[int, ...] = (200,)) -> Any:
    """Send a GET request over TLS, trusting only the certificate authority of this cluster.

    Raises:
        OSError: The API server cannot be reached.
        ValueError: It does not answer with one of the statuses in `good`.
    """
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
    """Start the process in a session of its own.

    Its standard error is a pipe until it is ready or has written why it cannot run.
    """
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
            f"Cannot start the local cluster's process with {sys.executable}: {error}"
        ) from error
    _children[child.pid] = child
    return child


def _error_output(child: subprocess.Popen[bytes]) -> str:
    """Return the error message of a process that ended, or the last line of its traceback."""
    if child.stderr is None:
        return ""
    with child.stderr as pipe:
        lines = pipe.read(65536).decode(errors="replace").strip().splitlines()
    return "\n".join(lines if child.returncode == FAILED else lines[-1:])
