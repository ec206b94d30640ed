"""Runs the program of a container: mounts volumes, writes its log, reaps children, records its end.

The shim outlives the node that started it, so that programs do. It reads its plan, a JSON object,
from standard input, answers `started` or `failed REASON` in one line on standard output, and ends
when the program and all its processes have ended. `shim.py --probe DIRECTORY` prints the type of
mount namespaces that this user can create: `root`, `user` or `none`.

This must stay one file: it is a script that runs alone (`python -I -S shim.py`) with the standard
library only, so that each container costs little memory and depends on no installed package.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import selectors
import signal
import stat
import sys
import time
from typing import Any

if sys.platform != "win32":
    import resource

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
CAP_SYS_ADMIN = 21

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 32, 4096, 16384, 1 << 19
MNT_DETACH = 2

LINE_BYTES = 16 * 1024
"""Longer lines are written in pieces, as container runtimes do."""

DRAIN_SECONDS = 2.0
KILL_SECONDS = 5.0
LONGEST_KILL_PAUSE = 0.5
CANNOT_RUN = 128
OOM_SCORE = "300"
"""If the machine runs out of memory, the kernel kills programs of pods before other processes."""


def main() -> int:
    """Run the program of the plan and return the exit status of this script."""
    if sys.argv[1:2] == ["--probe"]:
        print(probe(sys.argv[2]))
        return 0
    plan = json.load(sys.stdin)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    log = Log(plan["log"], plan["logBytes"], plan["logFiles"])
    began = time.time()
    group = None
    try:
        _prepare_process()
        if plan.get("cgroup"):  # opened here, because a volume may hide it
            group = os.open(plan["cgroup"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if plan.get("namespace"):
            enter_namespace(plan["namespace"])
            mount(plan["steps"], plan["staging"])
        program = Program(plan, log, group)
    except OSError as error:
        reason = (
            f"{error.strerror or error}: {error.filename}"
            if error.filename
            else str(error.strerror or error)
        )
        log.write("stderr", f"This container could not be started: {reason}\n".encode())
        _finish(plan["exit"], began, CANNOT_RUN, None, reason)
        _answer(f"failed {reason}")
        return 1
    _answer("started")
    code, number = program.run()
    _finish(
        plan["exit"],
        began,
        code,
        number,
        "",
        number == signal.SIGKILL and _ran_out_of_memory(group),
    )
    return 0


class Program:
    """The container's program and all processes that descend from it."""

    def __init__(self, plan: dict[str, Any], log: Log, group: int | None = None) -> None:
        """Start the program.

        Args:
            plan: The plan of the shim.
            log: The container's log.
            group: Open directory of the program's control group, if it has one.

        Raises:
            OSError: The program cannot be started.
        """
        self._log, self._group = log, group
        self._signals, waker = (
            os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        )
        for end in (self._signals, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._forward)
        self._streams: dict[int, str] = {}
        self.pid = self._spawn(plan)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})

    def _spawn(self, plan: dict[str, Any]) -> int:
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        failure, failure_end = os.pipe()  # closed by a successful exec
        shim = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != shim:
                    os._exit(CANNOT_RUN)
                for number in (
                    signal.SIGTERM,
                    signal.SIGINT,
                    signal.SIGHUP,
                    signal.SIGCHLD,
                    signal.SIGPIPE,
                ):
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(out_end, 1)
                os.dup2(err_end, 2)
                if self._group is not None:
                    join_cgroup(self._group)
                os.umask(plan.get("umask", 0o022))
                limit_files(plan.get("openFiles"))
                os.chdir(plan["directory"])
                os.execvpe(plan["command"][0], plan["command"], plan["environment"])
            except OSError as error:
                os.write(
                    failure_end,
                    json.dumps(
                        [error.errno, error.strerror, error.filename or plan["command"][0]]
                    ).encode(),
                )
            finally:
                os._exit(CANNOT_RUN - 1)
        for end in (out_end, err_end, failure_end):
            os.close(end)
        with open(failure, "rb") as pipe:
            problem = pipe.read()
        if problem:
            os.waitpid(pid, 0)
            raise OSError(*json.loads(problem))
        for end, name in ((out, "stdout"), (err, "stderr")):
            os.set_blocking(end, False)
            self._streams[end] = name
        return pid

    def run(self) -> tuple[int, int | None]:
        """Wait until all processes have ended. Return the exit code and the signal, if any."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            for end in self._streams:
                selector.register(end, selectors.EVENT_READ)
            status = None
            while status is None:
                for key, _ in selector.select():
                    if key.fd == self._signals:
                        drain(self._signals)
                    else:
                        self._copy(key.fd, selector)
                status = self._reap()
            pause = 0.01
            while self._kill_rest():  # until no process is left that could outlive the shim
                time.sleep(pause)
                pause = min(pause * 1.2, LONGEST_KILL_PAUSE)
            selector.unregister(self._signals)
            deadline = time.monotonic() + DRAIN_SECONDS
            while self._streams and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    self._copy(key.fd, selector)
        self._log.close()
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        return (128 + number if number is not None else os.WEXITSTATUS(status)), number

    def _copy(self, end: int, selector: selectors.BaseSelector) -> None:
        try:
            data = os.read(end, 65536)
        except BlockingIOError:
            return
        name = self._streams[end]
        if data:
            self._log.write(name, data)
            return
        selector.unregister(end)
        os.close(end)
        del self._streams[end]

    def _reap(self) -> int | None:
        """Reap children. Return the wait status of the program once it has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            if pid == self.pid:
                return status

    def _kill_rest(self) -> bool:
        """Kill remaining processes, which are our children now. Return whether there are any."""
        if self._group is not None:
            try:
                _write_file(self._group, "cgroup.kill", b"1")
            except OSError:
                pass  # removed with the pod; the loop below kills the rest
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        for pid in children():
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return True
        except ChildProcessError:
            return False

    def _forward(self, number: int, frame: object) -> None:
        if number == signal.SIGCHLD or getattr(self, "pid", 0) <= 0:
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def limit_files(limit: int | None) -> None:
    """Set the limit of open files that the program would have without us.

    Programs that use select(2) need a low limit.

    Raises:
        OSError: The limit cannot be set.
    """
    if limit is not None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(
            resource.RLIMIT_NOFILE,
            (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard),
        )


