"""Header fields that contain a URL, a path or a host, and how their values are mapped. Pure.

`FIELDS` is one table for both directions. The browser's addresses are those of this server: its
public host and base URL. The program in a workspace sees the public host, and paths without the
base URL. `request_headers` and `response_headers` decide about fields that are not in the table.

`Host` is the host that the browser requested, as an ingress forwards it. So `Origin` and `Referer`
match it, and `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix` agree with it. A kind whose
program needs another host sets it by `httpProxy.requestHeaders`.

Sources: IANA's field-name registry, RFC 4918 (WebDAV), RFC 8288 (Link), CSP 3, WHATWG HTML and
Fetch, the source-map specification (ECMA-426), and the documentation of htmx, Unpoly and Turbo.

Values are bytes as Latin-1 text, as Tornado reads and writes them. So only ASCII white space
counts: the byte A0 may be a part of a letter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath


@dataclass(frozen=True)
class AddressMapping:
    """Public and upstream address of a workspace's port.

    Attributes:
        path: The mapping of paths.
        scheme: The scheme that the browser uses.
        is_trusted: Returns whether the administrator permits an origin.
    """

    path: PublicPath
    scheme: str = "http"
    is_trusted: Callable[[str], bool] = lambda origin: False

    @cached_property
    def origin(self) -> str:
        """The public origin."""
        return f"{self.scheme}://{self.path.public}"

    @cached_property
    def own_hosts(self) -> frozenset[str]:
        """Hosts that the program may use for itself, except the public one."""
        host, mark, port = self.path.upstream.lower().rpartition(":")
        if not mark or not port.isdecimal():
            host, port = self.path.upstream.lower(), "80"
        named = {
            f"{name}:{port}"
            for name in (host, "localhost", "127.0.0.1", "0.0.0.0", "[::1]", "[::]")
        }
        if port == "80":
            named |= {host}
        return frozenset(named - {self.path.public.lower()}) | {self.path.upstream.lower()}


_SPACE = " \t"
Map = Callable[[str, AddressMapping], "str | None"]
"""Maps a value. Returns None to drop the field."""


@dataclass(frozen=True)
class Field:
    """How a field's value is mapped. None leaves the value unchanged in that direction."""

    inward: Map | None = None
    outward: Map | None = None


def inward(name: str, value: str, addresses: AddressMapping) -> str | None:
    """Map a request header's value for the program. Returns None to drop it.

    `name` is in lower case.
    """
    field = FIELDS.get(name)
    return value if field is None or field.inward is None else field.inward(value, addresses)


def outward(name: str, value: str, addresses: AddressMapping) -> str | None:
    """Map a response header's value for the browser. Returns None to drop it.

    `name` is in lower case.
    """
    field = FIELDS.get(name)
    return value if field is None or field.outward is None else field.outward(value, addresses)


def _is_public(host: str, addresses: AddressMapping) -> bool:
    return host.lower() == addresses.path.public.lower()


# Inward


def _origin(value: str, addresses: AddressMapping) -> str:
    """Map permitted origins to the public one, because programs accept only that."""
    return (
        addresses.origin
        if addresses.is_trusted(value) and not _is_public(value.partition("://")[2], addresses)
        else value
    )


def _page(value: str, addresses: AddressMapping) -> str | None:
    """Map a page's URL, without its query. Returns None for other pages of this server."""
    scheme, mark, rest = value.partition("://")
    host, slash, target = rest.partition("/")
    if not mark or not _is_public(host, addresses):
        return value
    if not slash:
        return value
    page = re.split("[?#]", slash + target, maxsplit=1)[0]
    return (
        f"{scheme}://{host}{addresses.path.inward(page)}"
        if page.startswith(addresses.path.outer)
        else None
    )


def _resource(value: str, addresses: AddressMapping) -> str | None:
    """Map a URL or path with its query. Returns None for one of this server's other resources."""
    scheme, mark, rest = value.strip(_SPACE).partition("://")
    if not mark:
        if not value.startswith("/") or value.startswith("//"):
            return value
        return addresses.path.inward(value) if value.startswith(addresses.path.outer) else None
    host, slash, target = rest.partition("/")
    if not _is_public(host, addresses):
        return value
    path = slash + target
    return (
        f"{scheme}://{host}{addresses.path.inward(path)}"
        if path.startswith(addresses.path.outer)
        else None
    )


# In a quoted string `<` is an ordinary character. Each alternative also matches up to the end of
# the value, so that no bracket or quote is scanned twice.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|<([^>]*)(>|$)')


def _resources(value: str, addresses: AddressMapping) -> str:
    """Map the URLs in `<…>`, as in `Link` and WebDAV's `If`."""
    return _BRACKETS.sub(
        lambda found: (
            found[0] if found[1] is None else f"<{_resource(found[1], addresses) or ''}{found[2]}"
        ),
        value,
    )


# Outward


