"""Runs a Python module whose arguments stand in a file that only its user can read.

Every user of a computer can read command lines.

Run as a script of its own (`python launcher.py FILE`), with nothing but the standard library. FILE is a JSON object: `module`, its
`arguments`, and the `directory` where modules are looked for first.
"""

from __future__ import annotations

import json
import os
import runpy
import sys


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    if sys.path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]  # or our own modules here would hide others of the same names
    sys.path.insert(0, plan["directory"])
    sys.argv[1:] = plan["arguments"]
    runpy.run_module(plan["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
