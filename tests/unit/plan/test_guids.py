"""The GUIDs of partitions are those that `uuid` makes: disks of earlier installs are known by them."""

from __future__ import annotations

import uuid

from appliance.plan.disks import layout
from appliance.rehearsal.fleet import machine
from hwprofiles.normal import serial_key


def test_they_are_version_5_uuids_of_machine_and_disk() -> None:
    seen = set()
    for number in range(1, 60):
        one = machine(number)
        assert one.inventory is not None
        for disk in one.inventory.disks:
            found = layout.partition_guids(one.machine.id, disk)
            names = ("\n".join((one.machine.id, disk.wwn, serial_key(disk.serial), role)) for role in layout.ROLES)
            assert found == [str(uuid.uuid5(layout._NAMESPACE, name)) for name in names]
            seen.update(found)
    assert len(seen) == 59 * 12 * 3
    assert {uuid.UUID(text).version for text in seen} == {5}
