"""Checks of containers: HTTP and TCP probes, and how often they are made.

Source: Kubernetes API reference, “Probe”. Other types of probes are in `probes.py`.
"""

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
from jupyter_workspaces.kube.types import ObjectView

EAGER_SECONDS, EAGER_UNTIL = 0.1, 20.0
"""Programs that start are checked this often, for that long, because a user waits for them.

Failures still count once per period.
"""

LATE_SECONDS = 1.0
"""A timeout that comes later than this is due to a blocked event loop or a suspended computer."""

_OURS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL))
"""Errors of connections that have their cause on our side."""


class ProbeNotPossible(Exception):
    """A check could not be made, which does not count as a failure of the program."""


@dataclass(frozen=True)
class Check:
    """A probe that is ready to be made. Times are in seconds.

    Attributes:
        host: IP address to connect to.
        port: Port to connect to.
        url: URL of an HTTP request; without it, the check only connects.
        headers: Headers of the request.
        delay: Time before the first check.
        period: Time between checks.
        timeout: Time for an answer.
        successes: Number of successes in a row after which the container is good.
        failures: Number of failures in a row after which the container is bad.
        any_status: Whether any HTTP response is good, which means that the program runs.
        ask: Makes the check instead of a request, and returns what is wrong or None.
        eager: Time between checks while the program starts.
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


def timing(probe: ObjectView) -> dict[str, Any]:
    """Return the fields that all types of probes have, as arguments of `Check`."""
    return {
        "delay": float(probe.get("initialDelaySeconds") or 0),
        "period": float(probe.get("periodSeconds") or 10),
        "timeout": float(probe.get("timeoutSeconds") or 1),
        "successes": int(probe.get("successThreshold") or 1),
        "failures": int(probe.get("failureThreshold") or 3),
    }


def check_of(
    probe: ObjectView | None, container: ObjectView, address: str, ports: Mapping[str, int]
) -> Check | None:
    """Return the check for an HTTP or TCP probe; None if there is none of these types.

    Args:
        probe: The probe in the container's spec.
        container: The container's spec.
        address: IP address of the pod.
        ports: The port at which the program really listens, for each container port.
    """
    if not probe:
        return None
    common = timing(probe)
    if (http := probe.get("httpGet")) is not None:
        host, port = _host(http, address), _port(http["port"], container, ports)
        path = http.get("path") or "/"
        scheme, path = http.get("scheme", "HTTP").lower(), path if path[0] == "/" else f"/{path}"
        url = f"{scheme}://{host}:{port}{path}"
        headers = {entry["name"]: entry.get("value", "") for entry in http.get("httpHeaders") or ()}
        return Check(host, port, url, headers, **common)
    if (tcp := probe.get("tcpSocket")) is not None:
        return Check(_host(tcp, address), _port(tcp["port"], container, ports), **common)
    return None


async def attempt(session: aiohttp.ClientSession, check: Check) -> str | None:
    """Make a check once. Return None if it succeeds, otherwise what is wrong.

    Raises:
        ProbeNotPossible: The check could not be made.
    """
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
            raise ProbeNotPossible(f"cannot open a connection: {name}") from error
        return str(error)[:300] or type(error).__name__


async def watch(
    session: aiohttp.ClientSession, check: Check, changed: Callable[[bool, str], None]
) -> None:
    """Make a check once per period until cancelled.

    Calls `changed` with True when the container becomes good, and with False and what is wrong when
    it becomes bad. If another user's program listens at the address, the container is bad at the
    first failure.

    Raises:
        ProbeNotPossible: A check could not be made.
    """
    loop = asyncio.get_running_loop()
    await asyncio.sleep(check.delay)
    state: bool | None = None
    reported = ""
    good = bad = 0
    began = counted = loop.time()
    while True:
        started = loop.time()
        problem = await attempt(session, check)
        if (
            problem is not None
            and problem != FOREIGN
            and loop.time() - started > check.timeout + LATE_SECONDS
        ):
            problem = await attempt(session, check)  # an answer in time was not noticed
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
                state is not False or (problem == FOREIGN) != (reported == FOREIGN)
            ):
                state, reported = False, problem
                changed(False, problem)
        eager = state is None and loop.time() - began < EAGER_UNTIL
        pause = min(check.eager, check.period) if eager else check.period
        await asyncio.sleep(max(started + pause - loop.time(), min(EAGER_SECONDS, pause)))


async def succeeded(session: aiohttp.ClientSession, check: Check) -> str | None:
    """Make a check until it succeeds or has failed too often.

    Returns:
        None if it succeeded, otherwise what is wrong.

    Raises:
        ProbeNotPossible: A check could not be made.
    """
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


def _host(action: ObjectView, address: str) -> str:
    """Return the host of a probe. In a pod, `localhost` means the pod's own address."""
    host: str = action.get("host") or address
    return address if host in ("localhost", "127.0.0.1", "::1") else host


def _port(port: Any, container: ObjectView, ports: Mapping[str, int]) -> int:
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
