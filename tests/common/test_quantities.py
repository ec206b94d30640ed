from __future__ import annotations

from decimal import Decimal

import pytest

from jupyter_workspaces.common.quantities import (
    QuantityError,
    canonical,
    parse,
    words,
)


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("0", "0", "0"),
        ("500m", "0.5", "500m"),
        ("0.5", "0.5", "500m"),
        ("1000m", "1", "1"),
        ("1.5Gi", "1610612736", "1536Mi"),
        ("1024Ki", "1048576", "1Mi"),
        ("1000Ki", "1024000", "1000Ki"),
        ("0.1Ki", "102.4", "102400m"),
        ("1e3", "1000", "1e3"),
        ("12E2", "1200", "1200"),
        ("1500e0", "1500", "1500"),
        ("1000000", "1000000", "1M"),
        ("+5", "5", "5"),
        ("-1.5", "-1.5", "-1500m"),
        (".5Gi", "536870912", "512Mi"),
        ("5.", "5", "5"),
        ("3E", "3000000000000000000", "3E"),
        ("100u", "0.0001", "100u"),
    ],
)
def test_a_quantity_has_one_value_and_one_canonical_text(
    text: str, value: str, written: str
) -> None:
    assert parse(text) == Decimal(value)
    assert canonical(text) == written
    assert parse(canonical(text)) == parse(text)


@pytest.mark.parametrize(
    "text", ["", "x", "1 Gi", "1gi", "1KiB", "--1", "1e", "e3", "Gi", "١", "1\n", "0x10", "NaN"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(QuantityError, match="quantity"):
        parse(text)


def test_people_read_sizes_in_words() -> None:
    assert (
        words({"memory": "4Gi", "cpu": "500m", "nvidia.com/gpu": "2"}) == "0.5 CPU · 4 GiB · 2 GPU"
    )
    assert words({"cpu": "2", "memory": "1536Mi"}) == "2 CPU · 1.5 GiB"
    assert words({"memory": "lots"}) == "lots memory"
    assert words({}) == ""


@pytest.mark.parametrize(
    ("text", "canonical_text"),
    [
        ("1e99", str(2**63 - 1)),
        ("-1e99", str(1 - 2**63)),
        ("9" * 60 + "Ei", str(2**63 - 1)),
        ("1e-99", "1e-9"),
        ("1.1Ki", "1126400m"),
        ("0.00000000001", "1n"),
    ],
)
def test_values_far_out_of_range_are_read_and_written(text: str, canonical_text: str) -> None:
    value = parse(text)

    assert canonical(text) == canonical_text
    assert parse(canonical(text)) == value or abs(value) < 1
    assert words({"cpu": text, "memory": text})


@pytest.mark.parametrize(
    "text", ["1e999999999", "1e-999999999", "9" * 65, "0." + "1" * 100, "9" * 1_000_000]
)
def test_numbers_without_end_are_no_quantities(text: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse(text)
    assert len(str(refused.value)) < 300
