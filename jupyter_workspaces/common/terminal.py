"""Escapes text from the cluster so that it is safe in a terminal.

Escaped are C0 and C1 control characters and DEL, bidirectional and other invisible format
characters (Unicode categories Cc, Cf, Zl and Zp, and fillers), and lone surrogates. Unicode
Technical Report 36 and CVE-2021-42574 describe what they can do.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any

_UNSAFE_RANGES = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSAFE = re.compile(f"[{_UNSAFE_RANGES}]")
_COLOUR = r"\x1b\[[0-9;:]*m"  # SGR, Select Graphic Rendition (ECMA-48 §8.3.117)
_UNSAFE_OUTPUT = re.compile(rf"{_COLOUR}|(?![\n\t])[{_UNSAFE_RANGES}]")
_NO_COLOUR = "\x1b[0m"


def printable(text: str) -> str:
    r"""Return text for one line, with control and invisible characters as `\x1b` or `\u202e`."""
    return _UNSAFE.sub(lambda found: _escaped(found[0]), text)


def indented(text: str) -> str:
    """Return `printable` text with its lines; lines after the first are indented.

    So no line of the text can be taken for a line of the program.
    """
    return "\n    ".join(printable(line) for line in text.split("\n"))


def output(text: str) -> str:
    """Return text with line breaks, tabs and colours (SGR sequences), else as `printable`."""
    safe = _UNSAFE_OUTPUT.sub(
        lambda found: found[0] if len(found[0]) > 1 else _escaped(found[0]), text
    )
    return safe + _NO_COLOUR if "\x1b" in safe and not safe.endswith(_NO_COLOUR) else safe


def log_line(line: str) -> str:
    """Return a line of a program's log with its colours, which end with the line."""
    return output(line.rstrip("\r\n")).replace("\n", "\\n")


def to_json(
    data: Any, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    """Return JSON with readable Unicode; unsafe characters are escaped as JSON does it."""
    text = json.dumps(data, indent=indent, ensure_ascii=False, default=default)
    return "\n".join(
        _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], line) for line in text.split("\n")
    )


def to_yaml(data: Any) -> str:
    """Return YAML with readable Unicode, or all of it escaped if there are unsafe characters."""
    import yaml

    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if _UNSAFE.search(text.replace("\n", "")) is not None:
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=False)
    return text.rstrip()


class SafeRecords(logging.Filter):
    """Makes log records safe before they are formatted; add it to a handler.

    Lines after the first, and tracebacks, are indented.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape the message and the traceback of a record."""
        record.msg, record.args = indented(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = "    " + indented(record.exc_text)
        return True


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
