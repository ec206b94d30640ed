"""Processes of pods: their start, supervision, limits, mounts and commands beside them.

`shim.py`, `enter.py`, `gate.py`, `launcher.py` and `lab_files.py` run in processes of pods, not in
the node.
"""
