"""Steps of the operator in Go (controller_runtime/main.go), which reports them itself."""

from __future__ import annotations

import os

from scenario_steps import Target

PROGRAM = Target.given().program
os.execv(PROGRAM, [PROGRAM])
