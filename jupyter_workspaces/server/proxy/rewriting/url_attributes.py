"""Table of the HTML attributes that contain URLs, and patterns to find the URLs in them. Pure.

Sources: WHATWG HTML, “Attributes”; SVG 2; htmx, whose attributes are the most common non-standard
ones.
"""

from __future__ import annotations

import re

URL_ATTRIBUTES = frozenset(
    b"src href action formaction poster data cite background longdesc manifest xlink:href "
    b"hx-get hx-post hx-put hx-patch hx-delete".split()
)
"""Attributes whose value is a URL."""

PATH_MARK = b"workspace"
"""Text in every address of a workspace, however the rest of the address is escaped."""

_S = rb"[\t\n\f\r ]*"

URLS_IN_VALUE: dict[bytes, re.Pattern[bytes]] = {
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
"""Patterns for attributes that contain URLs: the text before a root-absolute URL, and the URL."""
URLS_IN_VALUE[b"imagesrcset"] = URLS_IN_VALUE[b"srcset"]

_ONE = b"|".join(sorted(map(re.escape, URL_ATTRIBUTES)))
_WHOLE = rb"(?i:%s)%s=%s[\"']?[\x00-\x20]*[/\\&hH]|(?i:imagesrcset|srcset|ping|content)%s=" % (
    _ONE,
    _S,
    _S,
    _S,
)

MAY_HAVE_URL = re.compile(rb"%s|(?i:url)\(" % _WHOLE)
"""Matches in every tag that has an absolute or root-absolute URL in one of these attributes."""

BEGINS_URL = rb"(?:%s|(?i:style)%s=%s(?:\"[^\"(]*\(|'[^'(]*\(|[^\t\n\f\r \"'>(]*\())" % (
    _WHOLE,
    _S,
    _S,
)
"""The same as a pattern for the beginning of an attribute."""
