"""Compare values with recorded ones by the masks that `recordings/README.md` describes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = re.compile(r"[0-9a-f]{64}")
_YEAR_2017_MS = 1_500_000_000_000


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


MASKS: dict[str, Callable[[Any], bool]] = {
    "<any>": lambda value: True,
    "<maybe>": lambda value: True,
    "<none>": lambda value: value in (None, [], {}),
    "<text>": lambda value: isinstance(value, str) and value != "",
    "<string>": lambda value: isinstance(value, str),
    "<int>": _integer,
    "<ms>": lambda value: _integer(value) and value > _YEAR_2017_MS,
    "<time>": lambda value: isinstance(value, str) and _TIME.fullmatch(value) is not None,
    "<uid>": lambda value: isinstance(value, str) and _UID.fullmatch(value) is not None,
    "<hex64>": lambda value: isinstance(value, str) and _HEX.fullmatch(value) is not None,
}


class Comparison:
    """Compares, and keeps what `<capture:name>` caught."""

    def __init__(self) -> None:
        self.captured: dict[str, Any] = {}

    def differences(self, wanted: Any, got: Any, at: str = "") -> Iterator[str]:
        """`place: what` for every place where `got` is not what `wanted` allows."""
        if isinstance(wanted, str) and wanted.startswith("<capture:"):
            self.captured[wanted[len("<capture:") : -1]] = got
        elif isinstance(wanted, str) and wanted.startswith("<re:"):
            if not isinstance(got, str) or not re.fullmatch(wanted[len("<re:") : -1], got):
                yield f"{at}: wanted {wanted}, got {brief(got)}"
        elif isinstance(wanted, str) and wanted in MASKS:
            if not MASKS[wanted](got):
                yield f"{at}: wanted {wanted}, got {brief(got)}"
        elif isinstance(wanted, dict) and wanted.keys() == {"<unordered>"}:
            yield from self._list(wanted["<unordered>"], got, at, whole=True)
        elif isinstance(wanted, dict) and wanted.keys() == {"<has>"}:
            yield from self._list(wanted["<has>"], got, at, whole=False)
        elif isinstance(wanted, dict) and isinstance(got, dict):
            yield from self._object(wanted, got, at)
        elif isinstance(wanted, list) and isinstance(got, list):
            if len(wanted) != len(got):
                yield f"{at}: {len(wanted)} items wanted, {len(got)} got"
            for index, (one, other) in enumerate(zip(wanted, got, strict=False)):
                yield from self.differences(one, other, f"{at}/{index}")
        elif type(wanted) is not type(got) or wanted != got:
            yield f"{at}: wanted {brief(wanted)}, got {brief(got)}"

    def _object(self, wanted: dict[str, Any], got: dict[str, Any], at: str) -> Iterator[str]:
        for key in sorted(wanted.keys() | got.keys()):
            if key in wanted and key in got:
                yield from self.differences(wanted[key], got[key], f"{at}/{key}")
            elif key in got:
                yield f"{at}/{key}: not in the recording, got {brief(got[key])}"
            elif wanted[key] != "<maybe>":
                yield f"{at}/{key}: missing, wanted {brief(wanted[key])}"

    def _list(self, wanted: list[Any], got: Any, at: str, *, whole: bool) -> Iterator[str]:
        """A list in any order; unless `whole` it may have more."""
        if (
            not isinstance(got, list)
            or len(got) < len(wanted)
            or (whole and len(got) > len(wanted))
        ):
            yield (
                f"{at}: a list of {'' if whole else 'at least '}{len(wanted)} wanted, "
                f"got {brief(got)}"
            )
            return
        rest = list(got)
        for one in wanted:
            nearest = min(
                rest, key=lambda other: sum(1 for _ in Comparison().differences(one, other))
            )
            yield from self.differences(one, nearest, f"{at}/{brief(one, 40)}")
            rest.remove(nearest)


def brief(value: Any, length: int = 120) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= length else f"{text[: length - 1]}…"
