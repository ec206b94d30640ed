"""What runs for the image of a program: `python programs_image.py NAME SCRIPTS ADDRESS PORT PREFIX`.

Writes the program's files into the current folder and becomes its process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from programs_catalog import PROGRAMS


def main(name: str, scripts: str, address: str, port: str, prefix: str) -> None:
    program = next(program for program in PROGRAMS if program.name == name)
    values = {"address": address, "port": port, "prefix": prefix, "path": prefix.rstrip("/")}
    for file, text in program.files.items():
        Path(file).write_text(text.replace("PORT", port).replace("ADDRESS", address), encoding="utf-8")
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    environment |= {variable: value.format(**values) for variable, value in program.environment.items()}
    command = [str(Path(scripts) / program.command[0]), *(word.format(**values) for word in program.command[1:])]
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
