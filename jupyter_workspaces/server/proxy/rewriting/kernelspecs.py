"""Rewrites a Jupyter server's list of kernels, the only JSON document that is rewritten.

JupyterLab uses the root-absolute URLs in its `resources` unchanged. Without rewriting, a JupyterLab
behind a base URL shows its kernels without logos.
"""

from __future__ import annotations

from collections.abc import Sequence

from .json_rewriter import JsonRewriter
from .public_path import PublicPath


def is_kernelspecs(path: PublicPath, requested: str) -> bool:
    """Return whether a request is for the list of kernels.

    `requested` are its path and query as the program sees them.
    """
    where = requested.partition("?")[0]
    return where.removeprefix("/" if path.removed else path.inner) == "api/kernelspecs"


class KernelspecsRewriter(JsonRewriter):
    """Rewrites `kernelspecs.*.resources.*` incrementally."""

    def __init__(self, path: PublicPath) -> None:
        """Prepare for a public path."""

        def change(keys: Sequence[str], value: str) -> str:
            resource = len(keys) == 4 and keys[0] == "kernelspecs" and keys[2] == "resources"
            return path.outward(value) if resource else value

        super().__init__(change)
