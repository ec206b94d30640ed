"""Our custom resources: definitions, sample kinds, admission rules, templates and typed views.

Nothing here talks to a cluster or serves HTTP.
"""
