"""What a cache asks of an API server that fails, and how soon it is up to date afterwards.

python benchmarks/flaky.py [--seconds 60] [--mode refuse --mode hang …]

Each mode has a cache and a proxy of its own, all at the same time. The goal: at most 40 requests a
minute for each resource type, visible within 10 s after the API is healthy again, 30 s where
requests hung.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from failing_api import Measured, embedded, measure
from flaky_api import MODES


async def run(modes: list[str], seconds: float) -> list[Measured]:
    """Measure all modes at the same time."""
    with tempfile.TemporaryDirectory() as directory:
        async with embedded(Path(directory)) as endpoint:
            return await asyncio.gather(*(measure(endpoint, mode, seconds) for mode in modes))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each API fails")
    parser.add_argument(
        "--mode", action="append", choices=list(MODES), help="only this one; may be repeated"
    )
    chosen = parser.parse_args()
    logging.disable(logging.ERROR)
    print(
        f"{'mode':<9}{'requests per type and minute':>30}{'visible after':>16}{'stale':>8}"
        "  what fails"
    )
    for found in asyncio.run(run(chosen.mode or list(MODES), chosen.seconds)):
        rate, stale = found.requests * 60 / found.seconds, "yes" if found.stale else "no"
        print(
            f"{found.mode:<9}{rate:>30.0f}{found.visible:>14.1f} s{stale:>8}  {MODES[found.mode]}"
        )


if __name__ == "__main__":
    main()
