"""Why a workspace cannot be opened now: a state for programs, and a message for people. Pure."""

from __future__ import annotations

from jupyter_workspaces.kube.errors import ClusterError, Forbidden, NotFound, Unauthorized
from jupyter_workspaces.kube.peers import FOREIGN

PROGRAM_IS_STARTING = "Its program does not accept connections yet. Trying again."
CLUSTER_IS_SILENT = (
    "The cluster does not answer, and connections to it go through it. Trying again."
)

_STATUS = {"gone": 404, "port": 404, "unreachable": 502, "token": 502, "secret": 502, "silent": 504}


class Unavailable(Exception):
    """A workspace, or one of its ports, cannot be opened now.

    Attributes:
        state: One of

            - `cluster`: the Kubernetes API does not answer, or not yet
            - `gone`: the workspace does not exist, or is being deleted
            - `port`: the workspace has no such port
            - `stopping`, `paused`, `starting`: states of the workspace
            - `failed`: the workspace needs attention
            - `unreachable`: there is no connection from this server to the pod
            - `token`: the Secret with the workspace's token is missing
            - `secret`: this server is not permitted to read that Secret
            - `silent`: the program accepts requests and does not respond
        message: One or two sentences for people.
    """

    def __init__(self, state: str, message: str) -> None:
        """Store the state and the message."""
        super().__init__(message)
        self.state, self.message = state, message

    @property
    def status(self) -> int:
        """The HTTP status code that corresponds to the state."""
        return _STATUS.get(self.state, 503)


def foreign_listener() -> Unavailable:
    """Return the error for an address at which another user's program listens."""
    return Unavailable(
        "failed",
        f"{FOREIGN} Nothing was sent to it. Restart the workspace: its new pod gets another"
        " address.",
    )


def missing_token(namespace: str, secret: str | None, error: ClusterError) -> Unavailable:
    """Return the error for a workspace's token that could not be read from its Secret."""
    match error:
        case NotFound():
            return Unavailable(
                "token",
                f"Its token is missing ({error.message}). Restart the workspace to create a new"
                " token.",
            )
        case Forbidden():
            return Unavailable(
                "secret",
                f"This server may not get Secret '{secret}' in namespace '{namespace}', which holds"
                " its token. Ask your administrator to allow it.",
            )
        case Unauthorized():
            return Unavailable(
                "cluster",
                "The cluster no longer accepts this server's credentials. Sign in to the cluster"
                " again.",
            )
    return Unavailable(
        "cluster",
        "The cluster does not answer, so the token of the workspace cannot be read. Trying again.",
    )
