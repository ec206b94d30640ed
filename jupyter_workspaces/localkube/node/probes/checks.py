"""Ask a container whether it answers: HTTP and TCP probes (Kubernetes API reference, “Probe”)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from jupyter_workspaces.common.supervision import ended
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.peer_connector import ForeignListenerError
from jupyter_workspaces.kube.peers import FOREIGN, ForeignListener, open_connection

Object = Mapping[str, Any]

EAGER_SECONDS, EAGER_UNTIL = 0.1, 20.0
"""A program that starts is asked this often, for so long: a person waits for it. Failures still count once a period."""

LATE_SECONDS = 1.0
"""A timeout that comes later than this is ours: the event loop or the computer stood still meanwhile."""

_OURS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL))
"""What a connection is refused for on our side, whatever the program does."""


class ProbeNotPossible(Exception):
    """The question could not be asked. That says nothing about the program, so it never counts as a failure."""


@dataclass(frozen=True)
class Check:
    """One probe, made ready: times in seconds. Without `url` it only connects.

    With `any_status` every HTTP response is good, whatever it says: the program is alive. `ask`, where it is given, is
    asked instead and says what is wrong; `eager` is the pause while the program starts.
    """

    host: str
    port: int
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    successes: int = 1
    failures: int = 3
    any_status: bool = False
    ask: Callable[[], Awaitable[str | None]] | None = None
    eager: float = EAGER_SECONDS


def timing(probe: Object) -> dict[str, Any]:
    """Return what all types of probes have in common, as fields of a `Check`."""
    return {
        "delay": float(probe.get("initialDelaySeconds") or 0),
        "period": float(probe.get("periodSeconds") or 10),
        "timeout": float(probe.get("timeoutSeconds") or 1),
        "successes": int(probe.get("successThreshold") or 1),
        "failures": int(probe.get("failureThreshold") or 3),
    }


def check_of(
    probe: Object | None, container: Object, address: str, ports: Mapping[str, int]
) -> Check | None:
    """Return the check for an HTTP or TCP probe of a pod's spec; None if it has none, or one of another type (`probes.py`)."""
    if not probe:
        return None
    common = timing(probe)
    if (http := probe.get("httpGet")) is not None:
        host, port = _host(http, address), _port(http["port"], container, ports)
        path = http.get("path") or "/"
        url = f"{http.get('scheme', 'HTTP').lower()}://{host}:{port}{path if path.startswith('/') else '/' + path}"
        headers = {entry["name"]: entry.get("value", "") for entry in http.get("httpHeaders") or ()}
        return Check(host, port, url, headers, **common)
    if (tcp := probe.get("tcpSocket")) is not None:
        return Check(_host(tcp, address), _port(tcp["port"], container, ports), **common)
    return None


async def attempt(session: aiohttp.ClientSession, check: Check) -> str | None:
    """Return None when it answers well, else what was wrong. Raises `ProbeNotPossible` where the fault is ours."""
    if check.ask is not None:
        return await check.ask()
    try:
        if check.url is None:
            async with timeout(check.timeout):
                _, writer = await open_connection(check.host, check.port)
            writer.close()
            return None
        limit = aiohttp.ClientTimeout(total=check.timeout)
        async with session.get(
            check.url, headers=check.headers, timeout=limit, allow_redirects=False, ssl=False
        ) as response:
            good = check.any_status or 200 <= response.status < 400
            return None if good else f"HTTP {response.status} at {check.url}"
    except (ForeignListener, ForeignListenerError):
        return FOREIGN
    except asyncio.TimeoutError:
        return (
            f"no answer within {check.timeout:g} s at {check.url or f'{check.host}:{check.port}'}"
        )
    except (OSError, aiohttp.ClientError) as error:
        number = getattr(error, "errno", None)
        if number in _OURS:
            name = errno.errorcode[number]
            raise ProbeNotPossible(f"this computer could not connect: {name}") from error
        return str(error)[:300] or type(error).__name__


async def watch(
    session: aiohttp.ClientSession, check: Check, changed: Callable[[bool, str], None]
) -> None:
    """Probe once a period until cancelled. Calls `changed` at each turn to good, and at each turn to bad with what was wrong.

    A listener of another user is bad at once, however many failures a probe may have. Raises what is a fault of ours.
    """
    loop = asyncio.get_running_loop()
    await asyncio.sleep(check.delay)
    state: bool | None = None
    told = ""
    good = bad = 0
    began = counted = loop.time()
    while True:
        asked = loop.time()
        problem = await attempt(session, check)
        if (
            problem is not None
            and problem != FOREIGN
            and loop.time() - asked > check.timeout + LATE_SECONDS
        ):
            problem = await attempt(
                session, check
            )  # it could not answer in time, for we did not listen
        if problem is None:
            good, bad = good + 1, 0
            if good >= check.successes and state is not True:
                state = True
                changed(True, "")
        else:
            good = 0
            if state is not None or loop.time() - counted >= check.period:
                bad, counted = bad + 1, loop.time()
            if problem == FOREIGN:
                bad = max(bad, check.failures)
            if bad >= check.failures and (
                state is not False or (problem == FOREIGN) != (told == FOREIGN)
            ):
                state, told = False, problem
                changed(False, problem)
        eager = state is None and loop.time() - began < EAGER_UNTIL
        pause = min(check.eager, check.period) if eager else check.period
        await asyncio.sleep(max(asked + pause - loop.time(), min(EAGER_SECONDS, pause)))


async def succeeded(session: aiohttp.ClientSession, check: Check) -> str | None:
    """Ask a startup probe: None once it has succeeded, what was wrong once it has failed too often. Raises what is a fault of ours."""
    verdict: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def changed(good: bool, problem: str) -> None:
        if not verdict.done():
            verdict.set_result(None if good else problem)

    watching = asyncio.create_task(watch(session, check, changed))
    ends: set[asyncio.Future[Any]] = {watching, verdict}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not verdict.done():
            watching.result()
        return await verdict
    finally:
        await ended(ends)


def _host(asked: Object, address: str) -> str:
    """Return the host of a probe. What is `localhost` to a pod is the pod's own address here."""
    host: str = asked.get("host") or address
    return address if host in ("localhost", "127.0.0.1", "::1") else host


def _port(port: Any, container: Object, ports: Mapping[str, int]) -> int:
    if not isinstance(port, int) and not str(port).isdigit():
        port = next(
            (
                found["containerPort"]
                for found in container.get("ports") or ()
                if found.get("name") == port
            ),
            0,
        )
    return ports.get(str(port), int(port))
