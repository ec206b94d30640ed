"""Label selectors in both forms: what they match, and which texts are refused."""

from __future__ import annotations

import pytest

from jupyter_workspaces.kube import selectors
from jupyter_workspaces.kube.types import Object

LABELS = {"a": "1", "n": "7"}
SELECTORS: list[tuple[Object, str, bool]] = [
    ({"matchLabels": {"a": "1"}}, "a=1", True),
    ({"matchLabels": {"a": "1", "b": "2"}}, "a=1,b=2", False),
    (
        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["2", "1"]}]},
        "a in (1,2)",
        True,
    ),
    (
        {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1", "2"]}]},
        "a notin (1,2)",
        False,
    ),
    (
        {"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]},
        "b notin (1)",
        True,
    ),
    ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, "a", True),
    ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, "!a", False),
    (
        {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]},
        "a=1,b",
        False,
    ),
]


@pytest.mark.parametrize(("selector", "text", "matched"), SELECTORS)
def test_both_forms_of_a_selector_match_the_same_labels(
    selector: Object, text: str, matched: bool
) -> None:
    assert selectors.matches(selector, LABELS) is matched
    assert selectors.as_text(selector) == text
    parsed = selectors.parse(text)
    assert parsed is not None
    assert parsed(LABELS) is matched


def test_an_empty_selector_matches_everything() -> None:
    assert selectors.matches({}, LABELS)
    assert selectors.as_text({}) == ""
    assert selectors.parse(None) is selectors.parse("") is selectors.parse(" ") is None


def test_an_unknown_operator_matches_nothing_and_is_invalid() -> None:
    unknown = {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["0"]}]}
    assert not selectors.matches(unknown, LABELS)
    assert not selectors.is_valid(unknown)


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("a==1", True),
        ("a!=1", False),
        ("n>6", True),
        ("n>7", False),
        ("n<8", True),
        ("b<8", False),
        (" a = 1 , ! b ", True),
        ("example.org/x!=1", True),
    ],
)
def test_forms_that_only_a_query_has(text: str, matched: bool) -> None:
    parsed = selectors.parse(text)
    assert parsed is not None
    assert parsed(LABELS) is matched


@pytest.mark.parametrize(
    "text", ["a=1,", "a=-", "a in 1", "a in (1", "a>b", "-a", "a b", f"a={'b' * 64}"]
)
def test_a_text_that_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(selectors.InvalidSelector, match="unable to parse requirement"):
        selectors.parse(text)
