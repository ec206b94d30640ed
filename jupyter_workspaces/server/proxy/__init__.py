"""Streaming proxy into a running workspace.

It serves `{base_url}workspace/connect/{namespace}/{name}/{portId}/`. `routes(base_url)` returns the
rules for the web application, `close(settings)` closes all connections when the server stops.

In the names of this package, *inward* is the direction from the browser to the workspace, *outward*
the direction from the workspace to the browser. The packages:

- `handlers`: the Tornado handlers; they authenticate, authorize and transfer
- `headers`: which headers are forwarded, and how
- `rewriting`: addresses in the bodies of responses
- `transfer`: connections, requests and WebSockets as bytes
- `pages`: placeholder pages, and the notice in open tabs
- `origin`: workspaces at an origin of their own (`workspaces_url`)
"""

from .routes import routes
from .upstreams import close

__all__ = ["close", "routes"]
