"""Network ports of an installed system: names pinned to permanent MACs, and the address on the port it was booted from."""

from __future__ import annotations

from agent.wire import Inventory, Nic
from appliance.model.observed import ObservedMachine
from appliance.model.plan import Allocation, NicConfig
from appliance.model.site import Site
from appliance.plan.order import natural, pci


def nic_names(machine: ObservedMachine, before: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """MAC → ``nic0``, ``nic1`` … in the order of the bus; a port keeps the name it has, new ones get the next numbers."""
    names = dict(before)
    used = {name for _, name in before}
    number = 0
    for nic in ports(machine.inventory):
        if nic.mac in names:
            continue
        while f"nic{number}" in used:
            number += 1
        names[nic.mac] = f"nic{number}"
        used.add(names[nic.mac])
    return tuple(sorted(names.items(), key=lambda item: natural(item[1])))


def ports(inventory: Inventory | None) -> list[Nic]:
    """Ports with a MAC, in the order of the bus, whatever the kernel called them."""
    nics = [nic for nic in (inventory.nics if inventory else ()) if nic.mac]
    return sorted(nics, key=lambda nic: (pci(nic.bus_path), nic.mac))


def boot_port(inventory: Inventory | None, before: str = "") -> Nic | None:
    """The port that the machine was booted from: as the agent image says, else the one that it has been (``before``, a MAC:
    an installed system boots from its disk). Where both are unknown (a stick), the first one that can identify the
    machine."""
    for mac in (inventory.boot_mac, before) if inventory is not None else ():
        for nic in inventory.nics if inventory is not None and mac else ():
            if nic.mac == mac:
                return nic
    found = ports(inventory)
    return next((nic for nic in found if nic.identifying), found[0] if found else None)


def configure(site: Site, allocation: Allocation, port: Nic) -> tuple[NicConfig, ...]:
    """The boot port with the machine's address (DHCP where it has none). Other ports come with the backbone."""
    network = site.provisioning
    address = f"{allocation.address}/{network.cidr.prefixlen}" if allocation.address else ""
    return (
        NicConfig(
            mac=port.mac,
            name=dict(allocation.nics)[port.mac],
            address=address,
            gateway=str(network.gateway) if network.gateway and address else "",
            dns=tuple(str(server) for server in network.dns) if address else (),
        ),
    )
