"""Network interfaces by ioctl: permanent address, driver's firmware, and up.

Not by pyroute2: importing it costs more than everything else that the agent does before it reports (measured: 0.24 s
of 0.9 s, some seconds under emulation), for three requests that the kernel also answers to ioctl.
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
IFF_UP = 1
DRVINFO = struct.Struct("=I32s32s32s32s32s12sIIIII")


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
