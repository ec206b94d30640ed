"""Incremental checks of WebSocket frames (RFC 6455 §5), without buffering messages.

The proxy forwards frames as bytes. It needs only their boundaries, their validity and the size of
messages, so memory does not depend on the size of messages. No library is used: `wsproto` and
`websockets` decode frames instead of returning the bytes to forward, and aiohttp's and Tornado's
WebSockets hold whole messages.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

CLOSE = 0x8
PING = 0x9
_OPCODES = frozenset((0x0, 0x1, 0x2, CLOSE, PING, 0xA))
_CONTINUATION = 0x0
_CONTROL_BYTES = 125


@dataclass(frozen=True)
class Violation:
    """Why a WebSocket is closed: a close code (RFC 6455 §7.4.1) and a reason for people."""

    code: int
    reason: str


class FrameChecker:
    """Follows the frames of one direction, fed in pieces of any size.

    Holds at most an incomplete header (14 bytes).

    Attributes:
        violation: What is wrong with the last frame, None as long as all are valid.
    """

    def __init__(self, *, masked: bool, longest: int) -> None:
        """Start before the first frame.

        Args:
            masked: Whether frames must be masked, as those of clients.
            longest: Size limit of a message in bytes.
        """
        self.violation: Violation | None = None
        self._masked, self._longest = masked, longest
        self._held = b""
        self._left = 0  # of the payload of the current frame
        self._opcode = -1
        self._message = 0

    @property
    def between(self) -> bool:
        """Whether the last frame is complete, so that the proxy may insert one of its own."""
        return self._left == 0

    @property
    def closed(self) -> bool:
        """Whether a close frame has been forwarded, the last frame of its direction."""
        return self._opcode == CLOSE and self._left == 0

    def feed(self, data: bytes) -> bytes:
        """Return the part of `data` that may be forwarded.

        It ends before a frame that sets `violation`, and after a close frame.
        """
        if self._held:
            data, self._held = self._held + data, b""
        position, size = 0, len(data)
        while self.violation is None:
            step = min(self._left, size - position)
            self._left -= step
            position += step
            if self._left or position == size or self.closed:
                break
            header = self._parse_header(data, position)
            if not header:
                if self.violation is None:
                    self._held = data[position:]
                break
            position += header
        return data if position == size else data[:position]

    def _parse_header(self, data: bytes, position: int) -> int:
        """Return the length of the next frame's header; 0 if it is incomplete or a violation."""
        if len(data) - position < 2:
            return 0
        first, second = data[position], data[position + 1]
        opcode, length, header = first & 0x0F, second & 0x7F, 2
        if length >= 126:
            width = 2 if length == 126 else 8
            if len(data) - position < 2 + width:
                return 0
            length, header = (
                int.from_bytes(data[position + 2 : position + 2 + width], "big"),
                2 + width,
            )
        header += 4 if self._masked else 0
        if len(data) - position < header:
            return 0
        control = opcode >= CLOSE
        if first & 0x70 or opcode not in _OPCODES or bool(second & 0x80) != self._masked:
            self.violation = Violation(1002, "A frame violates the WebSocket protocol.")
        elif control and (length > _CONTROL_BYTES or not first & 0x80):
            self.violation = Violation(1002, "A control frame is too long or fragmented.")
        elif not control:
            self._message = length + (self._message if opcode == _CONTINUATION else 0)
            if self._message > self._longest:
                self.violation = Violation(
                    1009, f"A message is larger than {self._longest // 2**20} MiB."
                )
        if self.violation is not None:
            return 0
        self._opcode, self._left = opcode, length
        return header


def frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """Return a control frame. Frames of a client are masked with a random key."""
    assert len(payload) <= _CONTROL_BYTES
    if not masked:
        return bytes((0x80 | opcode, len(payload))) + payload
    key = os.urandom(4)
    return (
        bytes((0x80 | opcode, 0x80 | len(payload)))
        + key
        + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    )


def close_frame(violation: Violation, *, masked: bool) -> bytes:
    """Return a close frame with the violation's code and reason."""
    return frame(
        CLOSE,
        struct.pack("!H", violation.code) + violation.reason.encode()[: _CONTROL_BYTES - 2],
        masked=masked,
    )