class Log:
    """The log of a container in the format of the container runtime interface.

    Each line is `time stream F text`, or `P` instead of `F` for a piece of a long line.
    """

    def __init__(self, path: str, limit: int, files: int) -> None:
        """Write to at most `files` files of at most `limit` bytes."""
        self._path, self._limit, self._files = path, limit, files
        self._rest = {"stdout": b"", "stderr": b""}
        self._open()

    def _open(self) -> None:
        self._file = os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._size = os.fstat(self._file).st_size

    def write(self, stream: str, data: bytes) -> None:
        """Write output of the program; an incomplete last line is kept for the next call."""
        now = time.time_ns()
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9))
        head = f"{seconds}.{now % 10**9:09d}Z {stream} ".encode()
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        pieces = []
        for line in lines:
            while len(line) > LINE_BYTES:
                pieces.append(head + b"P " + line[:LINE_BYTES] + b"\n")
                line = line[LINE_BYTES:]
            pieces.append(head + b"F " + line + b"\n")
        while len(rest) > LINE_BYTES:
            pieces.append(head + b"P " + rest[:LINE_BYTES] + b"\n")
            rest = rest[LINE_BYTES:]
        self._rest[stream] = rest
        for piece in pieces:
            self._put(piece)

    def _put(self, piece: bytes) -> None:
        try:
            if self._size and self._size + len(piece) > self._limit:
                self._rotate()
            self._size += os.write(self._file, piece)
        except OSError:
            return  # without space, log lines are lost; the program must not block on its output

    def _rotate(self) -> None:
        os.close(self._file)
        for number in range(self._files - 1, 0, -1):
            older = f"{self._path}.{number}"
            newer = f"{self._path}.{number - 1}" if number > 1 else self._path
            if os.path.exists(newer):
                os.replace(newer, older)
        if self._files == 1:
            os.unlink(self._path)
        self._open()

    def close(self) -> None:
        """Write incomplete lines and close the log."""
        for stream, rest in self._rest.items():
            if rest:
                self.write(stream, b"\n")
        os.close(self._file)


# Mount namespaces (mount_namespaces(7), user_namespaces(7))


def enter_namespace(kind: str) -> None:
    """Enter a new mount namespace. Raises `OSError`."""
    if kind == "user":
        user, group = os.geteuid(), os.getegid()
        check(libc().unshare(CLONE_NEWUSER | CLONE_NEWNS), "a user namespace")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    else:
        check(libc().unshare(CLONE_NEWNS), "a mount namespace")
    # Later mounts of the machine appear in the namespace; ours do not appear outside of it.
    _mount("none", "/", None, MS_REC | MS_SLAVE)


def mount(steps: list[dict[str, Any]], staging: str) -> None:
    """Carry out the steps of `mounts.plan`: create mount points, then mount volumes."""
    for step in steps:
        if step["do"] == "shadow":
            shadow(step["path"], staging)
        elif step["do"] == "directory":
            os.makedirs(step["path"], exist_ok=True)
        elif step["do"] == "file":
            os.close(os.open(step["path"], os.O_WRONLY | os.O_CREAT, 0o644))
    volumes = [step for step in steps if step["do"] == "bind"]
    # All sources are opened first, because a mounted volume may hide the source of another one.
    sources = [os.open(step["source"], os.O_PATH | os.O_CLOEXEC) for step in volumes]
    for step, source in zip(volumes, sources):  # noqa: B905 - same length
        _mount(f"/proc/self/fd/{source}", step["path"], None, MS_BIND | MS_REC)
        if step["readOnly"]:
            _mount(
                "none",
                step["path"],
                None,
                MS_REMOUNT | MS_BIND | MS_RDONLY | _kept_flags(step["path"]),
            )
        os.close(source)
    if os.geteuid() == 0:
        prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN)  # or it could make read-only volumes writable


