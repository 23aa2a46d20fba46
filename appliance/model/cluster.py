"""Clusters of machines: what the site file wants, and what was planned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_NODES = 32
"""Nodes of one Proxmox cluster (the architecture draft's rule, `proxmox.md` §2)."""
MAX_NAME = 15
"""Letters of a cluster's name (pvecm)."""


class ClusterKind(StrEnum):
    PROXMOX = "proxmox"


class Arbiter(StrEnum):
    """Who breaks a tie of an even cluster. ``auto``: the appliance, only when the number of nodes is even."""

    AUTO = "auto"
    NONE = "none"
    APPLIANCE = "appliance"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """A cluster of the site file. Members are the machines that ``machines`` names, or those of ``profiles``, or (both
    empty) every machine that can run this kind; ``racks``, ``zones`` narrow that. ``links`` are names of corosync networks
    in order of link number; empty: all of plane corosync, else management, else provisioning. ``arbiter`` is a word of
    `Arbiter`, a machine's name, or a profile's name. ``frozen`` is the date (``2026-11-01``) whose package versions every
    member gets, also one that comes later."""

    name: str
    kind: ClusterKind = ClusterKind.PROXMOX
    machines: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    racks: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    maximum: int = MAX_NODES
    links: tuple[str, ...] = ()
    arbiter: str = Arbiter.AUTO.value
    frozen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterLayout:
    """One cluster as it will be formed. ``name`` is the spec's, or with a number when it had to be split (``pve1-2``);
    ``spec`` the name in the site file. ``members`` are machine ids in the order in which they join (the first creates).

    ``arbiter`` is empty, ``appliance``, or a machine id. ``votes`` include the arbiter's; ``tolerates`` is how many nodes
    may fail while it stays quorate. ``links`` are network names, link0 first. ``domain`` is the bucket of the failure
    domain that a split followed, or empty."""

    name: str
    spec: str
    kind: ClusterKind
    members: tuple[str, ...]
    arbiter: str = ""
    votes: int
    quorum: int
    tolerates: int
    links: tuple[str, ...] = ()
    domain: str = ""
    frozen: str = ""
