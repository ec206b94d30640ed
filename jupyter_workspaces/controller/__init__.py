"""The controller of Workspaces and WorkspaceKinds.

It talks to a Kubernetes API only, so it runs in the local cluster (`local/` calls `run`) and as a
Deployment of a real one (`python -m jupyter_workspaces.controller`). `runner.py` connects caches,
queues and the reconcilers in `workspaces/`; `process.py` adds what a Deployment needs: leader
election, admission webhook, health and metrics.
"""

from .runner import run

__all__ = ["run"]
