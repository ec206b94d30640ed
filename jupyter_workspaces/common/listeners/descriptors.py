"""Limit of open files: raised for our own processes, and the former one for programs that users run."""

from __future__ import annotations

import logging
import os

if os.name == "posix":
    import resource

log = logging.getLogger(__name__)

MOST = 65536
FORMER = "JUPYTER_WORKSPACES_OPEN_FILES"
"""Environment variable with the soft limit before it was raised, so that processes started by ours know it as well."""


def raise_limit(most: int = MOST) -> None:
    """Raise the soft limit of open files to the hard one, at most to `most`, and remember the former one."""
    if os.name != "posix":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.environ.setdefault(FORMER, str(soft))
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (
        OSError,
        ValueError,
    ) as error:  # some systems allow less than the hard limit that they name
        log.warning("The limit of open files stays at %d: %s", soft, error)


def former_limit() -> int | None:
    """Return the soft limit before `raise_limit`; None where it was not raised or there is none.

    Programs of users get it back: those that use select(2) fail with descriptors beyond 1,023.
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

    Half of the files stay for our own needs: a proxied connection opens a second one, and there are
    databases, logs and connections to the cluster.
    """
    if os.name != "posix":
        return wanted
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, max(soft // 2, 8))
