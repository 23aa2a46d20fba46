"""Network interfaces by ioctl: permanent address, driver's firmware, fastest link mode, and up.

Not by pyroute2: importing it costs more than everything else that the agent does before it reports (measured: 0.24 s
of 0.9 s, some seconds under emulation), for four requests that the kernel also answers to ioctl.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct

SIOCETHTOOL = 0x8946
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
ETHTOOL_GDRVINFO = 0x03
ETHTOOL_GPERMADDR = 0x20
ETHTOOL_GLINKSETTINGS = 0x4C
IFF_UP = 1
DRVINFO = struct.Struct("=I32s32s32s32s32s12sIIIII")
LINK_SETTINGS = struct.Struct("=II7Bb4B28x")
"""struct ethtool_link_settings up to its masks; the signed byte counts the 32-bit words of each mask."""

_MODES: tuple[tuple[int, tuple[int | tuple[int, int], ...]], ...] = (
    (10, ((0, 1), 92, (99, 101))),
    (100, ((2, 3), 67, (90, 91))),
    (1000, ((4, 5), 17, 41, 68)),
    (2500, (15, 47)),
    (5000, (48,)),
    (10_000, (12, (18, 20), (42, 46))),
    (20_000, ((21, 22),)),
    (25_000, ((31, 33),)),
    (40_000, ((23, 26),)),
    (50_000, ((34, 35), 40, (52, 56))),
    (56_000, ((27, 30),)),
    (100_000, ((36, 39), (57, 61), (75, 79))),
    (200_000, ((62, 66), (80, 84))),
    (400_000, ((69, 73), (85, 89))),
    (800_000, ((93, 98),)),
)
"""Mbit/s and the bits of enum ethtool_link_mode_bit_indices (linux/ethtool.h) that mean this speed, ends included. Bits
that are no speeds (autonegotiation, kinds of ports, pause, FEC) and those of later kernels are absent."""


class Ethtool:
    """Every method raises OSError when the driver does not know the request."""

    def permanent(self, name: str) -> bytes:
        """The address that the port was made with (struct ethtool_perm_addr)."""
        data = self._ethtool(name, struct.pack("=II32s", ETHTOOL_GPERMADDR, 32, b""))
        _, size = struct.unpack_from("=II", data)
        return data[8 : 8 + size]

    def firmware(self, name: str) -> str:
        """fw_version of struct ethtool_drvinfo."""
        data = self._ethtool(name, DRVINFO.pack(ETHTOOL_GDRVINFO, *([b""] * 6), *([0] * 5)))
        raw: bytes = DRVINFO.unpack(data)[3]
        return raw.split(b"\0")[0].decode("utf-8", "replace").strip()

    def fastest(self, name: str) -> int | None:
        """The fastest link mode that the port supports, in Mbit/s, also while there is no link; None when the driver
        names none (virtual ports). The kernel tells the masks' length when asked with 0 words, as a negative number."""
        asked = self._ethtool(name, LINK_SETTINGS.pack(ETHTOOL_GLINKSETTINGS, *[0] * 13))
        words = -LINK_SETTINGS.unpack(asked)[9]
        if words <= 0:
            return None
        request = LINK_SETTINGS.pack(ETHTOOL_GLINKSETTINGS, *[0] * 8, words, *[0] * 4) + bytes(3 * 4 * words)
        data = self._ethtool(name, request)
        return fastest_mode(struct.unpack_from(f"={words}I", data, LINK_SETTINGS.size))

    def up(self, name: str) -> None:
        """Like ``ip link set NAME up``."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = struct.pack("16sH14x", name.encode(), 0)
            flags = struct.unpack_from("16sH", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
            if not flags & IFF_UP:
                fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), flags | IFF_UP))

    def _ethtool(self, name: str, command: bytes) -> bytes:
        buffer = array.array("B", command)
        request = struct.pack("16sP16x", name.encode(), buffer.buffer_info()[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, SIOCETHTOOL, request)
        return buffer.tobytes()


def fastest_mode(supported: tuple[int, ...]) -> int | None:
    """The highest speed in a mask of link modes, given as 32-bit words, lowest bits first."""
    mask = sum(word << 32 * index for index, word in enumerate(supported))
    return max((speed for speed, bits in _MODES if any(_has(mask, entry) for entry in bits)), default=None)


def _has(mask: int, bits: int | tuple[int, int]) -> bool:
    first, last = bits if isinstance(bits, tuple) else (bits, bits)
    return bool(mask >> first & (1 << last - first + 1) - 1)
