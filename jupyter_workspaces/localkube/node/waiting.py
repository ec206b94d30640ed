"""Why a container cannot be started at present: reasons and messages of its waiting state.

Messages are for users. They become the message of the container's state `waiting`, an event, and
the message of the workspace.
"""

from __future__ import annotations


class Waiting(Exception):
    """A container cannot be started at present.

    The container stays in the state `waiting`, and its start is retried.
    """

    def __init__(self, reason: str, message: str, seconds: float = 10.0) -> None:
        """Create the error.

        Args:
            reason: Reason of the waiting state, in CamelCase.
            message: What is missing, with its name, and what to do.
            seconds: Seconds until the next attempt.
        """
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.seconds = seconds


class ProgramMissing(Waiting):
    """The program for an image is not on this computer. Another image may have one."""

    def __init__(self, message: str, seconds: float = 10.0) -> None:
        """Create the error; see `Waiting`."""
        super().__init__(IMAGE, message, seconds)

    def with_hint(self, hint: str) -> ProgramMissing:
        """Return the same error with a sentence added that names an image to use instead."""
        return ProgramMissing(f"{self.message} {hint}", self.seconds)


CONFIG = "CreateContainerConfigError"
IMAGE = "ImageNotAvailable"
READ_ONLY = "ReadOnlyVolumeNotPossible"
SIDE_CAR = "SideCarNotPossible"
ROOM = "WaitingForRoom"
START = "StartNotPossible"
VOLUME = "VolumeNotPossible"
VOLUME_PENDING = "VolumeNotReady"
"""`ROOM`, `START` and `VOLUME_PENDING` resolve themselves; the others need a user's action."""
