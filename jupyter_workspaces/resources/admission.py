"""Whether an object of our two kinds may be written: rules over old, new and a look-up. Pure; served in process and by webhook alike."""

from __future__ import annotations

from dataclasses import dataclass, field

from .causes import Cause


@dataclass
class Review:
    """`conflict` refuses with 409, `causes` with 422; `warnings` are told and refuse nothing."""

    causes: list[Cause] = field(default_factory=list)
    conflict: str | None = None
    warnings: list[str] = field(default_factory=list)
