"""What a lab is made of: hosts with their disks and places, two networks. Sizes are bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from appliance.model.ceph import DeviceClass
from appliance.model.place import Rack

GIB = 1 << 30
MEGABITS = {"mbit": 1, "gbit": 1000}
"""What of tc's units of a rate is used."""
APPLIANCE = "appliance"
"""The host that stands for the appliance: no disks, only the public network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabDisk:
    """A sparse file that a host sees as a disk. ``wwn`` and ``model`` empty: made of the serial and the class."""

    serial: str
    size: int = 8 * GIB
    device_class: DeviceClass = DeviceClass.SSD
    model: str = ""
    wwn: str = ""

    @property
    def rotational(self) -> bool:
        return self.device_class is DeviceClass.HDD

    @property
    def name(self) -> str:
        """The model, or one that says what it is."""
        return self.model or f"LAB-{self.device_class.value.upper()}"

    @property
    def identity(self) -> str:
        """The WWN, or one of the form of a locally assigned NAA address (T10 SPC, NAA 3h), made of the serial."""
        return self.wwn or f"naa.3{hashlib.sha256(self.serial.encode()).hexdigest()[:15]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """One host. ``rack`` is the name of a rack of the description, or empty. ``memory`` is what its inventory says."""

    name: str
    disks: tuple[LabDisk, ...] = ()
    rack: str = ""
    memory: int = 64 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class LabDescription:
    """``rate`` shapes every port of the two networks in both directions (tc's words: ``1gbit``), empty: as fast as it goes.
    Host N (from 1) has address N of either network; the appliance has the last one of the public network. ``small``: the
    daemons get settings that save memory and time (`settings.SMALL`), which no real cluster should have."""

    hosts: tuple[LabHost, ...]
    racks: tuple[Rack, ...] = ()
    public: str = "10.77.1.0/24"
    cluster: str = "10.77.2.0/24"
    mtu: int = 9000
    rate: str = ""
    small: bool = True

    @property
    def link_speed(self) -> int:
        """What a shaped port lets through, in Mbit/s; 0 for one that is not shaped. ValueError for other units."""
        if not self.rate:
            return 0
        for unit, megabits in MEGABITS.items():
            if self.rate.endswith(unit):
                return int(self.rate.removesuffix(unit)) * megabits
        raise ValueError(f"rate {self.rate!r}: a whole number of mbit or gbit, such as 200mbit")

    def address(self, network: str, host: str) -> str:
        """The address of a host in ``public`` or ``cluster`` by its place here; KeyError when there is no such host."""
        if host == APPLIANCE:
            return str(IPv4Network(network)[-2])
        names = [item.name for item in self.hosts]
        if host not in names:
            raise KeyError(host)
        return str(IPv4Network(network)[names.index(host) + 1])


def even(
    hosts: int,
    osds: int,
    *,
    racks: int = 1,
    datacenters: int = 0,
    zones: int = 0,
    size: int = 8 * GIB,
    device_class: DeviceClass = DeviceClass.SSD,
    extra: Sequence[tuple[DeviceClass, int]] = (),
    rate: str = "",
) -> LabDescription:
    """Hosts ``h1`` … with ``osds`` equal disks each, in turns over racks ``r1`` …; racks in turns over datacenters and
    zones. ``extra`` are more disks of every host, by class and size (for databases)."""
    kinds = [(device_class, size)] * osds + list(extra)
    return LabDescription(
        hosts=tuple(
            LabHost(
                name=f"h{number}",
                rack=f"r{(number - 1) % racks + 1}",
                disks=tuple(
                    LabDisk(serial=f"LAB{number:03d}D{slot:02d}", size=each, device_class=kind)
                    for slot, (kind, each) in enumerate(kinds, 1)
                ),
            )
            for number in range(1, hosts + 1)
        ),
        racks=tuple(
            Rack(
                name=f"r{index + 1}",
                datacenter=f"dc{index % datacenters + 1}" if datacenters else "",
                zone=f"az{index % zones + 1}" if zones else "",
            )
            for index in range(racks)
        ),
        rate=rate,
    )
