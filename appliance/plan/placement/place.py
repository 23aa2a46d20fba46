"""Who is called what and gets which address. What a machine has once, it keeps: allocations come in with the parent plan
and go out with the new one. Nothing here depends on the order of machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address

from appliance.model.machine import Phase
from appliance.model.observed import ObservedMachine
from appliance.model.plan import Allocation, Plan, Wait, WaitReason
from appliance.model.site import ExpectedMachine, Site
from appliance.plan.network.ports import nic_names
from appliance.plan.order import natural
from appliance.site.checks import AUTHORITATIVE, host_addresses
from hwprofiles.normal import serial_key


def kept(machines: Iterable[ObservedMachine], parent: Plan | None) -> dict[str, Allocation]:
    """What machines have already, by machine id: from the parent plan, and from the store. Retired ones let go."""
    earlier = {allocation.machine: allocation for allocation in parent.allocations} if parent else {}
    table = {}
    for machine in machines:
        found = machine.allocation or earlier.get(machine.machine.id)
        if found is not None and machine.machine.phase is not Phase.RETIRED:
            table[machine.machine.id] = found
    return table


def display_name(machine: ObservedMachine, allocation: Allocation | None) -> str:
    """What people know the machine by: the site file's name, its host name, else its id."""
    return machine.expected or (allocation.name if allocation else "") or machine.machine.name or machine.machine.id


@dataclass(slots=True, kw_only=True)
class Places:
    """Hands out names and addresses for machines that are about to be installed. ``names`` and ``addresses`` begin with
    everything that is kept (value: machine id); ``entries`` and ``fixed`` are what the site file gives to somebody."""

    site: Site
    kept: Mapping[str, Allocation]
    names: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    numbers: int = 0
    free: Iterator[IPv4Address] | None = None
    entries: dict[str, ExpectedMachine] = field(init=False)
    fixed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        for machine, allocation in self.kept.items():
            self.names[allocation.name] = machine
            if allocation.address:
                self.addresses[allocation.address] = machine
        self.free = host_addresses(self.site.provisioning)
        self.entries = {entry.name: entry for entry in self.site.machines}
        self.fixed = frozenset(str(entry.address) for entry in self.site.machines if entry.address is not None)

    def give(self, machine: ObservedMachine, profile: str) -> Allocation | Wait:
        """The allocation of one machine, or why it gets none."""
        who = machine.machine.id
        before = self.kept.get(who)
        entry = self.entries.get(machine.expected)
        name = self._name(who, entry, before)
        if self.names.get(name, who) != who:
            text = f"the name {name} belongs to {self.names[name]}; retire that machine, or rename one in the site file"
            return Wait(about=machine.expected or who, reason=WaitReason.NAME_TAKEN, text=text)
        address = self._address(who, entry, before)
        if isinstance(address, Wait):
            return address
        self.names[name] = who
        if address:
            self.addresses[address] = who
        nics = nic_names(machine, before.nics if before else ())
        return Allocation(machine=who, name=name, address=address, profile=profile, nics=nics)

    def _name(self, who: str, entry: ExpectedMachine | None, before: Allocation | None) -> str:
        if entry is not None:
            return entry.name
        if before is not None and before.name not in self.entries:
            return before.name
        while True:
            self.numbers += 1
            name = f"{self.site.hostname_prefix}{self.numbers}"
            if name not in self.entries and self.names.get(name, who) == who:
                return name

    def _address(self, who: str, entry: ExpectedMachine | None, before: Allocation | None) -> str | Wait:
        network = self.site.provisioning
        about = entry.name if entry else who
        if entry is not None and entry.address is not None:
            owner = self.addresses.get(str(entry.address), who)
            if owner == who:
                return str(entry.address)
            text = (
                f"{entry.address} belongs to {owner}; retire that machine, or choose another address in the site file"
            )
            return Wait(about=about, reason=WaitReason.NO_ADDRESS, text=text)
        if before is not None and before.address not in self.fixed and self._fits(before.address):
            return before.address
        if network.mode != AUTHORITATIVE and network.hosts_first is None:
            return ""
        for address in self.free or ():
            if str(address) not in self.fixed and self.addresses.get(str(address), who) == who:
                return str(address)
        text = (
            "all addresses for installed machines are taken; make 'hosts' larger or the pool smaller in the site file"
        )
        return Wait(about=about, reason=WaitReason.NO_ADDRESS, text=text)

    def _fits(self, address: str) -> bool:
        """Whether a kept address still lies in the network, outside the pool, and is nobody else's by the site file."""
        network = self.site.provisioning
        try:
            value = IPv4Address(address)
        except AddressValueError:
            return False
        inside = value in network.cidr and value not in (network.appliance, network.gateway, *network.dns)
        return inside and not network.first <= value <= network.last


def numbering(machine: ObservedMachine) -> tuple[object, ...]:
    """The order in which machines without a name of their own get numbers and addresses: named ones first, then by the
    serial on the box, which is stable and means something to people; last by id."""
    board = machine.inventory.board if machine.inventory else None
    serial = (serial_key(board.system_serial) or serial_key(board.serial)) if board else ""
    return (not machine.expected, natural(machine.expected), not serial, natural(serial), machine.machine.id)
