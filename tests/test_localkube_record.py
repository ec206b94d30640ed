"""The rule by which `tests/run.py` skips the tests of `localkube`."""

from pathlib import Path

import pytest
from localkube_record import CONTENT, ROOT, digest, has_passed, write


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small tree with one file in each place that the digest covers."""
    for name in CONTENT:
        path = tmp_path / name
        file = path if path.suffix else path / "module.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
    return tmp_path


def test_every_covered_place_exists() -> None:
    assert [name for name in CONTENT if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", CONTENT)
def test_a_change_in_a_covered_place_changes_the_digest(checkout: Path, name: str) -> None:
    before = digest(checkout)
    path = checkout / name
    (path if path.is_file() else path / "module.py").write_text("2")

    assert digest(checkout) != before


def test_a_renamed_file_changes_the_digest(checkout: Path) -> None:
    before = digest(checkout)
    module = checkout / "jupyter_workspaces" / "kube" / "module.py"
    module.rename(module.with_name("other.py"))

    assert digest(checkout) != before


def test_other_packages_caches_and_the_record_do_not_change_the_digest(checkout: Path) -> None:
    before = digest(checkout)
    for name in ("server/app.py", "kube/__pycache__/module.pyc"):
        file = checkout / "jupyter_workspaces" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("2")
    write(["quick"], before, checkout / "tests" / "localkube" / "passed.json")

    assert digest(checkout) == before


def test_a_part_has_passed_only_on_the_recorded_state(tmp_path: Path) -> None:
    record = tmp_path / "passed.json"
    assert write(["quick"], "this state", record)

    assert has_passed("quick", "this state", record)
    assert not has_passed("quick", "another state", record)
    assert not has_passed("slow", "this state", record)
    assert not write(["quick"], "this state", record)


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"slow": "x"}'])
def test_without_a_usable_record_nothing_has_passed(tmp_path: Path, content: str | None) -> None:
    record = tmp_path / "passed.json"
    if content is not None:
        record.write_text(content)

    assert not has_passed("quick", "x", record)
