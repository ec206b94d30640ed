"""Managed fields after long histories are those that a real server recorded (`field_exchanges`)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from field_exchanges import RECORDED, Player, sequences

SEQUENCES = dict(sequences())


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_history_of_writes_is_answered_as_recorded(
    api: Any, recorded: dict[str, Any], name: str
) -> None:
    async def play() -> list[Any]:
        async with api.session() as session:
            player = Player("", session)
            await player.prepare()
            return await player.play(SEQUENCES[name], "fields")

    answers = json.loads(json.dumps(api.call(play())))

    for number, (step, answer, wanted) in enumerate(
        zip(SEQUENCES[name], answers, recorded[name], strict=True)
    ):
        assert answer == wanted, f"step {number}: {step}"
