"""State that all commands share: server and namespace, lookup of names, and confirmations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from jupyter_workspaces.client import Client, Workspace, WorkspaceError
from jupyter_workspaces.common.terminal import printable

C = TypeVar("C", bound=Callable[..., Any])


class CommandState:
    """State of one invocation of the command line."""

    def __init__(self, url: str | None = None) -> None:
        """Create the state; `url` is the server's, discovered by default."""
        self.url, self.namespace = url, None
        self._client: Client | None = None

    namespace: str | None

    @classmethod
    def of(cls, context: click.Context) -> CommandState:
        """Return the state of a context; a new one during shell completion."""
        return context.find_object(cls) or cls()

    @property
    def client(self) -> Client:
        """Client of the server; created on first use."""
        if self._client is None:
            self._client = Client(self.url, namespace=self.namespace)
        return self._client

    def workspace(self, name: str) -> Workspace:
        """Return a workspace by `NAME` or `NAMESPACE/NAME`. Raises `WorkspaceError`."""
        namespace, _, name = name.rpartition("/")
        try:
            return self.client.get(name, namespace or None)
        except WorkspaceError as error:
            if error.status == 404:
                error.hint = "`jupyter workspaces list` shows all workspaces."
            raise

    def address(self, workspace: Workspace) -> str:
        """Return `NAME`, or `NAMESPACE/NAME` if it is not in the default namespace."""
        return (
            workspace.name
            if workspace.namespace == self.client.namespace
            else f"{workspace.namespace}/{workspace.name}"
        )

    def confirm(self, question: str) -> None:
        """Ask for confirmation. Exits on no. Raises `click.UsageError` without a terminal."""
        question = printable(question)
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} Not running in a terminal: add --yes to confirm.")
        click.confirm(question, abort=True, err=True)

    # Shell completion never starts a server; without one there are no suggestions.

    def _running_server(self) -> Client:
        return Client(self.url, namespace=self.namespace, start=False)

    def names(self, incomplete: str) -> list[str]:
        """Return workspace names for shell completion."""
        try:
            return _offered((one.name for one in self._running_server().list()), incomplete)
        except WorkspaceError:
            return []

    def kind_names(self, incomplete: str) -> list[str]:
        """Return names of workspace kinds for shell completion."""
        try:
            return _offered((kind.name for kind in self._running_server().kinds()), incomplete)
        except WorkspaceError:
            return []


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that start with `incomplete`.

    Skips unprintable names, which the shell would write to the terminal unescaped.
    """
    return [name for name in names if name.startswith(incomplete) and printable(name) == name]


pass_state = click.make_pass_decorator(CommandState)

workspace_argument = click.argument(
    "name", shell_complete=lambda context, _, incomplete: CommandState.of(context).names(incomplete)
)


def namespace_option(command: C) -> C:
    """Add `-n/--namespace`."""

    def set_namespace(
        context: click.Context, parameter: click.Parameter, value: str | None
    ) -> None:
        if value is not None:  # given before a subcommand, it also applies to it
            CommandState.of(context).namespace = value

    help_ = "Namespace. Default: JUPYTER_WORKSPACES_NAMESPACE, else the server's."
    return click.option(
        "-n", "--namespace", expose_value=False, callback=set_namespace, help=help_
    )(command)
