"""What is, as the planner sees it: machines with their trusted inventories, and what earlier plans gave them."""

from __future__ import annotations

from dataclasses import dataclass

from agent.wire import Inventory
from appliance.model.cephstate import CephState
from appliance.model.machine import Machine
from appliance.model.plan import Allocation


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedMachine:
    """One machine. ``inventory`` is the last trusted report (mutual TLS), None before it. ``expected`` is the name of the
    site file's entry that identifies it, or empty. ``installed_by`` is the hash of the plan that installed it. ``permits``
    are the ids of all install permits that this machine ever claimed: a disk with one as its GPT disk GUID is ours."""

    machine: Machine
    inventory: Inventory | None = None
    expected: str = ""
    allocation: Allocation | None = None
    installed_by: str = ""
    permits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A disk of a machine that a person wants replaced. ``done``: its OSDs are on another one. It never gets data again,
    nor is it erased, as long as this is not taken back: a disk that fails looks like any other when it is pulled and put
    in again."""

    machine: str
    serial: str
    wwn: str
    size: int
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Input of the planner beside the site file. ``images`` maps an operating system's name to the SHA-256 of its root
    image; a name that is missing was not built yet. ``ceph`` is what its monitors said last, None before there are any.
    ``replacing`` are disks that people want replaced, ``removing`` numbers of OSDs that no plan made and that people want to
    be gone. Order of ``machines``, ``replacing`` and ``removing`` never matters. ``arbiter`` is the machine that the
    appliance runs on, as its own agent says it; None while that never reported."""

    machines: tuple[ObservedMachine, ...]
    images: tuple[tuple[str, str], ...] = ()
    ceph: CephState | None = None
    replacing: tuple[Replacement, ...] = ()
    arbiter: ObservedMachine | None = None
    removing: tuple[int, ...] = ()
