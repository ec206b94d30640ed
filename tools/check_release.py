"""Check that a release is consistent and complete.

`python tools/check_release.py --dist DIST` compares the versions of the package, the front end, the
manifests, the distributions in DIST and CHANGELOG.md, and runs check-manifest and `twine check`.
With `--tag vVERSION`, it also checks the tag, and that CHANGELOG.md has the date of the release.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRONT_END = "share/jupyter/labextensions/jupyter-workspaces/package.json"


def first(pattern: str, path: str) -> str:
    """Return the first group of a pattern's first match in a file of the repository."""
    found = re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else f"none found in {path}"


def source_versions() -> Iterator[tuple[str, str]]:
    """Yield where a version is written in the sources, and the version."""
    yield (
        "jupyter_workspaces/_version.py",
        first(r'^__version__ = "(.+)"', "jupyter_workspaces/_version.py"),
    )
    yield (
        "labextension/package.json",
        json.loads((ROOT / "labextension/package.json").read_text(encoding="utf-8"))["version"],
    )
    yield (
        "deploy/kustomization.yaml, label",
        first(r"app\.kubernetes\.io/version: (\S+)", "deploy/kustomization.yaml"),
    )
    yield "deploy/kustomization.yaml, image", first(r"newTag: (\S+)", "deploy/kustomization.yaml")


def built_versions(dist: Path) -> Iterator[tuple[str, str]]:
    """Yield the versions of the wheel, of the front end in it, and of the sdist."""
    for wheel in dist.glob("*.whl"):
        yield wheel.name, wheel.name.split("-")[1]
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(FRONT_END)]
            for name in names:
                yield f"{wheel.name}, front end", json.loads(archive.read(name))["version"]
            if not names:
                yield f"{wheel.name}, front end", "none: it was built without the front end"
    for sdist in dist.glob("*.tar.gz"):
        yield sdist.name, sdist.name.removesuffix(".tar.gz").rpartition("-")[2]


def changelog_problems(version: str, tag: str | None) -> Iterator[str]:
    """Yield what is wrong with the newest heading of the changelog (https://keepachangelog.com)."""
    heading = first(r"^## (.+)$", "CHANGELOG.md")
    released = re.fullmatch(r"\[(.+)\] - \d{4}-\d{2}-\d{2}", heading)
    if tag is not None and tag != f"v{version}":
        yield f"the tag is {tag}, the version {version}"
    if tag is not None and not released:
        yield f"CHANGELOG.md: the newest heading is '{heading}', not '[{version}] - YEAR-MONTH-DAY'"
    if released and released[1] != version:
        yield f"CHANGELOG.md: the newest version is {released[1]}, the package's is {version}"
    if not released and heading != "[Unreleased]":
        expected = "'[Unreleased]' or '[VERSION] - DATE'"
        yield f"CHANGELOG.md: the newest heading is '{heading}', not {expected}"


def run(*command: str) -> Iterator[str]:
    """Run a check of another tool. Yields a line if it fails; its own output is on the terminal."""
    environment = os.environ | {
        "SKIP_JUPYTER_BUILDER": "1"
    }  # the front end is not part of the comparison
    if subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, check=False
    ).returncode:
        yield f"{' '.join(command)} failed"


def problems(dist: Path, tag: str | None) -> Iterator[str]:
    """Yield all problems of the release."""
    versions = [*source_versions(), *built_versions(dist)]
    version = versions[0][1]
    yield from (
        f"{place}: {other}, but the package has {version}"
        for place, other in versions
        if other != version
    )
    yield from changelog_problems(version, tag)
    yield from run("check_manifest", "--quiet")
    distributions = sorted(str(path.resolve()) for path in dist.iterdir())
    yield from run("twine", "check", "--strict", *distributions)


def main() -> int:
    """Print the problems of the release. Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dist", type=Path, required=True, help="folder with the wheel and the sdist"
    )
    parser.add_argument("--tag", help="tag of the release, such as v0.1.0")
    chosen = parser.parse_args()
    if not list(chosen.dist.glob("*.whl")) or not list(chosen.dist.glob("*.tar.gz")):
        parser.error(f"{chosen.dist} has no wheel and sdist. Build them with: python -m build")
    found = list(problems(chosen.dist, chosen.tag))
    print(
        "\n".join(f"check_release: {problem}" for problem in found)
        or "check_release: the release is consistent"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
