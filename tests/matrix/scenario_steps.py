"""What the scenarios of all clients share: the target they are given, steps by name, and one line of JSON about each.

It runs in the environment of a client, so it needs the standard library alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

TARGET = "MATRIX_TARGET"
LIMIT_SECONDS = 30.0
STEP_SECONDS = 90.0
GROUP, VERSION, PLURAL = "kubeflow.org", "v1beta1", "workspaces"


@dataclass(frozen=True)
class Target:
    """Where a scenario works. `pod` is the manifest of one that says `ready` and then ticks, runs commands and echoes on `port`.

    `exit_codes` is False where a simulated node tells of a command that failed, but not its number.
    """

    kubeconfig: str
    namespace: str
    pod: Object
    port: int
    exit_codes: bool = True
    program: str = ""

    @staticmethod
    def given() -> Target:
        return Target(**json.loads(os.environ[TARGET]))

    @property
    def pod_name(self) -> str:
        name: str = self.pod["metadata"]["name"]
        return name


class Scenario:
    """Steps in their order; one that fails does not keep the next from running."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[..., Any]]] = []

    def step(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            self._steps.append((name, function))
            return function

        return keep

    def run(self, *arguments: Any) -> int:
        """All steps with the same arguments; 1 when one failed."""
        failed = False
        for name, function in self._steps:
            with _Told(name) as told:
                function(*arguments)
            failed |= told.failed
        return 1 if failed else 0

    async def run_async(self, *arguments: Any) -> int:
        failed = False
        for name, function in self._steps:
            with _Told(name) as told:
                await asyncio.wait_for(function(*arguments), STEP_SECONDS)
            failed |= told.failed
        return 1 if failed else 0


class _Told:
    """One line about what happened within; whatever a client raises is an answer."""

    def __init__(self, name: str) -> None:
        self._name, self.failed = name, False

    def __enter__(self) -> _Told:
        self._began = time.monotonic()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        self.failed = isinstance(error, Exception)
        failure = _short(error) if isinstance(error, Exception) else ""
        print(
            json.dumps(
                {
                    "step": self._name,
                    "failure": failure,
                    "seconds": round(time.monotonic() - self._began, 2),
                }
            ),
            flush=True,
        )
        return self.failed


def _short(error: Exception) -> str:
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if os.path.basename(frame.filename).startswith("scenario_")
    ]
    where = f"{os.path.basename(own[-1].filename)}:{own[-1].lineno}: {own[-1].line}" if own else ""
    text = " ".join(str(error).split())
    return f"{where} -> {type(error).__name__}: {text}"[:1500]


def until(condition: Callable[[], Any], what: str, seconds: float = LIMIT_SECONDS) -> Any:
    """Its first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about within {seconds:g} s")
        time.sleep(0.05)
    return answer


async def until_async(
    condition: Callable[[], Any], what: str, seconds: float = LIMIT_SECONDS
) -> Any:
    """Its first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about within {seconds:g} s")
        await asyncio.sleep(0.05)
    return answer


def equal(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")


def true(found: Any, what: str) -> None:
    if not found:
        raise AssertionError(what)


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Object:
    metadata: Object = {"name": name} | ({"labels": labels} if labels else {})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": data or {"k": "v"},
    }


def owned(child: Object, owner_name: str, owner_uid: str) -> Object:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner_name, "uid": owner_uid}
    return {**child, "metadata": {**child["metadata"], "ownerReferences": [reference]}}


def workspace(name: str, **spec: Any) -> Object:
    """One that is stopped, so that nothing runs for it."""
    options = {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"}
    template = {"options": options, "volumes": {"home": f"{name}-home"}}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Workspace",
        "metadata": {"name": name, "labels": {"matrix": "yes"}},
        "spec": {"kind": "jupyterlab", "paused": True, "podTemplate": template, **spec},
    }


def ticks(lines: list[str]) -> int:
    """The last number that the pod told."""
    return max((int(line.split()[1]) for line in lines if line.startswith("tick ")), default=0)


def stateful_set(name: str) -> Object:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [{"name": "main", "image": "lab", "env": [{"name": "A", "value": "1"}]}]
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }
