"""`python -m jupyter_workspaces.cli`."""

from . import main

main()
