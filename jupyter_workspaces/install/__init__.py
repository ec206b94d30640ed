"""Installs controller, server and CRDs into a cluster, removes them, and checks the installation.

`manifests.py` has the objects, `plan.py` compares them with the cluster, `rollout.py` carries out a
plan, `doctor.py` checks a cluster. The command line is `cli/cluster.py`.
"""
