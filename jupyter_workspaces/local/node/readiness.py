"""Ask a container whether it answers: HTTP and TCP probes (Kubernetes API reference, “Probe”)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

Object = Mapping[str, Any]

EAGER_SECONDS, EAGER_UNTIL = 0.1, 20.0
"""A program that starts is asked this often, for so long: a person waits for it. Failures still count once a period."""


@dataclass(frozen=True)
class Check:
    """One probe, made ready: times in seconds. Without `url` it only connects."""

    host: str
    port: int
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    successes: int = 1
    failures: int = 3


def check_of(probe: Object | None, container: Object, address: str, ports: Mapping[str, int]) -> Check | None:
    """The check for a probe of a pod's spec; None when there is none, or one that cannot be done here (exec, gRPC)."""
    if not probe:
        return None
    common: dict[str, Any] = {
        "delay": float(probe.get("initialDelaySeconds") or 0),
        "period": float(probe.get("periodSeconds") or 10),
        "timeout": float(probe.get("timeoutSeconds") or 1),
        "successes": int(probe.get("successThreshold") or 1),
        "failures": int(probe.get("failureThreshold") or 3),
    }
    if (http := probe.get("httpGet")) is not None:
        host, port = http.get("host") or address, _port(http["port"], container, ports)
        path = http.get("path") or "/"
        url = f"{http.get('scheme', 'HTTP').lower()}://{host}:{port}{path if path.startswith('/') else '/' + path}"
        headers = {entry["name"]: entry.get("value", "") for entry in http.get("httpHeaders") or ()}
        return Check(host, port, url, headers, **common)
    if (tcp := probe.get("tcpSocket")) is not None:
        return Check(tcp.get("host") or address, _port(tcp["port"], container, ports), **common)
    return None


async def attempt(session: aiohttp.ClientSession, check: Check) -> str | None:
    """None when it answers well, else what was wrong."""
    try:
        if check.url is None:
            _, writer = await asyncio.wait_for(asyncio.open_connection(check.host, check.port), check.timeout)
            writer.close()
            return None
        timeout = aiohttp.ClientTimeout(total=check.timeout)
        async with session.get(check.url, headers=check.headers, timeout=timeout, allow_redirects=False, ssl=False) as response:
            return None if 200 <= response.status < 400 else f"HTTP {response.status} at {check.url}"
    except asyncio.TimeoutError:
        return f"no answer within {check.timeout:g} s at {check.url or f'{check.host}:{check.port}'}"
    except (OSError, aiohttp.ClientError, ValueError) as error:
        return str(error)[:300] or type(error).__name__


async def watch(session: aiohttp.ClientSession, check: Check, changed: Callable[[bool, str], None]) -> None:
    """Probe until cancelled; `changed` hears of each turn to good, and of each turn to bad with what was wrong."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(check.delay)
    state: bool | None = None
    good = bad = 0
    began = counted = loop.time()
    while True:
        problem = await attempt(session, check)
        if problem is None:
            good, bad = good + 1, 0
            if good >= check.successes and state is not True:
                state = True
                changed(True, "")
        else:
            good = 0
            if state is not None or loop.time() - counted >= check.period:
                bad, counted = bad + 1, loop.time()
            if bad >= check.failures and state is not False:
                state = False
                changed(False, problem)
        eager = state is None and loop.time() - began < EAGER_UNTIL
        await asyncio.sleep(min(EAGER_SECONDS, check.period) if eager else check.period)


async def succeeded(session: aiohttp.ClientSession, check: Check) -> str | None:
    """A startup probe: None once it has succeeded, what was wrong once it has failed too often."""
    verdict: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def changed(good: bool, problem: str) -> None:
        if not verdict.done():
            verdict.set_result(None if good else problem)

    watching = asyncio.create_task(watch(session, check, changed))
    try:
        return await verdict
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def _port(port: Any, container: Object, ports: Mapping[str, int]) -> int:
    if not isinstance(port, int) and not str(port).isdigit():
        port = next((found["containerPort"] for found in container.get("ports") or () if found.get("name") == port), 0)
    return ports.get(str(port), int(port))
