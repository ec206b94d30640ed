"""The panel as one widget: table, cards and form, with static output for saved notebooks."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import ipywidgets as widgets
from IPython.display import publish_display_data

from jupyter_workspaces.client import portal

from . import static_output
from .form import Form
from .protocols import PanelClient
from .session import Message, Session
from .table import Table

FIRST_ANSWER_LIMIT = 3.0  # seconds that a cell waits for the first rows


class Panel(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Live panel that lists, opens, pauses, resumes, deletes and creates workspaces."""

    def __init__(
        self, connect: Callable[[], Awaitable[PanelClient]], namespace: str | None = None
    ) -> None:
        """Create a panel and wait shortly for its first rows.

        Args:
            connect: Returns the client of the server.
            namespace: Namespace to list, `"*"` for all; None for the server's own.
        """
        here = weakref.ref(self)

        def tell(message: Message) -> None:
            panel = here()
            if panel is None:
                session.disconnect()
            elif hasattr(panel, "table"):
                panel.table.send(message)

        self._session = session = Session(connect, namespace, tell)
        portal.call(session.open)
        session.answered.wait(FIRST_ANSWER_LIMIT)
        self.table = Table(lambda message: portal.call(session.handle, message), session.first)
        self.form = Form(session)
        super().__init__([self.table, self.form.cards, self.form.box], layout={"width": "100%"})
        self.add_class("jp-ClusterWorkspacesPanel")
        portal.call(self._wire)

    def _wire(self) -> None:
        # The session may only write to the widgets from here on, when all of them exist.
        self._session.on_kinds = self.form.kinds_changed
        self._session.on_rows = self.form.rows_changed
        self.form.kinds_changed()
        self.table.send({"type": "snapshot", **self._session.first()})

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows that the table shows."""
        return self._session.model.rows()

    def close(self) -> None:
        """Disconnect, and remove the panel from the page."""
        portal.start(self._session.close(), "Closing a panel")
        for part in (self.table, self.form.cards, self.form.box):
            part.close()
        super().close()

    def __repr__(self) -> str:
        """Return the rows as text."""
        return static_output.text(self.rows, self._session.first())

    def _ipython_display_(self) -> None:
        """Show the widget, and a static table for pages without widgets, which it hides."""
        first = self._session.first()
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        table = {
            "text/html": static_output.html(self.rows, first, self.table.fallback),
            "text/plain": static_output.text(self.rows, first),
        }
        for bundle in (
            {"application/vnd.jupyter.widget-view+json": view, "text/plain": "Cluster Workspaces"},
            table,
        ):
            publish_display_data(bundle)
