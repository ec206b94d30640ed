"""Runs a Python module with arguments from a private file.

Every user of a computer can read command lines, so they must not contain secrets or addresses.
This is a script that runs alone (`python launcher.py FILE`), with the standard library only. FILE
is a JSON object: `module`, its `arguments`, and the `directory` that comes first in `sys.path`.
"""

from __future__ import annotations

import json
import os
import runpy
import sys


def main() -> None:
    """Run the module that the file names."""
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    if sys.path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]  # our modules in this directory must not hide others
    sys.path.insert(0, plan["directory"])
    sys.argv[1:] = plan["arguments"]
    runpy.run_module(plan["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
