"""Recorded answers of a real API server to CRDs with CEL rules and to objects of them.

`python tests/localkube/apiserver/rule_exchanges.py --kubeconfig FILE` asks a real cluster and
records `rule_exchanges.json` again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rule_cases import GROUP, OBJECTS, REFUSED, is_new, judged, judgement, refused

from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.types import Object

RECORDED = Path(__file__).with_suffix(".json")
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ESTABLISH_SECONDS = 20


@dataclass
class RuleServer:
    """A server for CRDs and objects with rules. `base` is empty if the session has the address."""

    base: str
    session: aiohttp.ClientSession

    async def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any, list[str]]:
        """Send a request. Return status, body and warnings."""
        async with self.session.request(method, self.base + path, json=body) as response:
            decoded = await response.json() if response.content_type == "application/json" else None
            return response.status, decoded, response.headers.getall("Warning", [])

    async def prepare(self) -> None:
        """Create the CRD of all cases and wait until it is served."""
        status, body, _ = await self.send("POST", DEFINITIONS, judged())
        assert status == 201, body
        ends = time.monotonic() + ESTABLISH_SECONDS
        while (await self.send("GET", f"/apis/{GROUP}/v1/judgements"))[0] != 200:
            assert time.monotonic() < ends, "the definition is not served"
            await asyncio.sleep(0.1)

    async def define(self, name: str) -> Object:
        status, body, _ = await self.send("POST", f"{DEFINITIONS}?dryRun=All", refused(name))
        return recorded_answer(status, body)

    async def judge(self, name: str, field: str, value: Any, before: Any) -> Object:
        path = f"/apis/{GROUP}/v1/namespaces/default/judgements"
        if is_new(before):
            status, body, _ = await self.send("POST", path, judgement(name, field, value))
            return recorded_answer(status, body)
        status, body, _ = await self.send("POST", path, judgement(name, field, before))
        assert status == 201, body
        changed = judgement(name, field, value)
        changed["metadata"]["resourceVersion"] = body["metadata"]["resourceVersion"]
        status, body, _ = await self.send("PUT", f"{path}/{name.lower()}", changed)
        return recorded_answer(status, body)


def recorded_answer(status: int, body: Any) -> Object:
    """Return what is recorded of an answer: the code, and the errors of fields."""
    causes = ((body.get("details") or {}).get("causes") or ()) if status == 422 else ()
    kept = [{key: cause.get(key, "") for key in ("reason", "field", "message")} for cause in causes]
    return {"status": status} | (
        {
            "causes": sorted(
                kept, key=lambda cause: (cause["field"], cause["reason"], cause["message"])
            )
        }
        if kept
        else {}
    )


async def record(kubeconfig: Path) -> Object:
    endpoint = from_kubeconfig(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=endpoint.ssl_context or True)
    async with aiohttp.ClientSession(
        connector=connector, headers=await endpoint.headers()
    ) as session:
        server = RuleServer(endpoint.url, session)
        await server.prepare()
        return {
            "definitions": {name: await server.define(name) for name in REFUSED},
            "objects": {
                name: await server.judge(name, field, value, before)
                for name, field, value, before in OBJECTS
            },
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    recorded = asyncio.run(record(parser.parse_args().kubeconfig))
    RECORDED.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
