"""Reconcilers of Workspaces and WorkspaceKinds.

`reconciler.py` and `kind_reconciler.py` are the entry points; `caches.py` is what they know of the
cluster. Each Workspace becomes objects (`owned_objects.py` writes what `manifests.py` builds), a
state (`states.py`) and a status (`status.py`). `prober.py` finds out when a workspace was last
used. `docs/controller.md` describes the behaviour.
"""
