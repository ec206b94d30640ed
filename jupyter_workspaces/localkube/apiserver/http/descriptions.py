"""Responds to requests for descriptions of the API: discovery, OpenAPI, OpenID configuration."""

from __future__ import annotations

import re

from aiohttp import web

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.access.tokens import ALGORITHM, ISSUER, Keys
from jupyter_workspaces.localkube.apiserver.objects.rows import Registry
from jupyter_workspaces.localkube.apiserver.openapi import discovery
from jupyter_workspaces.localkube.apiserver.openapi.documents import Documents

from . import replies, status

_AGGREGATED = re.compile(
    r"application/json;\s*g=apidiscovery\.k8s\.io;\s*v=(v2|v2beta1);\s*as=APIGroupDiscoveryList",
    re.IGNORECASE,
)


class Descriptions:
    """Serves discovery, OpenAPI and the OpenID configuration of a server."""

    def __init__(self, registry: Registry, keys: Keys, version: str) -> None:
        """Create it.

        Args:
            registry: kinds of the API.
            keys: keys of service account tokens.
            version: version text of `/version`.
        """
        self._registry = registry
        self._keys = keys
        self._version = version
        self._openapi = Documents(registry)

    def answer(self, request: web.Request, parts: list[str], address: str) -> web.Response:
        """Respond to a path that is no resource.

        Args:
            request: the request.
            parts: decoded segments of the path.
            address: host and port of the server.

        Raises:
            Refusal: 404 in a built-in group, 405 for other methods than GET and HEAD.
        """
        if request.method not in ("GET", "HEAD"):
            raise status.method_not_allowed()
        accept, registry = request.headers.get("Accept", ""), self._registry
        aggregated = _AGGREGATED.search(accept)
        match parts:
            case ["version"]:
                return replies.answer(discovery.version(self._version))
            case [".well-known", "openid-configuration"]:
                return replies.answer(_openid(address))
            case ["openid", "v1", "jwks"]:
                return replies.answer(self._keys.public())
            case ["api"] | ["apis"] if aggregated:
                document = discovery.aggregated(registry, parts[0] == "api", aggregated[1])
                media = (
                    "application/json;g=apidiscovery.k8s.io;"
                    f"v={aggregated[1]};as=APIGroupDiscoveryList"
                )
                return replies.tagged(request, document, media)
            case ["api"]:
                return replies.answer(discovery.api_versions(address))
            case ["apis"]:
                return replies.answer(discovery.group_list(registry))
            case ["api", "v1"]:
                return replies.answer(discovery.resource_list(registry, "", "v1"))
            case ["apis", group] if group in registry.group_versions():
                return replies.answer(discovery.group(registry, group))
            case ["apis", group, version] if version in registry.group_versions().get(group, ()):
                return replies.answer(discovery.resource_list(registry, group, version))
            case ["openapi", "v2"] if accept and not any(
                media in accept for media in ("json", "*/*")
            ):
                return web.Response(status=406)
            case ["openapi", "v2"]:
                return replies.answer(self._openapi.v2())
            case ["openapi", "v3"]:
                return replies.answer(self._openapi.index())
            case ["openapi", "v3", *rest] if (
                described := self._openapi.document("/".join(rest))
            ) is not None:
                return replies.document(request, *described)
            case ["openapi", "v3", *_]:
                return web.Response(status=404)
        if (
            parts[0] == "apis"
            and len(parts) == 3
            and any(row.resource.group == parts[1] and not row.custom for row in registry)
        ):
            raise status.page_not_found()
        return no_page()


def no_page() -> web.Response:
    """Respond with 404 to a path that no API serves."""
    return web.Response(
        status=404, text="404 page not found\n", headers={"X-Content-Type-Options": "nosniff"}
    )


def _openid(address: str) -> Object:
    """Return how to verify service account tokens (OpenID Connect Discovery 1.0)."""
    return {
        "issuer": ISSUER,
        "jwks_uri": f"https://{address}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }
