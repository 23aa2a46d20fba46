"""What went over the rack's wire: a capture, its TCP streams put together, and what is looked for in them."""

from __future__ import annotations

import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader

from appliance.rehearsal.namespace import BRIDGE, Namespace

PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
REQUEST = re.compile(rb"^(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (\S+) HTTP/1\.[01]\r\n", re.MULTILINE)


class Capture:
    """tcpdump on the rack's bridge, from the first packet on."""

    def __init__(self, namespace: Namespace, path: Path) -> None:
        self.path = path
        argv = ["tcpdump", "-i", BRIDGE, "-U", "-w", str(path), "-B", "16384", "-s", "0"]
        self._log = path.with_suffix(".log").open("wb")
        self._process = subprocess.Popen(
            namespace.command(argv), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 20
        while not path.exists() or path.stat().st_size < 24:
            assert self._process.poll() is None, path.with_suffix(".log").read_text()
            assert time.monotonic() < deadline, "tcpdump did not start"
            time.sleep(0.1)

    def stop(self) -> None:
        """End it; nothing was dropped, or the capture proves nothing."""
        self._process.terminate()
        self._process.wait(timeout=20)
        self._log.close()
        said = self.path.with_suffix(".log").read_text()
        assert re.search(r"^0 packets dropped by kernel", said, re.MULTILINE), said


def packets(path: Path) -> Iterator[Ether]:
    with RawPcapReader(str(path)) as reader:
        for raw, _ in reader:
            yield Ether(raw)


class Wire:
    """``streams`` maps (source port, destination port, peer) to the bytes of one direction; ``datagrams`` are UDP payloads
    with their ports."""

    def __init__(self, path: Path) -> None:
        pieces: dict[tuple[str, int, str, int], dict[int, bytes]] = defaultdict(dict)
        self.datagrams: list[tuple[int, int, bytes]] = []
        for packet in packets(path):
            if not packet.haslayer(IP):
                continue
            address = packet[IP]
            if address.haslayer(TCP):
                segment = address[TCP]
                data = bytes(segment.payload)[: address.len - address.ihl * 4 - segment.dataofs * 4]
                key = (address.src, segment.sport, address.dst, segment.dport)
                if data and len(data) >= len(pieces[key].get(segment.seq, b"")):
                    pieces[key][segment.seq] = data
            elif address.haslayer(UDP):
                datagram = address[UDP]
                self.datagrams.append((datagram.sport, datagram.dport, bytes(datagram.payload)))
        self.streams = {key: _join(parts) for key, parts in pieces.items()}

    def contains(self, needle: bytes) -> bool:
        """Is ``needle`` in any direction of any connection, or in any datagram?"""
        if any(needle in stream for stream in self.streams.values()):
            return True
        return any(needle in payload for _, _, payload in self.datagrams)

    def requests(self, port: int) -> set[tuple[str, str]]:
        """(method, path without query) of the plain HTTP requests to ``port``."""
        found = set()
        for (_, _, _, to), stream in self.streams.items():
            if to == port:
                for method, path in REQUEST.findall(stream):
                    found.add((method.decode(), path.decode().split("?")[0]))
        return found

    def ports(self, address: str) -> set[int]:
        """TCP ports of ``address`` that were spoken to."""
        return {port for (_, _, to, port) in self.streams if to == address}


def _join(parts: dict[int, bytes]) -> bytes:
    """Segments in the order of their sequence numbers; what was sent twice is taken once. Sequence numbers may wrap."""
    first = min(parts)
    if max(parts) - first > 1 << 31:
        parts = {(number if number > 1 << 31 else number + (1 << 32)): data for number, data in parts.items()}
        first = min(parts)
    joined = bytearray()
    at = first
    for number in sorted(parts):
        data = parts[number]
        if number + len(data) <= at:
            continue
        joined += data[max(0, at - number) :]
        at = number + len(data)
    return bytes(joined)


def secrets_of(state: Path) -> dict[str, list[bytes]]:
    """Everything in the appliance's state that must never be on the wire: file → byte strings to look for.

    Private keys are looked for as PEM, as DER and as the bare number; small files without a key (tokens, the key that
    seals the database) as they are, as text, and as base64 would hold them.
    """
    found: dict[str, list[bytes]] = {}
    for path in sorted(state.rglob("*")):
        if not path.is_file() or path.stat().st_size > 1 << 20:
            continue
        raw = path.read_bytes()
        name = str(path.relative_to(state))
        for pem in PRIVATE.findall(raw):
            found.setdefault(name, []).extend(_forms_of_key(pem))
        if path.stat().st_mode & 0o077 == 0 and 16 <= len(raw.strip()) <= 128 and name not in found:
            found[name] = [raw.strip()]
    return found


def _forms_of_key(pem: bytes) -> list[bytes]:
    key: PrivateKeyTypes = serialization.load_pem_private_key(pem, None)
    forms = [
        key.private_bytes(encoding, layout, serialization.NoEncryption())
        for encoding in (serialization.Encoding.DER, serialization.Encoding.PEM)
        for layout in (serialization.PrivateFormat.PKCS8,)
    ]
    numbers = getattr(key, "private_numbers", None)
    if numbers is not None:
        forms.append(numbers().private_value.to_bytes(32, "big"))
    else:
        forms.append(key.private_bytes_raw())  # type: ignore[union-attr]
    body = b"".join(pem.splitlines()[1:-1])
    return [*forms, body[8:56]]
