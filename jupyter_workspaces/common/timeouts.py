"""`timeout(seconds)`, a bound for whatever is awaited in its block; raises `asyncio.TimeoutError`.

Not `asyncio.wait_for`: before Python 3.12 it may lose a cancellation that comes together with what was waited for.
"""

import sys

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout  # noqa: TID251

__all__ = ["timeout"]
