"""Said once: without an origin of its own, an open workspace can act as the user on the Jupyter server."""

from __future__ import annotations

from pathlib import Path

_told = False


def note(name: str) -> str:
    """What to know before opening workspace `name` at the server's own address; empty from the second time on in this process."""
    global _told
    if _told:
        return ""
    _told = True
    return (
        f"Workspaces open at your Jupyter server's own address: the programs in {name} can act as you on this server. "
        "Open only workspaces that you trust. To separate them, set JupyterWorkspaces.workspaces_url (docs/workspaces-url.md)."
    )


def first_time_here() -> bool:
    """Whether this user was never told; remembered by a file in Jupyter's data directory. True each time where it cannot be written."""
    from jupyter_core.paths import jupyter_data_dir

    mark = Path(jupyter_data_dir()) / "jupyter-workspaces-trust-told"
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch(exist_ok=False)
    except FileExistsError:
        return not mark.exists()  # the directory's own name may be a file's
    except OSError:
        return True
    return True
