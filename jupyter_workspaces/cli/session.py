"""What all commands share: which server, which namespace, names on the command line, and asking before something is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from jupyter_workspaces.client import Client, Workspace, WorkspaceError
from jupyter_workspaces.common.terminal import printable

C = TypeVar("C", bound=Callable[..., Any])


class Session:
    """One run of the command line."""

    def __init__(self, url: str | None = None) -> None:
        self.url, self.namespace = url, None
        self._client: Client | None = None

    namespace: str | None

    @classmethod
    def of(cls, context: click.Context) -> Session:
        """That of a context; a new one while a command line is being completed."""
        return context.find_object(cls) or cls()

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(self.url, namespace=self.namespace)
        return self._client

    def workspace(self, name: str) -> Workspace:
        """By `NAME` or `NAMESPACE/NAME`. Raises `WorkspaceError`."""
        namespace, _, name = name.rpartition("/")
        try:
            return self.client.get(name, namespace or None)
        except WorkspaceError as error:
            if error.status == 404:
                error.hint = "`jupyter workspaces list` shows what there is."
            raise

    def address(self, workspace: Workspace) -> str:
        """How to name it on the next command line."""
        return (
            workspace.name
            if workspace.namespace == self.client.namespace
            else f"{workspace.namespace}/{workspace.name}"
        )

    def confirm(self, question: str) -> None:
        """Ask; no is the end. Raises `click.UsageError` where nobody can be asked."""
        question = printable(question)
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} Not a terminal: add --yes to confirm.")
        click.confirm(question, abort=True, err=True)

    # For completion: nothing is started for it, and what cannot be asked is silently no suggestion.

    def _asked_only(self) -> Client:
        return Client(self.url, namespace=self.namespace, start=False)

    def names(self, incomplete: str) -> list[str]:
        try:
            return _offered((one.name for one in self._asked_only().list()), incomplete)
        except WorkspaceError:
            return []

    def kind_names(self, incomplete: str) -> list[str]:
        try:
            return _offered((kind.name for kind in self._asked_only().kinds()), incomplete)
        except WorkspaceError:
            return []


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    """Names that begin so. One that is not printable is no name in Kubernetes, and the shell would write it as it is."""
    return [name for name in names if name.startswith(incomplete) and printable(name) == name]


pass_session = click.make_pass_decorator(Session)

workspace_argument = click.argument(
    "name", shell_complete=lambda context, _, incomplete: Session.of(context).names(incomplete)
)


def namespace_option(command: C) -> C:
    """`-n/--namespace`."""

    def set_namespace(
        context: click.Context, parameter: click.Parameter, value: str | None
    ) -> None:
        if value is not None:  # said before a subcommand, it also holds for that
            Session.of(context).namespace = value

    help_ = "Namespace. Default: JUPYTER_WORKSPACES_NAMESPACE, else the server's own."
    return click.option(
        "-n", "--namespace", expose_value=False, callback=set_namespace, help=help_
    )(command)
