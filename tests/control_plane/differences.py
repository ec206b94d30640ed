"""Compares the answers of the local and a real API server to the same requests.

`python tests/control_plane/differences.py` prints differences that docs/differences.md does not
list, and rows of it that do not apply any more. Names of scenarios select only those (`apply
create`); `--all` prints listed differences too; `--save FOLDER` saves both recordings; `--real
FOLDER` uses a saved recording of a real server, which takes seconds instead of a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import compare_deleting
import compare_judging
import compare_patching
import compare_reading
import compare_serving
import compare_writing
import exchange_recorder
from control_plane import ControlPlane
from embedded_api import embedded_api
from exchange_comparison import TABLE_FILE, Difference, Verdict, compare, judge, read_table
from exchange_objects import GADGETS, definition
from exchange_recorder import SCENARIOS, Recorder

from jupyter_workspaces.kube.endpoint import Endpoint, from_kubeconfig
from jupyter_workspaces.kube.types import Object

MODULES = (
    compare_writing,
    compare_patching,
    compare_deleting,
    compare_judging,
    compare_reading,
    compare_serving,
)
SCENARIO_SECONDS = 90
TOTAL_SECONDS = 30


async def record(endpoint: Endpoint, names: Sequence[str]) -> Object:
    """Play scenarios, each in a new namespace. Return the exchanges by name."""
    connector = aiohttp.TCPConnector(ssl=endpoint.ssl_context or True)
    limit = aiohttp.ClientTimeout(total=TOTAL_SECONDS)
    exchanges: Object = {}
    async with aiohttp.ClientSession(
        connector=connector, timeout=limit, headers=await endpoint.headers()
    ) as session:
        await _prepare(Recorder(session, endpoint.url, "default", "prepare"))
        for name in names:
            ask = Recorder(session, endpoint.url, f"compare-{name}", name, exchanges)
            await _namespace(ask)
            try:
                async with exchange_recorder.timeout(SCENARIO_SECONDS):
                    await SCENARIOS[name](ask)
            except (
                AssertionError,
                LookupError,
                TypeError,
                aiohttp.ClientError,
                asyncio.TimeoutError,
            ) as error:
                ask.note("(ended early)", f"{type(error).__name__}: {error}"[:500])
    return exchanges


async def _prepare(ask: Recorder) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = await ask.send("POST", path, definition())
    assert made.status in (201, 409), made.body
    await ask.until(
        f"/apis/{GADGETS}/gadgets", lambda answer: answer.status == 200, "a list of gadgets"
    )


async def _namespace(ask: Recorder) -> None:
    """Create a namespace and wait for the objects of controllers, so that lists are equal."""
    made = await ask.send(
        "POST",
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ask.namespace}},
    )
    assert made.status == 201, made.body


async def record_embedded(folder: Path, names: Sequence[str]) -> Object:
    async with embedded_api(folder) as endpoint:
        return await record(endpoint, names)


async def record_real(kubeconfig: Path, names: Sequence[str]) -> Object:
    return await record(from_kubeconfig(kubeconfig), names)


def verdict(differences: Sequence[Difference], names: Sequence[str]) -> Verdict:
    """Compare the differences with the rows of the table for these scenarios."""
    rows = read_table(TABLE_FILE.read_text(encoding="utf-8"))
    played = set(names)
    spoken = [
        row for row in rows if played == set(SCENARIOS) or row.exchange.split("/")[0] in played
    ]
    judged = judge(differences, rows)
    return Verdict(
        judged.listed, judged.unlisted, [row for row in judged.obsolete if row in spoken]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"all, or some of: {', '.join(SCENARIOS)}"
    )
    parser.add_argument(
        "--all", action="store_true", help="print differences that the table lists, too"
    )
    parser.add_argument(
        "--save",
        type=Path,
        help="keep what was recorded as embedded.json and real.json in this folder",
    )
    parser.add_argument("--real", type=Path, help="a folder with a real.json saved before")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        help="a real cluster that runs already and may be written to; its namespaces stay",
    )
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    names = [name for name in SCENARIOS if not chosen.scenarios or name in chosen.scenarios]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jw-differences-") as scratch:
        embedded = asyncio.run(record_embedded(Path(scratch) / "embedded", names))
        real = _real(chosen.real, chosen.kubeconfig, Path(scratch) / "real", names)
    if chosen.save is not None:
        chosen.save.mkdir(parents=True, exist_ok=True)
        for file, exchanges in (("embedded.json", embedded), ("real.json", real)):
            (chosen.save / file).write_text(
                json.dumps(exchanges, indent=1, ensure_ascii=False), encoding="utf-8"
            )
    found = compare(embedded, real)
    judged = verdict(found, names)
    for difference in found if chosen.all else judged.unlisted:
        print(difference)
    for row in judged.obsolete:
        print(f"does not apply any more: {row}")
    different = len({difference.exchange for difference in found})
    print(
        f"\n{len(real)} exchanges, {different} differ: "
        f"{len(judged.listed)} differences are in the table, {len(judged.unlisted)} are not; "
        f"{len(judged.obsolete)} rows do not apply any more ({time.monotonic() - began:.0f} s)"
    )
    return 1 if judged.unlisted or judged.obsolete else 0


def _real(
    saved: Path | None, kubeconfig: Path | None, folder: Path, names: Sequence[str]
) -> Object:
    if saved is not None:
        held = json.loads((saved / "real.json").read_text(encoding="utf-8"))
        return {name: exchange for name, exchange in held.items() if name.split("/")[0] in names}
    if kubeconfig is not None:
        return asyncio.run(record_real(kubeconfig, names))
    with own_control_plane(folder) as started:
        return asyncio.run(record_real(started, names))


@contextlib.contextmanager
def own_control_plane(folder: Path) -> Iterator[Path]:
    """Return the kubeconfig of a new control plane, which is stopped afterwards."""
    plane = ControlPlane(folder)
    try:
        plane.start()
        yield plane.kubeconfig
    finally:
        plane.stop()


if __name__ == "__main__":
    sys.exit(main())
