"""Steps of an operator with kopf: it watches workspaces and holds them by a finalizer."""

from __future__ import annotations

import asyncio
import base64
import ssl
from typing import Any

import aiohttp
import kopf
from scenario_steps import (
    GROUP,
    PLURAL,
    VERSION,
    Scenario,
    Target,
    equal,
    true,
    until_async,
    workspace,
)

SCENARIO = Scenario()
step = SCENARIO.step
HERE = Target.given()
NAMESPACE = HERE.namespace
FINALIZER = "matrix.example.org/kopf"
NOTE = "matrix.example.org/seen"
OBJECTS = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
MERGE = {"Content-Type": "application/merge-patch+json"}

told: list[tuple[str, str]] = []
ticked = asyncio.Event()
failures: list[int] = []
logins: list[kopf.ConnectionInfo | None] = []


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = FINALIZER
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix="matrix.example.org"
    )
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(
        prefix="matrix.example.org"
    )
    settings.watching.server_timeout = 5  # so that watches end and are resumed
    settings.posting.enabled = True


@kopf.on.login()
def login(**given: Any) -> kopf.ConnectionInfo | None:
    """Authenticate as kopf does by itself; the scenario's requests use the result."""
    found = kopf.login_with_kubeconfig(**given)
    logins.append(found)
    return found


@kopf.on.create(GROUP, VERSION, PLURAL)
async def created(name: str, patch: kopf.Patch, body: kopf.Body, **_: Any) -> dict[str, str]:
    told.append(("created", name))
    patch.metadata.annotations[NOTE] = "created"
    kopf.info(body, reason="Taken", message="taken up")
    return {"by": "matrix"}


@kopf.on.create(GROUP, VERSION, PLURAL, id="again")
async def at_the_second_try(name: str, **_: Any) -> None:
    failures.append(1)
    if len(failures) == 1:
        raise kopf.TemporaryError("not yet", delay=0.5)
    told.append(("tried again", name))


@kopf.on.update(GROUP, VERSION, PLURAL, field="spec.displayName")
async def renamed(name: str, old: Any, new: Any, **_: Any) -> None:
    told.append((f"renamed {old} to {new}", name))


@kopf.on.delete(GROUP, VERSION, PLURAL)
async def deleted(name: str, **_: Any) -> None:
    told.append(("deleted", name))


@kopf.timer(GROUP, VERSION, PLURAL, interval=1.0)
async def tick(**_: Any) -> None:
    ticked.set()


class Api:
    """Requests with the connection that kopf found; kopf has no client of its own."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Any = None
    ) -> tuple[int, Any]:
        async with self._session.request(method, path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()


async def _until_told(what: str) -> None:
    async def is_told() -> bool:
        return any(one[0] == what for one in told)

    await until_async(is_told, what)


@step("namespace")
async def namespace(api: Api) -> None:
    equal((await api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}))[0], 201)


@step("operator starts")
async def starts(api: Api) -> None:
    await asyncio.wait_for(ready.wait(), 30)


@step("create")
async def create(api: Api) -> None:
    equal((await api.ask("POST", OBJECTS, workspace("desk")))[0], 201)
    await _until_told("created")
    await _until_told("tried again")

    async def noted() -> bool:
        metadata = (await api.ask("GET", f"{OBJECTS}/desk"))[1]["metadata"]
        return metadata.get("annotations", {}).get(NOTE) == "created" and FINALIZER in metadata.get(
            "finalizers", []
        )

    await until_async(noted, "the note and the finalizer")


@step("events")
async def events(api: Api) -> None:
    async def posted() -> bool:
        items = (await api.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/events"))[1]["items"]
        return any(
            one["reason"] == "Taken" and one["involvedObject"]["name"] == "desk" for one in items
        )

    await until_async(posted, "the event")


@step("update")
async def update(api: Api) -> None:
    equal(
        (await api.ask("PATCH", f"{OBJECTS}/desk", {"spec": {"displayName": "A"}}, MERGE))[0], 200
    )
    await _until_told("renamed None to A")
    await asyncio.sleep(6)  # longer than a watch
    equal(
        (await api.ask("PATCH", f"{OBJECTS}/desk", {"spec": {"displayName": "B"}}, MERGE))[0], 200
    )
    await _until_told("renamed A to B")


@step("timer")
async def timer(api: Api) -> None:
    await asyncio.wait_for(ticked.wait(), 10)


@step("delete")
async def delete(api: Api) -> None:
    status, answer = await api.ask("DELETE", f"{OBJECTS}/desk")
    equal(status, 200)
    true(answer["metadata"].get("deletionTimestamp"), f"no mark of deletion: {answer}")
    await _until_told("deleted")

    async def gone() -> bool:
        return (await api.ask("GET", f"{OBJECTS}/desk"))[0] == 404

    await until_async(gone, "the end of the workspace")
    equal(told.count(("created", "desk")), 1)


ready = asyncio.Event()


async def _signed_in() -> kopf.ConnectionInfo | None:
    return logins[0] if logins else None


async def main() -> int:
    stop = asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(namespaces=[NAMESPACE], ready_flag=ready, stop_flag=stop, standalone=True)
    )
    try:
        info = await until_async(_signed_in, "the operator's sign-in")
        headers = {"Authorization": f"Bearer {info.token}"} if info.token else {}
        connector = aiohttp.TCPConnector(ssl=_trust(info))
        async with aiohttp.ClientSession(
            info.server, connector=connector, headers=headers
        ) as session:
            return await SCENARIO.run_async(Api(session))
    finally:
        stop.set()
        await asyncio.wait_for(operator, 20)


def _trust(info: kopf.ConnectionInfo) -> ssl.SSLContext:
    given = base64.b64decode(info.ca_data).decode() if info.ca_data else None
    context = ssl.create_default_context(cafile=info.ca_path, cadata=given)
    if info.certificate_path:
        context.load_cert_chain(info.certificate_path, info.private_key_path)
    return context


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
