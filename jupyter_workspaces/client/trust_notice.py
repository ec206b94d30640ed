"""Security notice about workspaces at the Jupyter server's own origin, shown once.

Programs in such a workspace can act as the user on that server (docs/workspaces-url.md).
"""

from __future__ import annotations

from pathlib import Path

_shown = False


def note(name: str) -> str:
    """Return the notice for workspace `name`; empty after the first call in this process."""
    global _shown
    if _shown:
        return ""
    _shown = True
    return (
        "Workspaces open at your Jupyter server's own address: "
        f"the programs in {name} can act as you on this server. "
        "Open only workspaces that you trust. "
        "To separate them, set JupyterWorkspaces.workspaces_url (docs/workspaces-url.md)."
    )


def first_time_here() -> bool:
    """Return whether this user has not seen the notice yet, by a file in Jupyter's data directory.

    Returns True each time if the file cannot be written.
    """
    from jupyter_core.paths import jupyter_data_dir

    mark = Path(jupyter_data_dir()) / "jupyter-workspaces-trust-told"
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch(exist_ok=False)
    except FileExistsError:
        return not mark.exists()  # the data directory may be a file
    except OSError:
        return True
    return True
