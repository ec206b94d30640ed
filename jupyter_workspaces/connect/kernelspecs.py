"""The one JSON answer whose addresses a page uses as they are: a Jupyter server's kernels, whose `resources` are root-absolute.

Without this a Lab behind a base URL shows its kernels without their pictures.
"""

from __future__ import annotations

import json

from .rewriting import PublicPath

LONGEST = 2**20


def is_kernelspecs(path: PublicPath, asked: str) -> bool:
    """Whether `asked` (path and query, as the workspace sees it) is the list of kernels."""
    where = asked.partition("?")[0]
    return where.removeprefix("/" if path.removed else path.inner) == "api/kernelspecs"


class KernelspecsRewriter:
    """Feed it the body, then `finish`. A body that is no JSON, or longer than 1 MiB, passes as it is."""

    def __init__(self, path: PublicPath) -> None:
        self._path = path
        self._held: bytearray | None = bytearray()

    def feed(self, data: bytes) -> bytes:
        if self._held is None:
            return data
        self._held += data
        if len(self._held) <= LONGEST:
            return b""
        held, self._held = bytes(self._held), None
        return held

    def finish(self) -> bytes:
        held, self._held = bytes(self._held or b""), None
        try:
            listing = json.loads(held)
            for spec in listing["kernelspecs"].values():
                spec["resources"] = {name: self._path.outward(url) for name, url in spec["resources"].items()}
        except (ValueError, LookupError, TypeError, AttributeError):
            return held
        return json.dumps(listing).encode()
