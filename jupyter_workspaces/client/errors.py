"""What went wrong, as people read it: one sentence, one hint, and which field it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from jupyter_workspaces.common.terminal import indented, printable


class WorkspaceError(Exception):
    """Something that was asked for did not happen. `fields` maps a field of the request (contract §1.2) to what is wrong with it."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        fields: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.fields, self.status = (
            message,
            hint,
            dict(fields or {}),
            status,
        )

    def __str__(self) -> str:
        return indented(self.message)

    def _render_traceback_(
        self,
        etype: type[BaseException] | None = None,
        evalue: BaseException | None = None,
        tb: TracebackType | None = None,
        **_: object,
    ) -> Sequence[str]:
        """In a cell: the sentence and the hint. The lines of our code would not help anybody."""
        lines = [f"{type(self).__name__}: {self}"]
        lines += [f"  {printable(field)}: {indented(wrong)}" for field, wrong in self.details()]
        return [*lines, indented(self.hint)] if self.hint else lines

    def details(self) -> list[tuple[str, str]]:
        """Fields and what is wrong with them, without what the message or another field says already."""
        told, found = self.message.rstrip("."), []
        for field, wrong in self.fields.items():
            if wrong.rstrip(".") not in told:
                found.append((field, wrong))
                told += f"\n{wrong}"
        return found


class Unreachable(WorkspaceError):
    """The server, or the cluster behind it, does not answer."""


class TimedOut(WorkspaceError):
    """Something takes longer than one was ready to wait; it goes on all the same."""
