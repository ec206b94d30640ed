"""Rewriting of a Jupyter server's list of kernels, the one JSON answer whose URLs a page uses as they are.

Its `resources` are root-absolute. Without this a JupyterLab behind a base URL shows its kernels without their logos.
"""

from __future__ import annotations

from collections.abc import Sequence

from .json_strings import JsonRewriter
from .public_path import PublicPath


def is_kernelspecs(path: PublicPath, asked: str) -> bool:
    """Return whether `asked` (path and query, as the workspace sees it) is the list of kernels."""
    where = asked.partition("?")[0]
    return where.removeprefix("/" if path.removed else path.inner) == "api/kernelspecs"


class KernelspecsRewriter(JsonRewriter):
    """Rewrites `kernelspecs.*.resources.*`. Feed it the body's bytes as they come, then `finish`."""

    def __init__(self, path: PublicPath) -> None:
        def change(keys: Sequence[str], value: str) -> str:
            resource = len(keys) == 4 and keys[0] == "kernelspecs" and keys[2] == "resources"
            return path.outward(value) if resource else value

        super().__init__(change)
