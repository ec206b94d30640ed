"""Kubernetes quantities (`500m`, `1.5Gi`, `2e3`): exact values, canonical form, text for people.

`kubernetes.utils.parse_quantity` has no canonical form and no limit of the number of digits.
Source: Kubernetes API reference, "Quantity".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_UP, Context, Decimal, localcontext
from typing import Literal

_QUANTITY = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:(Ki|Mi|Gi|Ti|Pi|Ei)|([numkMGTPE])|[eE]([+-]?\d{1,2}))?",
    re.ASCII,
)
_LONGEST = 64
_EXACT = Context(prec=300, Emax=9999, Emin=-9999)
"""Decimal context that rounds no number of at most `_LONGEST` digits and a two-digit exponent."""

_LARGEST = Decimal(2**63 - 1)
"""Kubernetes uses this value for all larger ones."""

_SMALLEST = Decimal("1e-9")
"""Kubernetes rounds up to a multiple of this."""

_BINARY = {
    name: Decimal(1024) ** power
    for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


class QuantityError(ValueError):
    """The text is not a quantity."""


def parse(text: str) -> Decimal:
    """Return the exact value in base units (cores, bytes).

    Raises:
        QuantityError: the text is not a quantity.
    """
    return _parse(text)[0]


def canonical(text: str) -> str:
    """Return a quantity as the API server stores it.

    `1.5Gi` becomes `1536Mi`, `1000m` becomes `1`, and `1e3` stays.

    Raises:
        QuantityError: the text is not a quantity.
    """
    value, form = _parse(text)
    with localcontext(_EXACT):
        return _canonical(value, form)


def _canonical(value: Decimal, form: str) -> str:
    value = value.quantize(_SMALLEST, ROUND_UP)
    if form == "binary":
        for name, unit in reversed(_BINARY.items()):
            if value and value % unit == 0:
                return f"{_plain(value / unit)}{name}"
        if value == value.to_integral_value():
            return _plain(value)
    for name, power in reversed(_DECIMAL.items()):
        unit = Decimal(10) ** power
        if value and value % unit == 0:
            suffix = name if form != "exponent" else f"e{power}" if power else ""
            return f"{_plain(value / unit)}{suffix}"
    return "0"


def words(resources: Mapping[str, str]) -> str:
    """Return resource requests as text for people: `2 CPU · 4 GiB · 1 GPU`.

    A value that is not a quantity is shown unchanged.
    """
    parts = []
    for name, text in sorted(
        resources.items(),
        key=lambda item: ("cpu", "memory").index(item[0]) if item[0] in ("cpu", "memory") else 2,
    ):
        try:
            value = parse(str(text))
        except QuantityError:
            parts.append(f"{text} {name}")
            continue
        if name == "cpu":
            parts.append(f"{_short(value)} CPU")
        elif name.endswith("/gpu") or name.endswith(".gpu"):
            parts.append(f"{_short(value)} GPU")
        elif name in ("memory", "storage", "ephemeral-storage"):
            parts.append(size(value))
        else:
            parts.append(f"{_short(value)} {name}")
    return " · ".join(parts)


def size(value: Decimal) -> str:
    """Return a number of bytes as text for people: `512 MiB`, `1.5 GiB`."""
    for name, unit in reversed(_BINARY.items()):
        if abs(value) >= unit:
            return f"{_short(value / unit)} {name}B"
    return f"{_short(value)} B"


def _parse(text: str) -> tuple[Decimal, Literal["binary", "decimal", "exponent"]]:
    found = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        raise QuantityError(
            f"{shown!r} is not a quantity: "
            "write a number with a unit such as m, k, M, G, Ki, Mi or Gi"
        )
    with localcontext(_EXACT):
        number = Decimal(found[1])
        form: Literal["binary", "decimal", "exponent"] = "decimal"
        if found[2]:
            number, form = number * _BINARY[found[2]], "binary"
        elif found[3]:
            number = number.scaleb(_DECIMAL[found[3]])
        elif found[4]:
            number, form = number.scaleb(int(found[4])), "exponent"
        return max(-_LARGEST, min(number, _LARGEST)), form


def _plain(value: Decimal) -> str:
    return f"{value.to_integral_value():f}"


def _short(value: Decimal) -> str:
    with localcontext(_EXACT):
        return f"{value.quantize(Decimal('0.01')).normalize():f}"
