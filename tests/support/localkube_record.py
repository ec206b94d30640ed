"""Which state of the local cluster's code its tests have passed on.

`tests/localkube/passed.json` holds, for each part of the test run, a digest of the files below.
`tests/run.py` writes it after a run that passes, and it is committed with the change. The tests of
`localkube` can be skipped if the digest of the checkout is the recorded one: then they have passed
on exactly these files. This needs no history and no base branch, so it works in a shallow clone, on
any branch and without git. A missing, damaged or outdated record means that the tests run.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tests" / "localkube" / "passed.json"
# `pyproject.toml` has the dependencies; the other files of `tests` are what these tests import.
CONTENT = (
    "jupyter_workspaces/common",
    "jupyter_workspaces/kube",
    "jupyter_workspaces/localkube",
    "tests/localkube",
    "tests/support",
    "tests/conftest.py",
    "pyproject.toml",
)


def digest(root: Path = ROOT) -> str:
    """Return the SHA-256 of the names and contents of all files that matter."""
    total = hashlib.sha256()
    for path in sorted(_files(root)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return total.hexdigest()


def has_passed(part: str, current: str, record: Path = RECORD) -> bool:
    """Whether the tests of a part ("quick" or "slow") have passed on this state."""
    return _recorded(record).get(part) == current


def write(parts: list[str], current: str, record: Path = RECORD) -> bool:
    """Record that these parts passed on this state. Returns whether the file changed."""
    recorded = _recorded(record)
    changed = recorded | dict.fromkeys(parts, current)
    if changed == recorded:
        return False
    record.write_text(json.dumps(changed, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return True


def _recorded(record: Path) -> dict[str, str]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _files(root: Path) -> list[Path]:
    found: list[Path] = []
    for name in CONTENT:
        path = root / name
        found += [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return [path for path in found if "__pycache__" not in path.parts and path.name != RECORD.name]
