"""Which attributes of HTML hold URLs, and where in their values these are. Pure.

Sources: WHATWG HTML, "Attributes"; SVG 2; htmx, whose attributes are the commonest that are not standard.
"""

from __future__ import annotations

import re

URL_ATTRIBUTES = frozenset(
    b"src href action formaction poster data cite background longdesc manifest xlink:href hx-get hx-post hx-put hx-patch hx-delete".split()
)
"""Attributes that are one URL."""

PATH = b"workspace"
"""What each address of a workspace has in it, in whatever way the rest is escaped."""

_S = rb"[\t\n\f\r ]*"

WITHIN: dict[bytes, re.Pattern[bytes]] = {
    b"srcset": re.compile(rb"((?:^|,)%s)(/(?!/)[^\t\n\f\r ,]*)" % _S),
    b"ping": re.compile(rb"((?:^|[\t\n\f\r ]))(/(?!/)[^\t\n\f\r ]*)"),
    b"style": re.compile(
        rb"""((?i:url)\(%s(?:["']|&quot;|&#39;)?)(/(?!/)[^"'()&\t\n\f\r ]*)""" % _S
    ),
    b"content": re.compile(
        rb"""(^%(s)s[0-9.]+%(s)s[;,]%(s)s(?:(?i:url)%(s)s=%(s)s)?["']?)(/(?!/)[^"']*)"""
        % {b"s": _S}
    ),
}
"""Attributes with URLs in them: what stands in front of a root-absolute URL, and the URL."""
WITHIN[b"imagesrcset"] = WITHIN[b"srcset"]

_ONE = b"|".join(sorted(map(re.escape, URL_ATTRIBUTES)))
_WHOLE = rb"(?i:%s)%s=%s[\"']?[\x00-\x20]*[/\\&hH]|(?i:imagesrcset|srcset|ping|content)%s=" % (
    _ONE,
    _S,
    _S,
    _S,
)

MAY_HAVE_URL = re.compile(rb"%s|(?i:url)\(" % _WHOLE)
"""Found in each tag that has an absolute or root-absolute URL in one of these attributes."""

BEGINS_URL = rb"(?:%s|(?i:style)%s=%s(?:\"[^\"(]*\(|'[^'(]*\(|[^\t\n\f\r \"'>(]*\())" % (
    _WHOLE,
    _S,
    _S,
)
"""Pattern of the same at the beginning of an attribute."""
