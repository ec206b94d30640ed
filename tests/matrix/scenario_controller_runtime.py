"""An operator in Go (controller_runtime/main.go): it tells its steps itself."""

from __future__ import annotations

import os

from scenario_steps import Target

PROGRAM = Target.given().program
os.execv(PROGRAM, [PROGRAM])
