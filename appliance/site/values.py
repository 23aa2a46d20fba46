"""Readers of leaves that say who a machine is and what it boots with: text → value, or ``ValueError`` with what is
expected."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import uuid
from ipaddress import AddressValueError, IPv4Address
from typing import NewType

from hwprofiles.normal import known_bad_uuid, mac_key, serial_key

Hostname = NewType("Hostname", str)
"""One label: letters, digits and hyphens, at most 63, lower case (RFC 1123 §2.1, RFC 1035 §2.3.4)."""
HostPrefix = NewType("HostPrefix", str)
DomainName = NewType("DomainName", str)
Mac = NewType("Mac", str)
Serial = NewType("Serial", str)
MachineUuid = NewType("MachineUuid", str)
SshKey = NewType("SshKey", str)
SwitchPort = NewType("SwitchPort", str)
"""``SWITCH/PORT`` as LLDP tells them; the switch is what stands before the first slash."""
Host = NewType("Host", str)
"""A host name with domain, or an address."""
Interface = NewType("Interface", str)
Console = NewType("Console", str)
KernelArgument = NewType("KernelArgument", str)

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"[a-z](?:[a-z0-9-]{0,57}[a-z0-9-])?")
_INTERFACE = re.compile(r"[^\s/:]{1,15}")
_CONSOLE = re.compile(r"tty[A-Za-z]*[0-9]+(?:,[0-9]+[noe]?[78]?r?)?")
_KEY_TYPE = re.compile(
    r"ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|"
    r"sk-ecdsa-sha2-nistp256@openssh\.com"
)
_SHOWN = 40


def hostname(text: str) -> Hostname:
    """Lower-cased; the name of a machine without its domain."""
    name = text.lower()
    if "." in name:
        raise ValueError(f"'{text}' has a dot; give the name without the domain: '{name.split('.')[0]}'")
    if len(name) > 63:
        raise ValueError(f"a host name has at most 63 characters, this one {len(name)}")
    if not _LABEL.fullmatch(name):
        better = re.sub(r"[^a-z0-9-]+", "-", name).strip("-")
        hint = f"; '{better}' would be one" if better and _LABEL.fullmatch(better) else ""
        raise ValueError(f"'{text}' is no host name: letters, digits and inner hyphens only (RFC 1123){hint}")
    if name.isdigit():
        raise ValueError(f"'{text}' is no host name: digits alone look like an address (RFC 1123)")
    return Hostname(name)


def host_prefix(text: str) -> HostPrefix:
    """What numbered names begin with."""
    if not _PREFIX.fullmatch(text.lower()):
        raise ValueError(f"'{text}' can't begin a host name: a letter, then letters, digits and hyphens")
    return HostPrefix(text.lower())


def domain_name(text: str) -> DomainName:
    """Labels with dots between them, at most 253 characters."""
    name = text.lower().rstrip(".")
    if len(name) > 253 or not name or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"'{text[:_SHOWN]}' is no domain name")
    return DomainName(name)


def mac(text: str) -> Mac:
    """Any usual spelling of a unicast address; lower case with colons afterwards."""
    found = mac_key(text)
    if not found:
        raise ValueError(f"expected a MAC such as 3c:ec:ef:12:34:56, got '{text[:_SHOWN]}'")
    if int(found[:2], 16) & 1 or found == "00:00:00:00:00:00":
        raise ValueError(f"'{text}' is no address of one port (it is a group address or zero)")
    return Mac(found)


def serial(text: str) -> Serial:
    """Upper case without padding; what firmware writes when it has no serial is refused."""
    found = serial_key(text)
    if not found:
        raise ValueError(f"'{text}' is what firmware writes when it knows no serial; it identifies nothing")
    return Serial(found)


def machine_uuid(text: str) -> MachineUuid:
    """As printed by the firmware; both byte orders are compared later."""
    try:
        found = str(uuid.UUID(text))
    except ValueError:
        raise ValueError(f"expected a UUID, got '{text[:_SHOWN]}'") from None
    if known_bad_uuid(found):
        raise ValueError(f"'{text}' is a constant that many machines have; it identifies nothing")
    return MachineUuid(found)


def switch_port(text: str) -> SwitchPort:
    """The switch's system name, a slash, and the port's name, which may have slashes of its own (``sw1/Ethernet1/7``)."""
    switch, slash, port = (part.strip() for part in text.partition("/"))
    if not slash or not switch or not port:
        raise ValueError(f"expected a switch port such as sw1/Ethernet7, got '{text[:_SHOWN]}'")
    return SwitchPort(f"{switch}/{port}")


def ssh_key(text: str) -> SshKey:
    """One line of an OpenSSH ``.pub`` file; the blob inside must say the same type (RFC 4253 §6.6)."""
    words = text.split()
    if "PRIVATE" in text:
        raise ValueError("this is a private key; remove it from the file, and put the .pub line here")
    if not words or not _KEY_TYPE.fullmatch(words[0]):
        kind = words[0][:_SHOWN] if words else ""
        raise ValueError(f"expected an OpenSSH public key (ssh-ed25519 AAAA… name), got '{kind}'")
    try:
        blob = base64.b64decode(words[1] if len(words) > 1 else "", validate=True)
        (length,) = struct.unpack_from(">I", blob)
        inner = blob[4 : 4 + length].decode("ascii")
    except (binascii.Error, struct.error, UnicodeDecodeError):
        raise ValueError(
            f"the {words[0]} key is damaged: the part after the type is no key; copy the line anew"
        ) from None
    if inner != words[0] or len(blob) <= 4 + length:
        raise ValueError(f"the {words[0]} key is damaged or cut short; copy the line anew")
    return SshKey(" ".join(words))


def host(text: str) -> Host:
    """A name with domain or an IPv4 address."""
    try:
        return Host(str(IPv4Address(text)))
    except AddressValueError:
        pass
    try:
        return Host(domain_name(text))
    except ValueError:
        raise ValueError(f"expected a host name or an address, got '{text[:_SHOWN]}'") from None


def interface(text: str) -> Interface:
    """A Linux interface name: at most 15 characters."""
    if not _INTERFACE.fullmatch(text) or text in (".", ".."):
        raise ValueError(f"'{text[:_SHOWN]}' is no interface name (at most 15 characters, no blanks, '/' or ':')")
    return Interface(text)


def console(text: str) -> Console:
    """The value of the kernel's ``console=``."""
    found = text.removeprefix("console=")
    if not _CONSOLE.fullmatch(found):
        raise ValueError(f"expected a console such as ttyS1,115200n8, got '{text[:_SHOWN]}'")
    return Console(found)


def kernel_argument(text: str) -> KernelArgument:
    """One word of the kernel's command line."""
    if not text.isprintable() or re.search(r"[\s\"'\\$`]", text) or not text:
        raise ValueError(f"'{text[:_SHOWN]}' is not one kernel argument (no blanks, quotes, backslashes or '$')")
    return KernelArgument(text)
