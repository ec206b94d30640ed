"""Built-in kinds: each answer is that of the real API server to the same request (`kind_cases`)."""

from __future__ import annotations

from typing import Any

import kind_cases
import pytest
from kind_cases import CASES, Ask
from kind_server import requester

PRIVILEGED = '{"privileged": true, "allowPrivilegeEscalation": false}'
EXCEPTIONS = {
    f"Pod spec.containers[0].securityContext = {PRIVILEGED}": (
        "most clusters allow privileged containers; the recorded one was started without"
    ),
}
"""Cases whose answer differs from the recorded one, by title, with the reason."""

RECORDED = {(case.group, case.title): answer for case, answer in kind_cases.recorded()}


@pytest.fixture
def ask(api: Any) -> Ask:
    """The local API server, with blocking requests."""
    found = requester(api.url, api.trust, {"Authorization": "Bearer test-token"})
    kind_cases.prepare(found)
    return found


@pytest.mark.parametrize("group", CASES)
def test_answers_are_those_of_the_real_api_server(ask: Ask, group: str) -> None:
    answers = [
        (case.title, kind_cases.answer(ask, case), RECORDED[group, case.title])
        for case in CASES[group]
    ]

    assert {
        title: (here, there)
        for title, here, there in answers
        if here != there and title not in EXCEPTIONS
    } == {}
    assert [
        title for title, here, there in answers if here == there and title in EXCEPTIONS
    ] == [], "an exception does not apply any more"
