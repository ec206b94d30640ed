"""Identities of the local cluster's own parts, and the key that signs service account tokens.

Controllers, node and workspace controller authenticate with a token each, which is generated at
the start of the process and never stored.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.localkube.apiserver.access.tokens import Keys
from jupyter_workspaces.localkube.apiserver.access.users import AUTHENTICATED, MASTERS, User
from jupyter_workspaces.localkube.directory import Directory

log = logging.getLogger(__name__)

CONTROLLERS = "system:kube-controller-manager"
WORKSPACES = "system:jupyter-workspaces-controller"
NODE = "system:node:local"
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Identities:
    """Tokens of the cluster's parts by user name; all of them have all rights."""

    tokens: Mapping[str, str] = field(repr=False)

    @classmethod
    def generate(cls) -> Identities:
        """Return new tokens for all parts."""
        return cls(
            {name: secrets.token_urlsafe(_TOKEN_BYTES) for name in (CONTROLLERS, WORKSPACES, NODE)}
        )

    @property
    def users(self) -> dict[str, User]:
        """Users by token, as the API server authenticates them."""
        return {token: User(name, (MASTERS, AUTHENTICATED)) for name, token in self.tokens.items()}

    def endpoint(self, api: Endpoint, name: str) -> Endpoint:
        """Return the endpoint of the API with the token of the user `name`."""
        held = self.tokens[name]

        async def token() -> str:
            return held

        return replace(api, token=token)


def keys(directory: Directory) -> Keys:
    """Return the key that signs service account tokens, which is created at the first start.

    Raises:
        LocalClusterError: The key cannot be read or stored.
    """
    try:
        return Keys.load(directory.account_key.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError:
        log.warning(
            "Cannot use the key of service account tokens in %s. Creating a new one; tokens that "
            "were issued before are no longer valid.",
            directory.account_key,
        )
    except OSError as error:
        raise directory.refused(directory.account_key, error) from error
    made = Keys.generate()
    directory.write(directory.account_key, made.pem())
    return made
