"""Labels, annotations and finalizers that parts of the project use to tell each other things. One place, so that no two disagree.

The `notebooks.kubeflow.org/` names are Kubeflow's (contracts/kubeflow-workspaces.md §1.6); `jupyter-workspaces/` names are ours.
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
"""What the names of our own annotations begin with."""

TOKEN_ENV = "jupyter-workspaces/token-env"
"""On a WorkspaceKind: the environment variable that hands a workspace its random token (`JUPYTER_TOKEN`). Absent: no token is made or sent."""

TOKEN_SECRET = "jupyter-workspaces/token-secret"
"""On a pod and its StatefulSet's template: the name of the Secret whose key `token` opens the workspace."""

TOKEN_KEY = "token"
"""The key within that Secret."""

LOCAL_PORT = "jupyter-workspaces/local-port."
"""On a pod, followed by a container port: the port that really listens at the pod's address, where it differs (hosts with only 127.0.0.1)."""

KIND_TEMPLATE_HASH = "jupyter-workspaces/kind-template-hash"
"""On a StatefulSet's pod template: which version of the kind's pod template the pod was made from."""

PAUSED_BECAUSE = "jupyter-workspaces/paused-because"
"""On a Workspace that the controller paused: the reason as a sentence. Gone once the workspace is resumed."""

RESTART = "jupyter-workspaces/restart"
"""On a Workspace that is paused only to be started again: when that was asked for, and an id (`resources/restarts.py`)."""

DEFAULT_STORAGE_CLASS = "storageclass.kubernetes.io/is-default-class"

LOCAL_BUILD = "jupyter-workspaces"
"""In the version that the local cluster tells of itself: `v1.36.0+jupyter-workspaces.0.1.0`."""

BASE_URL = "jupyter-workspaces/base-url"
"""On a Workspace: the base URL of the server that started it. On a pod: the one in the path that its program got. Absent: `/`."""
