"""Records the answers of an API server by name, without values that always differ.

These are ids, times and revisions.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.types import Object

View = Callable[[Any], Any]

LIMIT_SECONDS = 20.0
WATCH_SECONDS = 3.0
HEADERS = ("Content-Type", "Warning", "Allow", "Retry-After", "Cache-Control")
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ADDRESS = re.compile(r"10\.\d+\.\d+\.\d+")
_TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")
_GENERATED = re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}$")
_MASKED = {
    "uid": "<uid>",
    "resourceVersion": "<revision>",
    "continue": "<token>",
    "storageVersionHash": "<hash>",
}


@dataclass(frozen=True)
class Answer:
    """An answer as received. `body` is decoded JSON, or text."""

    status: int
    headers: Mapping[str, str]
    body: Any

    def at(self, *path: str | int) -> Any:
        """Return the value at a path of the body; empty if absent.

        So scenarios go on after an error.
        """
        value = self.body
        for part in path:
            try:
                value = value[part]
            except (LookupError, TypeError):
                return ""
        return value


@dataclass
class Recorder:
    """Records one scenario on one server, in its own namespace.

    Attributes:
        base: address of the server.
        exchanges: recorded exchanges by name.
    """

    session: aiohttp.ClientSession
    base: str
    namespace: str
    scenario: str
    exchanges: dict[str, Object] = field(default_factory=dict)

    def core(self, plural: str, name: str = "", subresource: str = "") -> str:
        """Return a path in the namespace of the scenario."""
        return "/".join(
            filter(None, (f"/api/v1/namespaces/{self.namespace}", plural, name, subresource))
        )

    def group(self, group_version: str, plural: str, name: str = "", subresource: str = "") -> str:
        return "/".join(
            filter(
                None,
                (f"/apis/{group_version}/namespaces/{self.namespace}", plural, name, subresource),
            )
        )

    async def ask(
        self,
        name: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
        view: View | None = None,
        managed: bool = False,
    ) -> Answer:
        """Send a request and record the answer.

        A body of text or bytes is sent unchanged; None sends no body. `view` selects the part of
        the body to compare; `managed` keeps `managedFields`.
        """
        answer = await self.send(method, path, body, media=media, accept=accept, headers=headers)
        seen = answer.body if view is None else _viewed(view, answer.body)
        kept = {header: answer.headers[header] for header in HEADERS if header in answer.headers}
        self._keep(
            name, {"status": answer.status, "headers": kept, "body": normal(seen, managed=managed)}
        )
        return answer

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request without recording it."""
        sent = (
            {"Accept": accept}
            | ({"Content-Type": media} if body is not None else {})
            | dict(headers or {})
        )
        data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        async with self.session.request(
            method, self.base + path, data=data, headers=sent
        ) as response:
            text = await response.text(errors="replace")
            repeated = {
                header: ", ".join(response.headers.getall(header)) for header in response.headers
            }
            media_type = response.headers.get("Content-Type", "")
            return Answer(
                response.status, repeated, _decoded(text) if "json" in media_type else text
            )

    async def until(
        self,
        path: str,
        condition: Callable[[Answer], bool],
        what: str,
        *,
        method: str = "GET",
        body: Any = None,
    ) -> Answer:
        """Send requests until a condition is true.

        Raises:
            AssertionError: if it does not become true.
        """
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            answer = await self.send(method, path, body)
            if condition(answer):
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{what} did not happen within {LIMIT_SECONDS:g} s; "
                    f"last: {str(answer.body)[:300]}"
                )
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def watching(
        self, name: str, path: str, *, events: int, accept: str = "application/json"
    ) -> AsyncIterator[None]:
        """Watch during the block and a few seconds longer; record the events.

        The watch ends early if the expected number of events has arrived.
        """
        async with self.session.get(self.base + path, headers={"Accept": accept}) as response:
            seen: list[Any] = []
            yield
            if response.status == 200:
                try:
                    async with timeout(WATCH_SECONDS):
                        while len(seen) < events and (line := await response.content.readline()):
                            seen.append(_decoded(line.decode()))
                except asyncio.TimeoutError:
                    seen.append("(no more)")
            else:
                seen.append(_decoded(await response.text()))
            media = response.headers.get("Content-Type", "")
            self._keep(
                name,
                {
                    "status": response.status,
                    "headers": {"Content-Type": media},
                    "body": normal(seen),
                },
            )

    def note(self, name: str, value: Any) -> None:
        """Record a value that is not an answer."""
        self._keep(name, {"note": normal(value)})

    def _keep(self, name: str, exchange: Object) -> None:
        full = f"{self.scenario}/{name}"
        assert full not in self.exchanges, f"two exchanges are called {full}"
        self.exchanges[full] = exchange


Scenario = Callable[[Recorder], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Register a scenario by its name, with dashes."""
    name = getattr(function, "__name__")  # noqa: B009 - for mypy, a Callable has no name
    SCENARIOS[name.replace("_", "-")] = function
    return function


def normal(value: Any, key: str = "", *, managed: bool = False) -> Any:
    """Replace values that differ between runs, and messages, by marks. Causes are compared."""
    if isinstance(value, dict):
        if value.get("kind") == "Status" and "status" in value:
            value = _status(value)
        generated = value.get("generateName")
        kept = {
            inner: normal(held, inner, managed=managed)
            for inner, held in value.items()
            if managed or inner != "managedFields"
        }
        if generated and isinstance(kept.get("name"), str):
            kept["name"] = _GENERATED.sub("<generated>", kept["name"])
        return kept
    if isinstance(value, list):
        return [normal(inner, key, managed=managed) for inner in value]
    if key in _MASKED and value:
        return _MASKED[key]
    if isinstance(value, str):
        if _TIME.fullmatch(value):
            return "<time>"
        if _ADDRESS.fullmatch(value):
            return "<address>"
        if _TOKEN_VOLUME.fullmatch(value):
            return "kube-api-access-<generated>"
    return value


def settled(found: Any) -> Any:
    """Return a view of an object without what controllers write at their own time."""
    if found.get("kind") == "Status":
        return found
    metadata = dict(found["metadata"])
    if "managedFields" in metadata:
        metadata["managedFields"] = [
            entry for entry in metadata["managedFields"] if entry.get("subresource") != "status"
        ]
    return {key: held for key, held in found.items() if key != "status"} | {"metadata": metadata}


def _status(body: Object) -> Object:
    """Return a Status without messages, with causes in the order of their fields."""
    found = {**body, "message": "<text>"} if body.get("message") else dict(body)
    details = found.get("details")
    if isinstance(details, dict) and isinstance(details.get("causes"), list):
        causes = [
            {**cause, "message": "<text>"} if cause.get("message") else cause
            for cause in details["causes"]
        ]
        found["details"] = {
            **details,
            "causes": sorted(
                causes, key=lambda cause: (cause.get("field", ""), cause.get("reason", ""))
            ),
        }
    return found


def _viewed(view: View, body: Any) -> Any:
    try:
        return view(body)
    except (LookupError, TypeError, AttributeError):
        return {"(not as expected)": str(body)[:200]}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
