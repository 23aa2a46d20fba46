"""Why the boot servers could not start or could not understand something.

::

    PxeError
    ├── InterfaceError        a named interface is absent, down, or has no address that fits a pool
    ├── PortError             a port is taken by another program, or may not be opened
    ├── ForeignServerError    another DHCP server answers where we were told to be authoritative
    └── ServerEndedError      a server's thread ended by a fault; the supervisor starts the process anew

    ValueError
    ├── codec.MalformedPacketError a DHCP packet that breaks the format (``reason`` is a closed set)
    ├── codec.PacketTooLargeError  a reply that does not fit the client's maximum size
    └── tftp.RefusedRequestError  a TFTP request that is refused (``code`` is the TFTP error number)
"""

from __future__ import annotations


class PxeError(Exception):
    """The boot servers can't start. The message says what to do."""


class InterfaceError(PxeError):
    """A named interface is absent, down, or has no address that fits a pool."""


class PortError(PxeError):
    """A UDP port could not be opened."""


class ForeignServerError(PxeError):
    """Another DHCP server answers on an interface where we were told to be authoritative."""


class ServerEndedError(PxeError):
    """A server's thread ended by a fault; the process ends too, so that its supervisor starts it anew."""
