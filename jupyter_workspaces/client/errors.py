"""Exceptions of the client: a message, a hint on what to do, and errors per field.

In a cell they render as text, without a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from jupyter_workspaces.common.terminal import indented, printable


class WorkspaceError(Exception):
    """A request failed.

    Attributes:
        message: What happened.
        hint: What to do next; may be empty.
        fields: Validation errors by field of the request body.
        status: HTTP status of the response; None without a response.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        fields: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        """Create the error; see the class for the arguments."""
        super().__init__(message)
        self.message, self.hint, self.fields, self.status = (
            message,
            hint,
            dict(fields or {}),
            status,
        )

    def __str__(self) -> str:
        """Return the message, safe for a terminal."""
        return indented(self.message)

    def _render_traceback_(
        self,
        etype: type[BaseException] | None = None,
        evalue: BaseException | None = None,
        tb: TracebackType | None = None,
        **_: object,
    ) -> Sequence[str]:
        """Return what IPython shows: message, fields and hint, without a traceback."""
        lines = [f"{type(self).__name__}: {self}"]
        lines += [f"  {printable(field)}: {indented(wrong)}" for field, wrong in self.details()]
        return [*lines, indented(self.hint)] if self.hint else lines

    def details(self) -> list[tuple[str, str]]:
        """Return the errors of `fields` that the message does not already contain."""
        shown, found = self.message.rstrip("."), []
        for field, wrong in self.fields.items():
            if wrong.rstrip(".") not in shown:
                found.append((field, wrong))
                shown += f"\n{wrong}"
        return found


class Unreachable(WorkspaceError):
    """The server, or the cluster behind it, does not respond."""


class TimedOut(WorkspaceError):
    """A wait reached its timeout. The operation itself continues."""
