"""What every part of the planner looks at: a machine that has a name, a profile and a trusted inventory."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.wire import Disk, Inventory
from appliance.model.network import Plane
from appliance.model.observed import ObservedMachine
from appliance.model.place import Place
from appliance.model.plan import Allocation
from appliance.plan.disks.looks import Looks
from hwprofiles.profile import Profile

EVERY = frozenset(Plane)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One machine that can be placed. ``given`` is its allocation (name, number, cluster so far). ``system`` are its
    system disks, which nobody else may take. ``standing``: it is installed already, or has a place in the accepted layout.
    ``planes`` are those whose networks it is in; ``roles`` those that its ports have in the accepted layout, by MAC.
    ``looks`` is what its disks look like, when that decides about them; ``marks`` are what is left on its disks while OSDs
    are being made of them (`kinds.ceph.begun`)."""

    machine: ObservedMachine
    inventory: Inventory
    profile: Profile
    place: Place
    given: Allocation
    system: tuple[Disk, ...] = ()
    standing: bool = False
    planes: frozenset[Plane] = EVERY
    roles: tuple[tuple[str, str], ...] = ()
    looks: Looks | None = None
    marks: frozenset[str] = frozenset()
    id: str = field(init=False)
    name: str = field(init=False)
    """What is asked of it hundreds of times is looked up once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.machine.machine.id)
        object.__setattr__(self, "name", self.given.name)
