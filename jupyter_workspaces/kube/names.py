"""Rules for label keys, label values and other qualified names.

Source: Kubernetes docs, "Labels and Selectors", Syntax and character set. The rules for names of
objects are those of DNS names (`common/dns_names.py`).
"""

from __future__ import annotations

import re

from jupyter_workspaces.common.dns_names import is_subdomain

NAME_LENGTH = 63
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


def has_name_characters(text: str) -> bool:
    """Return whether a text of any length has the characters of a label value and is not empty."""
    return _NAME.fullmatch(text) is not None


def is_name_part(text: str) -> bool:
    """Return whether a text can be the part of a label key after `/`."""
    return len(text) <= NAME_LENGTH and has_name_characters(text)


def is_qualified_name(text: str) -> bool:
    """Return whether a text is a label key: `name`, or `prefix/name` with a DNS subdomain."""
    prefix, slash, name = text.rpartition("/")
    return is_name_part(name) and (not slash or is_subdomain(prefix))


def is_label_value(text: str) -> bool:
    """Return whether a text is the value of a label, which may be empty."""
    return not text or is_name_part(text)
