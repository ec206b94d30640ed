"""Labels, annotations and finalizers that the parts of the project share.

The names below `notebooks.kubeflow.org/` are those of Kubeflow Workspaces, so that objects work
with its controller and user interface as well; `docs/controller.md` has a table. The names below
`jupyter-workspaces/` are ours.
"""

WORKSPACE_NAME = "notebooks.kubeflow.org/workspace-name"
STATEFUL_SET = "statefulset"
CAN_MOUNT = "notebooks.kubeflow.org/can-mount"
CAN_UPDATE = "notebooks.kubeflow.org/can-update"
CAN_USE = "notebooks.kubeflow.org/can-use"
IMAGE_SOURCE = "notebooks.kubeflow.org/image-source"
DISPLAY_NAME = "notebooks.kubeflow.org/display-name"
DESCRIPTION = "notebooks.kubeflow.org/description"
CREATED_BY = "notebooks.kubeflow.org/created-by"
UPDATED_BY = "notebooks.kubeflow.org/updated-by"
UPDATED_AT = "notebooks.kubeflow.org/updated-at"
KIND_PROTECTION = "notebooks.kubeflow.org/workspacekind-protection"

OURS = "jupyter-workspaces/"
"""Prefix of our own annotations."""

TOKEN_ENV = "jupyter-workspaces/token-env"
"""On a WorkspaceKind: environment variable for a workspace's random token (`JUPYTER_TOKEN`).

Without the annotation, no token is made or sent.
"""

TOKEN_SECRET = "jupyter-workspaces/token-secret"
"""On a pod and the pod template of its StatefulSet: name of the Secret with the token."""

TOKEN_KEY = "token"
"""Key of the token in that Secret."""

LOCAL_PORT = "jupyter-workspaces/local-port."
"""On a pod, followed by a container port: port at which the program listens instead.

Used by the local cluster on hosts whose pods have no addresses of their own.
"""

KIND_TEMPLATE_HASH = "jupyter-workspaces/kind-template-hash"
"""On the pod template of a StatefulSet: hash of the kind's pod template that it was made from."""

PAUSED_BECAUSE = "jupyter-workspaces/paused-because"
"""On a Workspace that the controller paused: the reason, as a sentence. Removed on resume."""

RESTART = "jupyter-workspaces/restart"
"""On a Workspace in a restart: time and id of the request (`resources/restarts.py`)."""

LOCAL_BUILD = "jupyter-workspaces"
"""Part of the local cluster's version: `v1.36.0+jupyter-workspaces.0.1.0`."""

BASE_URL = "jupyter-workspaces/base-url"
"""On a Workspace: base URL of the server that started it. On a pod: base URL in its program's path.

Without the annotation, the base URL is `/`.
"""
