"""Runs a command beside a container's program: in its mount namespace, with its environment, and no longer than whoever asked listens.

Run as a script of its own (`python -I -S enter.py DESCRIPTOR`). DESCRIPTOR is a socket: it reads its plan there, one line of JSON,
answers there in one line of JSON, `{"exit": code}` or `{"failed": why}`, and kills the command when the other end is closed.
The command gets this process's own standard streams; with a terminal they are one, and it becomes the command's own.
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

CANNOT_TELL = 128
LINE_BYTES = 4 * 2**20


def main() -> int:
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    plan = _line(control)
    if plan is None:
        return 1
    shim._prctl(shim.PR_SET_CHILD_SUBREAPER, 1)
    waker, woken = os.pipe()
    for end in (waker, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    try:
        # Opened before the container's mount namespace is entered, where a volume may lie over it.
        group = (
            os.open(plan["cgroup"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if plan.get("cgroup")
            else None
        )
        _enter(plan)
        pid = _spawn(plan, group)
    except OSError as error:
        what = f'"{error.filename}": ' if error.filename else ""
        _tell(control, {"failed": f"{what}{error.strerror or error}"})
        return 1
    _let_go()
    code = _wait(pid, control, waker)
    _kill_rest(pid)
    if code is not None:
        _tell(control, {"exit": code})
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
    """Into the namespaces of the container's program, and to its directory. Raises `OSError`."""
    program = plan["program"]
    if not sys.platform.startswith("linux"):
        os.chdir(plan["directory"])
        return
    # By a descriptor: the directory's name may mean another one in there.
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
        shim._check(shim._libc().setns(space, kind), f"the {name} namespace")
    try:
        os.chdir(plan["directory"])
    except OSError:  # removed meanwhile: where the program is, there is something
        os.fchdir(directory)
    if spaces and os.geteuid() == 0:
        shim._prctl(
            shim.PR_CAPBSET_DROP, shim.CAP_SYS_ADMIN
        )  # as for the program itself: its read-only volumes stay so


def _spawn(plan: dict[str, Any], group: int | None) -> int:
    failure, failure_end = os.pipe()  # closed by a successful exec
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if plan["tty"]:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            shim._prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(shim.CANNOT_RUN)
            signal.set_wakeup_fd(-1)
            if group is not None:
                shim._join(group)
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
    with open(failure, "rb") as told:
        fault = told.read()
    if fault:
        os.waitpid(pid, 0)
        raise OSError(*json.loads(fault))
    return pid


def _let_go() -> None:
    """The streams are the command's alone, so that they end with it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for end in (0, 1, 2):
        os.dup2(nothing, end)
    os.close(nothing)


def _wait(pid: int, control: socket.socket, waker: int) -> int | None:
    """The command's exit code; None when nobody listens any more."""
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(waker, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is control:
                    return None
                shim._empty(waker)
            while True:
                try:
                    ended, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return CANNOT_TELL
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
        for child in shim._children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _tell(control: socket.socket, answer: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
