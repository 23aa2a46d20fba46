"""What every part of the planner looks at: a machine that has a name, a profile and a trusted inventory."""

from __future__ import annotations

from dataclasses import dataclass

from agent.wire import Disk, Inventory
from appliance.model.network import Plane
from appliance.model.observed import ObservedMachine
from appliance.model.place import Place
from appliance.model.plan import Allocation
from hwprofiles.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One machine that can be placed. ``given`` is its allocation (name, number, cluster so far). ``system`` are its
    system disks, which nobody else may take. ``standing``: it is installed already, or has a place in the accepted layout.
    ``planes`` are those whose networks it is in; ``roles`` those that its ports have in the accepted layout, by MAC."""

    machine: ObservedMachine
    inventory: Inventory
    profile: Profile
    place: Place
    given: Allocation
    system: tuple[Disk, ...] = ()
    standing: bool = False
    planes: frozenset[Plane] = frozenset(Plane)
    roles: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        return self.machine.machine.id

    @property
    def name(self) -> str:
        return self.given.name
