"""Runs a command in a container: in the mount namespace of its program and with its environment.

This is a script that runs alone (`python -I -S enter.py DESCRIPTOR`), with the standard library and
`shim.py` only. DESCRIPTOR is a socket, from which it reads its plan, one line of JSON. It answers
with one line of JSON, `{"exit": code}` or `{"failed": reason}`, and kills the command when the
other end of the socket is closed. The command gets the standard streams of this process; a terminal
becomes its controlling terminal.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import termios
import time
from typing import Any

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

import shim  # type: ignore[import-not-found]

UNKNOWN_EXIT_CODE = 128
LINE_BYTES = 4 * 2**20


def main() -> int:
    """Run the command of the plan and return the exit status of this script."""
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    plan = _line(control)
    if plan is None:
        return 1
    shim.prctl(shim.PR_SET_CHILD_SUBREAPER, 1)
    waker, woken = os.pipe()
    for end in (waker, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    try:
        # Opened outside of the container's mount namespace, in which a volume may hide it.
        group = (
            os.open(plan["cgroup"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if plan.get("cgroup")
            else None
        )
        _enter(plan)
        pid = _spawn(plan, group)
    except OSError as error:
        what = f'"{error.filename}": ' if error.filename else ""
        _answer(control, {"failed": f"{what}{error.strerror or error}"})
        return 1
    _release_streams()
    code = _wait(pid, control, waker)
    _kill_rest(pid)
    if code is not None:
        _answer(control, {"exit": code})
    return 0


def _line(control: socket.socket) -> dict[str, Any] | None:
    data = b""
    while not data.endswith(b"\n"):
        piece = control.recv(65536)
        if not piece or len(data) > LINE_BYTES:
            return None
        data += piece
    plan: dict[str, Any] = json.loads(data)
    return plan


def _enter(plan: dict[str, Any]) -> None:
    """Enter the namespaces of the container's program, and its directory. Raises `OSError`."""
    program = plan["program"]
    if not sys.platform.startswith("linux"):
        os.chdir(plan["directory"])
        return
    # By a descriptor, because its path may name another directory in the namespace.
    directory = os.open(f"/proc/{program}/cwd", os.O_PATH | os.O_CLOEXEC)
    spaces = [
        (name, os.open(f"/proc/{program}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC))
        for name in plan["namespaces"]
    ]
    if hasattr(os, "sched_getaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, os.sched_getaffinity(program))
    for name, space in spaces:
        kind = shim.CLONE_NEWUSER if name == "user" else shim.CLONE_NEWNS
        shim.check(shim.libc().setns(space, kind), f"the {name} namespace")
    try:
        os.chdir(plan["directory"])
    except OSError:  # removed meanwhile; the program's directory still exists
        os.fchdir(directory)
    if spaces and os.geteuid() == 0:
        # As for the program: otherwise it could make read-only volumes writable.
        shim.prctl(shim.PR_CAPBSET_DROP, shim.CAP_SYS_ADMIN)


def _spawn(plan: dict[str, Any], group: int | None) -> int:
    failure, failure_end = os.pipe()  # closed by a successful exec
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if plan["tty"]:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            shim.prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(shim.CANNOT_RUN)
            signal.set_wakeup_fd(-1)
            if group is not None:
                shim.join_cgroup(group)
            for number in (
                signal.SIGCHLD,
                signal.SIGPIPE,
                signal.SIGINT,
                signal.SIGTERM,
                signal.SIGHUP,
            ):
                signal.signal(number, signal.SIG_DFL)
            shim.limit_files(plan.get("openFiles"))
            os.execvpe(plan["command"][0], plan["command"], plan["environment"])
        except OSError as error:
            missing = isinstance(error, FileNotFoundError) and "/" not in plan["command"][0]
            why = "executable file not found in $PATH" if missing else error.strerror
            os.write(failure_end, json.dumps([error.errno, why, plan["command"][0]]).encode())
        finally:
            os._exit(shim.CANNOT_RUN - 1)
    os.close(failure_end)
    with open(failure, "rb") as pipe:
        problem = pipe.read()
    if problem:
        os.waitpid(pid, 0)
        raise OSError(*json.loads(problem))
    return pid


def _release_streams() -> None:
    """Close our standard streams, so that they end with the command."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for end in (0, 1, 2):
        os.dup2(nothing, end)
    os.close(nothing)


def _wait(pid: int, control: socket.socket, waker: int) -> int | None:
    """Return the command's exit code; None if the other end of the socket was closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(waker, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is control:
                    return None
                shim.drain(waker)
            while True:
                try:
                    ended, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return UNKNOWN_EXIT_CODE
                if ended == pid:
                    return (
                        128 + os.WTERMSIG(status)
                        if os.WIFSIGNALED(status)
                        else os.WEXITSTATUS(status)
                    )
                if ended == 0:
                    break


def _kill_rest(pid: int) -> None:
    deadline = time.monotonic() + shim.KILL_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        for child in shim.children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _answer(control: socket.socket, answer: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
