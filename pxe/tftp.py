"""TFTP without sockets: requests, options and the state of one transfer (RFC 1350, 2347, 2348, 2349, 7440).

Only reading, only ``octet``. ``netascii`` is refused: no boot firmware needs it, and it would spoil every binary.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

DEFAULT_BLOCK = 512
SMALLEST_BLOCK, LARGEST_BLOCK = 8, 65464
#: IPv4, UDP and TFTP headers: what a block may not use of the MTU, so that nothing is fragmented.
HEADERS = 20 + 8 + 4
LARGEST_WINDOW = 64
LONGEST_NAME = 512


class Opcode(IntEnum):
    """RFC 1350 §5, RFC 2347."""

    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


class ErrorCode(IntEnum):
    """RFC 1350 appendix, RFC 2347."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS = 2
    DISK_FULL = 3
    ILLEGAL = 4
    UNKNOWN_TRANSFER = 5
    OPTIONS = 8


class RefusedRequestError(ValueError):
    """A request that gets an ERROR packet. ``counter`` is a short name of the reason."""

    def __init__(self, code: ErrorCode, counter: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.counter = counter


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """``name`` is relative, with forward slashes and no ``..``. ``options`` are lower case, in the client's order."""

    name: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed. ``accepted`` is the content of the OACK; empty means that none is sent."""

    block: int = DEFAULT_BLOCK
    window: int = 1
    timeout: float = 1.0
    accepted: tuple[tuple[str, str], ...] = ()


def parse_request(data: bytes) -> ReadRequest:
    """A packet to port 69. Raises `RefusedRequestError`."""
    if len(data) < 4 or data[0] != 0:
        raise RefusedRequestError(ErrorCode.ILLEGAL, "malformed", "not a TFTP request")
    if data[1] == Opcode.WRQ:
        raise RefusedRequestError(ErrorCode.ACCESS, "write", "this server only reads")
    if data[1] != Opcode.RRQ:
        raise RefusedRequestError(ErrorCode.ILLEGAL, "malformed", f"opcode {data[1]} is not a read request")
    fields = data[2:].split(b"\0")
    if len(fields) < 3:
        raise RefusedRequestError(ErrorCode.ILLEGAL, "malformed", "the request is cut off")
    mode = fields[1].lower()
    if mode != b"octet":
        shown = mode[:16].decode("ascii", "replace")
        raise RefusedRequestError(ErrorCode.ILLEGAL, "mode", f"mode {shown} is not served, use octet (binary)")
    options: dict[str, str] = {}
    for name, value in zip(fields[2:-1:2], fields[3:-1:2], strict=False):
        options.setdefault(name.decode("ascii", "replace").lower(), value.decode("ascii", "replace"))
    return ReadRequest(name=clean_name(fields[0]), options=options)


def clean_name(raw: bytes) -> str:
    """The name relative to our root. Backslashes are Windows loaders', bytes FF at the end are Intel ROMs' that read past
    an option that is not terminated. Raises `RefusedRequestError` for anything that climbs or is no text."""
    try:
        name = raw.rstrip(b"\xff").decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedRequestError(ErrorCode.NOT_FOUND, "name", "the file name is not text") from error
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or len(name) > LONGEST_NAME or not name.isprintable():
        raise RefusedRequestError(ErrorCode.NOT_FOUND, "name", "the file name is empty, too long or not printable")
    if ".." in parts:
        raise RefusedRequestError(ErrorCode.ACCESS, "traversal", "the file name leaves the folder")
    return "/".join(parts)


def negotiate(options: Mapping[str, str], *, size: int, mtu: int) -> Terms:
    """Accept what we can, in the client's order; unknown options and impossible values are left out (RFC 2347)."""
    block, window, timeout = DEFAULT_BLOCK, 1, 1.0
    accepted: list[tuple[str, str]] = []
    for name, text in options.items():
        value = int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else None
        if value is None:
            continue
        if name == "blksize" and value >= SMALLEST_BLOCK:
            block = min(value, LARGEST_BLOCK, max(mtu - HEADERS, DEFAULT_BLOCK))
            accepted.append((name, str(block)))
        elif name == "tsize":
            accepted.append((name, str(size)))
        elif name == "timeout" and 1 <= value <= 255:
            timeout = float(value)
            accepted.append((name, text))
        elif name == "windowsize" and 1 <= value <= 65535:
            window = min(value, LARGEST_WINDOW)
            accepted.append((name, str(window)))
    return Terms(block=block, window=window, timeout=timeout, accepted=tuple(accepted))


def oack(terms: Terms) -> bytes:
    """Option acknowledgement."""
    body = b"".join(f"{name}\0{value}\0".encode("ascii") for name, value in terms.accepted)
    return struct.pack("!H", Opcode.OACK) + body


def error(code: ErrorCode, message: str) -> bytes:
    """An ERROR packet; the text is for the console of the machine."""
    return struct.pack("!HH", Opcode.ERROR, code) + message.encode("utf-8", "replace")[:400] + b"\0"


class Transfer:
    """Which blocks to send next: a sliding window over a file of known size. Block numbers here never roll over; on the
    wire they do, to 0 (what every known firmware expects)."""

    __slots__ = ("acked", "again", "blocks", "sent", "terms")

    def __init__(self, size: int, terms: Terms) -> None:
        self.terms = terms
        #: The last block is shorter than the others, and may be empty.
        self.blocks = size // terms.block + 1
        self.acked = -1 if terms.accepted else 0
        self.sent = 0
        self.again = -1

    @property
    def done(self) -> bool:
        """All blocks are acknowledged."""
        return self.acked >= self.blocks

    def acknowledge(self, number: int) -> bool:
        """Take an ACK; True when there is something to send now.

        A duplicate is ignored in lock step, or both sides would send everything twice for ever (RFC 1123 §4.2.3.1). In a
        window an ACK of less than the whole window means that a block was lost: go back to it, once per place.
        """
        if self.acked < 0:
            # Only ACK 0 answers an OACK.
            if number != 0:
                return False
            self.acked = 0
            return True
        absolute = self.acked + ((number - self.acked) & 0xFFFF)
        if absolute > self.sent:
            return False
        if absolute == self.acked:
            if self.terms.window == 1 or self.sent == self.acked or self.again == absolute:
                return False
            self.again = absolute
            self.sent = absolute
            return True
        self.acked = absolute
        if absolute < self.sent:
            self.again = absolute
            self.sent = absolute
        return not self.done

    def upcoming(self) -> range:
        """Blocks (1 …) to send now; the caller reports them by `advance`."""
        return range(self.sent + 1, min(self.acked + self.terms.window, self.blocks) + 1)

    def advance(self, last: int) -> None:
        """Blocks up to ``last`` were sent."""
        self.sent = last

    def rewind(self) -> None:
        """A timeout: send the window again."""
        if self.acked >= 0:
            self.sent = self.acked
            self.again = -1
