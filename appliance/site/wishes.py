"""Readers of leaves that say what a site wants: dates, mirrors, names in CRUSH and Ceph, sizes of devices, cables.
Text → value, or ``ValueError`` with what is expected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import NewType
from urllib.parse import urlsplit

from appliance.model.cluster import MAX_NAME
from appliance.site.values import hostname
from hwprofiles.normal import mac_key

Day = NewType("Day", str)
"""A date, ``2026-11-01`` (ISO 8601)."""
Url = NewType("Url", str)
BucketName = NewType("BucketName", str)
"""A name that CRUSH takes for a bucket."""
Feed = NewType("Feed", str)
"""A power feed."""
ClusterName = NewType("ClusterName", str)
PoolName = NewType("PoolName", str)
NamespaceName = NewType("NamespaceName", str)
"""An RBD namespace in a pool."""
GroupName = NewType("GroupName", str)
ClassName = NewType("ClassName", str)
"""A CRUSH device class."""
DeviceSize = NewType("DeviceSize", str)
"""A size of devices as cephadm's drive groups write it, without blanks and in upper case."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SIZE = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:MB?|GB?|TB?)")
_CABLE = re.compile(r"\s*(.+?)\s*--\s*(.+?)\s*")
_CODE = re.compile(r"([0-9]{1,3})\s*\+\s*([0-9]{1,3})")
_UNITS = {"M": 1e6, "G": 1e9, "T": 1e12}
_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class CableText:
    """Both ends of a cable: machine or switch, and port (a name or a MAC; empty: any)."""

    a: str
    a_port: str
    b: str
    b_port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Erasure coding with ``k`` data and ``m`` coding chunks; both 0: chosen by the number of failure domains."""

    k: int
    m: int


def day(text: str) -> Day:
    """A calendar day; one in the future is as good as one in the past."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or len(text) != 10:
        raise ValueError(f"expected a date such as 2026-11-01, got '{text[:_SHOWN]}'")
    return Day(found.isoformat())


def url(text: str) -> Url:
    """A base URL of http or https, without a slash at its end."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"expected a URL such as http://mirror.example/debian, got '{text[:_SHOWN]}'") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user or a password inside; secrets are never written into this file")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"\s", text):
        raise ValueError(f"expected a URL such as http://mirror.example/debian, got '{text[:_SHOWN]}'")
    if parts.query or parts.fragment:
        raise ValueError(f"'{text[:_SHOWN]}' has a query or fragment ('?', '#'); give the base URL alone")
    return Url(text.rstrip("/"))


def bucket_name(text: str) -> BucketName:
    """Letters, digits, ``_``, ``.``, ``-`` (crushtool's grammar); not what Ceph uses itself."""
    if not _BUCKET.fullmatch(text):
        raise ValueError(f"'{text[:_SHOWN]}' is no name for CRUSH: letters, digits, '_', '.', '-', at most 63")
    if text == "default" or re.fullmatch(r"osd\.[0-9]+", text):
        raise ValueError(f"'{text}' is a name that Ceph uses itself; choose another")
    return BucketName(text)


def feed(text: str) -> Feed:
    """One word."""
    if not _WORD.fullmatch(text.lower()):
        raise ValueError(f"expected the name of a power feed such as a, got '{text[:_SHOWN]}'")
    return Feed(text.lower())


def cluster_name(text: str) -> ClusterName:
    """At most 15 letters, digits and hyphens, as pvecm takes it."""
    if len(text) > MAX_NAME:
        raise ValueError(f"a cluster's name has at most {MAX_NAME} characters, '{text[:_SHOWN]}' has {len(text)}")
    try:
        return ClusterName(hostname(text))
    except ValueError:
        raise ValueError(
            f"'{text}' is no name of a cluster: letters, digits and inner hyphens, no digits alone"
        ) from None


def pool_name(text: str) -> PoolName:
    """Names that begin with a dot are Ceph's own."""
    if not _POOL.fullmatch(text):
        raise ValueError(
            f"'{text[:_SHOWN]}' is no pool's name: letters, digits, '.', '_', '-', at most 64, and no '.' first"
        )
    return PoolName(text)


def namespace_name(text: str) -> NamespaceName:
    """Without dots: the last dot in a key's name is what parts it from its pool (``client.ceph-vms.tenant-a``)."""
    if _NAMESPACE.fullmatch(text):
        return NamespaceName(text)
    near = re.sub(r"[^A-Za-z0-9_-]+", "-", text.strip()).strip("-_")[:63]
    hint = f"; did you mean '{near}'?" if near else ""
    raise ValueError(
        f"'{text[:_SHOWN]}' is no name for a namespace: letters, digits, '_', '-', at most 63, and no '_' or '-' first{hint}"
    )


def group_name(text: str) -> GroupName:
    """One word for a drive group."""
    if not _WORD.fullmatch(text):
        raise ValueError(f"'{text[:_SHOWN]}' is no name for a drive group: small letters, digits, '_', '-', at most 31")
    return GroupName(text)


def class_name(text: str) -> ClassName:
    """``hdd``, ``ssd``, ``nvme``, or a word of one's own."""
    if not _WORD.fullmatch(text):
        raise ValueError(f"'{text[:_SHOWN]}' is no device class: small letters, digits, '_', '-', at most 31")
    return ClassName(text)


def device_size(text: str) -> DeviceSize:
    """``4TB``, or a range ``1TB:4TB``, ``1TB:``, ``:4TB``; units M, MB, G, GB, T, TB (cephadm, "OSD service specs")."""
    compact = re.sub(r"\s+", "", text).upper()
    low, colon, high = compact.partition(":")
    given = [part for part in (low, high) if part]
    if not given or not all(_SIZE.fullmatch(part) for part in given):
        raise ValueError(
            f"expected a size such as 4TB, or a range such as 1TB:4TB, 1TB: or :4TB; got '{text[:_SHOWN]}'"
        )
    if colon and low and high and _bytes(low) > _bytes(high):
        raise ValueError(f"the range ends ({high}) before it begins ({low}); did you mean '{high}:{low}'?")
    return DeviceSize(compact)


def _bytes(text: str) -> float:
    digits = text.rstrip("MGTB")
    return float(digits) * _UNITS[text[len(digits)]]


def cable(text: str) -> CableText:
    """``n1:nic2 -- n2:nic1`` (the form of PTM's topology files, quotes are allowed); without a port any one will do."""
    found = _CABLE.fullmatch(text)
    if found is None or "--" in found[2]:
        raise ValueError(f"expected a cable such as 'n1:nic2 -- n2:nic1', got '{text[:_SHOWN]}'")
    (a, a_port), (b, b_port) = (_end(part, text) for part in found.groups())
    return CableText(a=a, a_port=a_port, b=b, b_port=b_port)


def _end(text: str, whole: str) -> tuple[str, str]:
    name, _, port = text.replace('"', "").partition(":")
    name, port = name.strip(), port.strip()
    if not name or re.search(r"\s", name + port):
        raise ValueError(f"expected a cable such as 'n1:nic2 -- n2:nic1', got '{whole[:_SHOWN]}'")
    return name, mac_key(port) or port


def code(text: str) -> Code:
    """``4+2``, or ``auto``."""
    if text == "auto":
        return Code(k=0, m=0)
    found = _CODE.fullmatch(text)
    if found is None:
        raise ValueError(f"expected erasure coding such as 4+2, or auto; got '{text[:_SHOWN]}'")
    return Code(k=int(found[1]), m=int(found[2]))
