"""`timeout(seconds)`: timeout of the block; raises `asyncio.TimeoutError`.

`asyncio.wait_for` is not used: before Python 3.12 it may lose a cancellation that arrives at the
same time as the result.
"""

import sys

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout  # noqa: TID251

__all__ = ["timeout"]
