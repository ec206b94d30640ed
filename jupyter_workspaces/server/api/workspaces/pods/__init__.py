"""The pod of a workspace: details, log, events, resources, and the steps of its start."""
