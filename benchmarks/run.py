"""`python benchmarks/run.py [name …]`: measure, and print figures, goals and references.

Names: install, imports, cluster, workspace, panel, rewriter; and, if they are named, controller (5
minutes, a real control plane), restarts (2 minutes) and soak (bombs, 4 minutes). Each uses a throw-
away cluster; yours is not touched.
"""

from __future__ import annotations

import importlib
import sys

from measure import Figure, show

NAMES = ("install", "imports", "cluster", "workspace", "panel", "rewriter")
NAMED_ONLY = ("controller", "restarts", "soak")


def main() -> int:
    chosen = sys.argv[1:] or list(NAMES)
    if unknown := [name for name in chosen if name not in (*NAMES, *NAMED_ONLY)]:
        print(
            f"No such benchmark: {', '.join(unknown)}. "
            f"There is: {', '.join((*NAMES, *NAMED_ONLY))}.",
            file=sys.stderr,
        )
        return 2
    figures: list[Figure] = []
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        figures += importlib.import_module(name).measure()
    show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