def shadow(path: str, staging: str) -> None:
    """Cover a directory with an empty file system and mount its entries in that one.

    Mount points can then be created beside them.
    """
    found = os.stat(path)
    sticky = bool(found.st_mode & stat.S_ISVTX)
    options = f"mode={stat.S_IMODE(found.st_mode):o}" + ("" if sticky else ",size=16m")
    _mount("tmpfs", staging, "tmpfs", MS_NOSUID | MS_NODEV, options)
    if os.geteuid() == 0:
        os.chown(staging, found.st_uid, found.st_gid)
    for entry in os.scandir(path):
        target = os.path.join(staging, entry.name)
        try:
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), target)
                continue
            if entry.is_dir(follow_symlinks=False):
                os.mkdir(target)
            else:
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600))
            _mount(entry.path, target, None, MS_BIND | MS_REC)
        except FileNotFoundError:
            continue  # removed meanwhile
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL):
                raise
            # What this user cannot access is not accessible in the namespace either.
    if path != "/":
        _mount(staging, path, None, MS_BIND | MS_REC)
        check(libc().umount2(staging.encode(), MNT_DETACH), staging)
        return
    os.chdir(staging)
    check(libc().pivot_root(b".", b"."), "pivot_root")
    check(libc().umount2(b".", MNT_DETACH), "the old root")
    os.chdir("/")


def probe(directory: str) -> str:
    """Return the type of mount namespaces that this user can use: `root`, `user` or `none`."""
    if not sys.platform.startswith("linux"):
        return "none"
    for kind in ("root", "user") if os.geteuid() == 0 else ("user",):
        pid = os.fork()
        if pid == 0:
            try:
                enter_namespace(kind)
                _mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m")
                os.mkdir(os.path.join(directory, "inner"))
                _mount(directory, os.path.join(directory, "inner"), None, MS_BIND)
                _mount(
                    "none",
                    os.path.join(directory, "inner"),
                    None,
                    MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
                )
                os._exit(0)
            except (OSError, AttributeError):
                os._exit(1)
            finally:
                os._exit(2)
        if os.waitpid(pid, 0)[1] == 0:
            return kind
    return "none"


def _kept_flags(path: str) -> int:
    """Return the flags that a remount has to keep in a user namespace."""
    return os.statvfs(path).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    done = libc().mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode(),
    )
    check(done, target)


def check(done: int, what: str) -> None:
    """Raise `OSError` with the name of what failed if a call of the C library did."""
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def libc() -> Any:
    """Return the C library."""
    return ctypes.CDLL(None, use_errno=True)


# Helpers


def _prepare_process() -> None:
    """Become the parent of orphans, and a preferred victim if the machine runs out of memory."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(OOM_SCORE)
    except OSError:
        pass


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process on Linux; do nothing on other systems."""
    if sys.platform.startswith("linux"):
        libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def children() -> list[int]:
    """Return the pids of our children, on systems with /proc."""
    found: list[int] = []
    shim = os.getpid()
    try:
        names = os.listdir("/proc")
    except OSError:
        return found
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == shim:
            found.append(int(name))
    return found


def drain(end: int) -> None:
    """Read all data from a pipe."""
    try:
        while os.read(end, 4096):
            pass
    except BlockingIOError:
        pass


def _write_file(directory: int, name: str, data: bytes) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def join_cgroup(group: int) -> None:
    """Move this process, and thereby its descendants, into a control group."""
    try:
        _write_file(group, "cgroup.procs", b"0")
    except OSError as error:  # the program runs without it, and its log says so
        os.write(
            2, f"This program could not be put into its control group: {error.strerror}\n".encode()
        )


def _ran_out_of_memory(group: int | None) -> bool:
    """Return whether the kernel killed a process of the group because of its memory limit."""
    if group is None:
        return False
    try:
        with os.fdopen(os.open("memory.events", os.O_RDONLY | os.O_CLOEXEC, dir_fd=group)) as file:
            return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in file)
    except OSError:
        return False  # the memory controller is not enabled


def _finish(
    path: str,
    began: float,
    code: int,
    number: int | None,
    message: str,
    out_of_memory: bool = False,
) -> None:
    """Write the file with the end of the run atomically."""
    record = {
        "exitCode": code,
        "signal": number,
        "startedAt": began,
        "finishedAt": time.time(),
        "message": message,
        "outOfMemory": out_of_memory,
    }
    temporary = f"{path}.new"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(record, file)
    os.replace(temporary, path)


def _answer(line: str) -> None:
    """Answer the node, if it still runs, and close the standard streams."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        os.write(1, line.replace("\n", " ").encode() + b"\n")
    except OSError:
        pass
    for end in (0, 1, 2):
        os.dup2(nothing, end)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())
