"""Run other clients against our clusters, and our tests against older API servers.

`python tests/matrix.py` runs all clients against the local cluster; with `--cluster real` against a
real control plane, to distinguish their defects from ours. `python tests/matrix.py servers` builds
older supported minor releases of Kubernetes (30 minutes each) and runs the tests of both clusters
on them. It takes long and is not part of `.ci/run`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / folder) for folder in ("matrix", "control_plane", "support")]

import matrix_clients  # noqa: E402 - the folders of its parts come first
import matrix_clusters  # noqa: E402
import matrix_kubectl  # noqa: E402
import matrix_operator  # noqa: E402
import matrix_servers  # noqa: E402
from matrix_table import Outcome, failures, table  # noqa: E402


def clients(kind: str, names: list[str]) -> list[Outcome]:
    """All chosen ones, one after another, on one cluster."""
    found = matrix_clients.chosen(
        (*matrix_clients.CLIENTS, *matrix_kubectl.clients(), *matrix_operator.clients()), names
    )
    outcomes: list[Outcome] = []
    with (
        tempfile.TemporaryDirectory(prefix="jw-matrix-") as folder,
        matrix_clusters.running(kind, Path(folder)) as cluster,
    ):
        for client in found:
            print(f"\n=== {client.name} on the {kind} cluster ===", flush=True)
            for outcome in matrix_clients.run(
                matrix_operator.built(matrix_kubectl.built(client)), cluster
            ):
                print(
                    f"{'FAIL' if outcome.failure else 'ok':<5}"
                    f"{outcome.seconds:6.1f} s  {outcome.row}",
                    flush=True,
                )
                if outcome.failure:
                    print(f"      {outcome.failure}", flush=True)
                outcomes.append(outcome)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", default="clients", choices=("clients", "servers"))
    parser.add_argument(
        "--cluster",
        default="embedded",
        choices=matrix_clusters.KINDS,
        help="what the clients are tried on",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="clients or servers whose names begin so",
    )
    chosen = parser.parse_args()
    try:
        outcomes = (
            clients(chosen.cluster, chosen.only)
            if chosen.part == "clients"
            else matrix_servers.run(chosen.only)
        )
    except ValueError as error:
        parser.error(str(error))
    print(f"\n{table(outcomes)}")
    if wrong := failures(outcomes):
        print("\n" + "\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
