"""The streaming proxy into a running workspace, below `{base_url}workspace/connect/{namespace}/{name}/{portId}/`.

`routes(base_url)` are for the web application, `close(settings)` for its end.
"""

from .handlers import routes
from .transfer.requests import close

__all__ = ["close", "routes"]
