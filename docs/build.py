"""Build the documentation site into `docs/_build/html` and check it: `python docs/build.py`.

Needs the extra `docs`, and nothing from the internet. Fails if Sphinx prints a warning, if a link
to a file, a heading or another page is broken, or if a page loads something from another site.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx_build

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_extensions"))

import links  # noqa: E402


def main() -> int:
    """Build and check the site. Returns the exit code."""
    site = DOCS / "_build" / "html"
    shutil.rmtree(site, ignore_errors=True)  # Sphinx leaves pages that are gone
    failed = sphinx_build(["-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(site)])
    broken = [*links.in_markdown(DOCS.parent), *links.in_site(site)]
    for problem in broken:
        print(problem, file=sys.stderr)
    if failed or broken:
        return 1
    print(f"The site is in {site}. To read it: python -m http.server -d {site}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
