"""Who the embedded cluster's own parts are: an identity for each, by a token that lives as long as the process, and the key of service accounts."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.localkube.apiserver.access.tokens import Keys
from jupyter_workspaces.localkube.apiserver.access.users import AUTHENTICATED, MASTERS, User
from jupyter_workspaces.localkube.directory import Directory, refused, write

log = logging.getLogger(__name__)

CONTROLLERS = "system:kube-controller-manager"
WORKSPACES = "system:jupyter-workspaces-controller"
NODE = "system:node:local"
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Identities:
    """Tokens by the names of those who have them; all of them may everything."""

    tokens: Mapping[str, str] = field(repr=False)

    @classmethod
    def generate(cls) -> Identities:
        return cls(
            {name: secrets.token_urlsafe(_TOKEN_BYTES) for name in (CONTROLLERS, WORKSPACES, NODE)}
        )

    @property
    def users(self) -> dict[str, User]:
        """Users by their tokens."""
        return {token: User(name, (MASTERS, AUTHENTICATED)) for name, token in self.tokens.items()}

    def endpoint(self, of: Endpoint, name: str) -> Endpoint:
        """The same API, signed in as one of them."""
        held = self.tokens[name]

        async def token() -> str:
            return held

        return replace(of, token=token)


def keys(directory: Directory) -> Keys:
    """The key that signs service accounts' tokens, made at the first start and kept. Raises `LocalClusterError`."""
    try:
        return Keys.load(directory.account_key.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError:
        log.warning(
            "The key of service accounts' tokens is of no use: a new one is made, and tokens made before are no longer good"
        )
    except OSError as error:
        raise refused(directory.account_key, error) from error
    made = Keys.generate()
    write(directory.account_key, made.pem())
    return made
