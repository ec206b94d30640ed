"""Names of the objects that an installation creates in a cluster, as `deploy/` has them.

The controller uses them (lease, Secret, webhook), and `install/` looks for them.
"""

NAMESPACE = "jupyter-workspaces"
"""Namespace of the controller and the server."""

CONTROLLER = "jupyter-workspaces-controller"
"""Deployment and service account of the controller, and the Lease that its leader holds."""

WEBHOOK = "jupyter-workspaces-webhook"
"""Service of the admission webhook, and the Secret that holds its certificate."""

WEBHOOK_CONFIGURATION = "jupyter-workspaces"
"""ValidatingWebhookConfiguration of the admission webhook."""
