"""What all scenarios share: the target, steps by name, and a line of JSON about each step.

It runs in the environment of a client, so it uses only the standard library.
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
    """Where a scenario runs.

    Attributes:
        pod: manifest of a pod that prints `ready`, ticks, runs commands and echoes on `port`.
        exit_codes: False if a simulated node reports failed commands without exit code.
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
    """Steps in their order; a failed step does not prevent the next ones."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[..., Any]]] = []

    def step(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            self._steps.append((name, function))
            return function

        return keep

    def run(self, *arguments: Any) -> int:
        """Run all steps with the same arguments. Return 1 if one failed."""
        failed = False
        for name, function in self._steps:
            with _Report(name) as report:
                function(*arguments)
            failed |= report.failed
        return 1 if failed else 0

    async def run_async(self, *arguments: Any) -> int:
        failed = False
        for name, function in self._steps:
            with _Report(name) as report:
                await asyncio.wait_for(function(*arguments), STEP_SECONDS)
            failed |= report.failed
        return 1 if failed else 0


class _Report:
    """Prints a line about the step; any exception is a failure."""

    def __init__(self, name: str) -> None:
        self._name, self.failed = name, False

    def __enter__(self) -> _Report:
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
    """Call a function until it returns a true value; return that."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about within {seconds:g} s")
        time.sleep(0.05)
    return answer


async def until_async(
    condition: Callable[[], Any], what: str, seconds: float = LIMIT_SECONDS
) -> Any:
    """Call a function until it returns a true value; return that."""
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
    """Return a stopped workspace, for which nothing runs."""
    options = {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"}
    template = {"options": options, "volumes": {"home": f"{name}-home"}}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Workspace",
        "metadata": {"name": name, "labels": {"matrix": "yes"}},
        "spec": {"kind": "jupyterlab", "paused": True, "podTemplate": template, **spec},
    }


def ticks(lines: list[str]) -> int:
    """Return the last number that the pod printed."""
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
