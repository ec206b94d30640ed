"""Raises the limit of open files for our processes, and restores it for users' programs."""

from __future__ import annotations

import logging
import os

if os.name == "posix":
    import resource

log = logging.getLogger(__name__)

MOST = 65536
FORMER = "JUPYTER_WORKSPACES_OPEN_FILES"
"""Environment variable with the soft limit before it was raised, for child processes."""


def raise_limit(most: int = MOST) -> None:
    """Raise the soft limit of open files to the hard one, but not above `most`.

    The environment variable `FORMER` keeps the limit before.
    """
    if os.name != "posix":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.environ.setdefault(FORMER, str(soft))
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    # Some systems allow less than their hard limit.
    except (OSError, ValueError) as error:
        log.warning("The limit of open files stays at %d: %s", soft, error)


def former_limit() -> int | None:
    """Return the soft limit before `raise_limit`, None if it was not raised or there is none.

    Users' programs run with it: those that use select(2) fail with descriptors above 1,023.
    """
    if os.name != "posix":
        return None
    try:
        former = int(os.environ[FORMER])
    except (KeyError, ValueError):
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if former <= 0:
        return None
    return former if soft == resource.RLIM_INFINITY else min(former, soft)


def connections_within(wanted: int) -> int:
    """Return how many of `wanted` connections the limit of open files allows.

    Half of the files are left for other uses: a proxied connection opens a second one, and there
    are databases, logs and connections to the cluster.
    """
    if os.name != "posix":
        return wanted
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, max(soft // 2, 8))
