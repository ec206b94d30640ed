"""Why a container is not started now, in words for the person who waits."""

from __future__ import annotations


class Waiting(Exception):
    """The container stays in state waiting with this reason and message, and is tried again after `seconds`."""

    def __init__(self, reason: str, message: str, seconds: float = 10.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.seconds = seconds


class ProgramMissing(Waiting):
    """The program for an image is not on this computer. Another image may have one."""

    def __init__(self, message: str, seconds: float = 10.0) -> None:
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
"""Of these, `ROOM`, `START` and `VOLUME_PENDING` heal by waiting; the others need the action in their message."""