def address(value: str, addresses: AddressMapping) -> str:
    """Map a URL of the program to the browser's.

    Handles paths, and protocol-relative and absolute URLs at the public host, the pod's, and a
    loopback host with the program's port.
    """
    path = addresses.path
    read = value.strip(_SPACE)
    if "//" in read.replace("\\", "/")[:9]:
        try:
            host = urlsplit(read.replace("\\", "/")).netloc.lower()
        except ValueError:
            return path.outward(value)
        if host and host in addresses.own_hosts and host != path.upstream.lower():
            start = read.replace("\\", "/").index("//") + 2
            return path.outward(f"//{path.upstream}{read[start + len(host) :]}")
        if host and host == path.public.lower():
            mapped = path.outward(value)
            below = re.match(r"(?:https?:)?//[^/?#]*(/.*)", mapped, re.IGNORECASE | re.DOTALL)
            # The program may not know the browser's scheme, so a path below the workspace suffices.
            return below[1] if below is not None and below[1].startswith(path.outer) else mapped
    return path.outward(value)


def _links(value: str, addresses: AddressMapping) -> str:
    return _BRACKETS.sub(
        lambda found: (
            found[0] if found[1] is None else f"<{address(found[1], addresses)}{found[2]}"
        ),
        value,
    )


_REFRESH = re.compile(
    r"""\s*([0-9]+)(?:\.[0-9.]*)?\s*(?:[;,\s]\s*(?:url\s*=\s*)?(.*))?""", re.IGNORECASE | re.ASCII
)


def _refresh(value: str, addresses: AddressMapping) -> str | None:
    """Map the URL of a `Refresh` header, parsed as browsers do.

    Source: WHATWG HTML, “shared declarative refresh steps”.
    """
    match = _REFRESH.fullmatch(value)
    if match is None:
        return None
    target = (match[2] or "").strip(_SPACE)
    if target[:1] in ("'", '"'):
        target = target[1:].partition(target[0])[0]
    return f"{match[1]}; url={address(target, addresses)}" if target else match[1]


def _scope(value: str, addresses: AddressMapping) -> str:
    return addresses.path.confined(value.strip(_SPACE))


def _allowed_origin(value: str, addresses: AddressMapping) -> str | None:
    """Drop an `Access-Control-Allow-Origin` with the program's own host, which means our pages."""
    return None if value.strip(_SPACE).partition("://")[2].lower() in addresses.own_hosts else value


def _policy(value: str, addresses: AddressMapping) -> str:
    """Map the report URIs, and the sources with the program's host, of a CSP."""
    directives = []
    for directive in value.split(";"):
        words = re.split(r"([ \t]+)", directive)
        name = next((word.lower() for word in words if word.strip(_SPACE)), "")
        seen = False
        for index, word in enumerate(words):
            if not word.strip(_SPACE):
                continue
            if not seen:
                seen = True  # the directive's name
            elif name == "report-uri":
                words[index] = address(word, addresses)
            else:
                words[index] = _source(word, addresses)
        directives.append("".join(words))
    return ";".join(directives)


_SOURCE = re.compile(r"((?:https?|wss?)://)?([^/\s']+)(/\S*)?", re.IGNORECASE | re.ASCII)


def _source(word: str, addresses: AddressMapping) -> str:
    """Map a source of a policy. Browsers compare its path, if it has one, with the public path."""
    match = _SOURCE.fullmatch(word)
    if match is None or match[2].lower() not in addresses.own_hosts | {
        addresses.path.public.lower()
    }:
        return word
    path = addresses.path.outward_path(match[3]) if match[3] else ""
    return f"{match[1] or ''}{addresses.path.public}{path}"


def _address_or_json(value: str, addresses: AddressMapping) -> str:
    """Map htmx's `HX-Location`: a URL, or JSON with a URL as `path`."""
    if not value.lstrip().startswith("{"):
        return address(value, addresses)
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return value
    if isinstance(document.get("path"), str):
        document["path"] = address(document["path"], addresses)
    return json.dumps(document)


_ADDRESS = Field(outward=address)

FIELDS: dict[str, Field] = {
    # Both ways
    "content-location": Field(inward=_resource, outward=address),
    "link": Field(inward=_resources, outward=_links),
    # Requests (`request_headers` writes `host`, `x-forwarded-*` and `cookie`)
    "origin": Field(inward=_origin),
    "referer": Field(inward=_page),
    "destination": Field(inward=_resource),
    "if": Field(inward=_resources),
    "alt-used": Field(inward=lambda value, addresses: None),
    "hx-current-url": Field(inward=_page),
    "x-up-location": Field(inward=_page, outward=address),
    # Responses (`credentials` rebuilds `set-cookie`)
    "access-control-allow-origin": Field(outward=_allowed_origin),
    "content-security-policy": Field(outward=_policy),
    "content-security-policy-report-only": Field(outward=_policy),
    "location": _ADDRESS,
    "refresh": Field(outward=_refresh),
    "service-worker-allowed": Field(outward=_scope),
    "sourcemap": _ADDRESS,
    "x-sourcemap": _ADDRESS,
    "hx-location": Field(outward=_address_or_json),
    "hx-push-url": _ADDRESS,
    "hx-redirect": _ADDRESS,
    "hx-replace-url": _ADDRESS,
    "turbo-location": _ADDRESS,
    "turbolinks-location": _ADDRESS,
    "x-inertia-location": _ADDRESS,
    "x-pjax-url": _ADDRESS,
}
