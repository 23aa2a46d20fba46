"""Which machine is this: joins, swaps, clones, and what people decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from agent.wire import EnrolmentState, Nic
from appliance.effects.clock import FakeClock
from appliance.model.machine import Phase, Policy, TroubleKind
from appliance.operations import identities, machines
from appliance.operations.audit import list_audit
from appliance.operations.context import Appliance
from appliance.operations.errors import Conflict
from appliance.operations.events import events_since
from appliance.operations.netboot import NetbootDirectory
from pxe.ports import BootEvent, EventKind
from tests.unit.operations.lab import ADMIN, OPERATOR, VIEWER, Box

Make = Callable[..., Box]


def _swapped(uuid: str) -> str:
    """The same UUID with its first three fields in the other byte order."""
    a, b, c, *rest = uuid.split("-")
    return "-".join(bytes.fromhex(part)[::-1].hex() for part in (a, b, c)) + "-" + "-".join(rest)


def _seen(app: Appliance, mac: str, uuid: str = "") -> None:
    event = BootEvent(
        at=app.clock.now(),
        kind=EventKind.DHCP_DISCOVER,
        mac=mac,
        uuids=(uuid,) if uuid else (),
        detail="x86-bios firmware",
    )
    NetbootDirectory(app).observe((event,))


def _all(app: Appliance) -> tuple[machines.MachineView, ...]:
    return machines.list_machines(app, VIEWER)


def _approve(app: Appliance, one: Box) -> str:
    one.enrol()
    view = next(v for v in _all(app) if one.inventory.boot_mac in v.macs)
    machines.approve(app, OPERATOR, view.machine.id, one.code)
    one.report(view.machine.id)
    return view.machine.id


def test_network_boot_and_enrolment_are_one_machine(app: Appliance, box: Make) -> None:
    one = box(1)
    _seen(app, "ac:1f:6b:00:01:01", _swapped(one.inventory.board.system_uuid))
    (seen,) = _all(app)
    assert seen.machine.phase is Phase.SEEN
    one.enrol()
    (enrolled,) = _all(app)
    assert (enrolled.machine.id, enrolled.machine.phase) == (seen.machine.id, Phase.ENROLLED)


def test_both_ports_of_a_server_that_tried_both_are_joined_by_its_inventory(app: Appliance, box: Make) -> None:
    one = box(1)
    for mac in ("ac:1f:6b:00:01:01", "ac:1f:6b:00:01:02"):
        _seen(app, mac, one.inventory.board.system_uuid)
    assert len(_all(app)) == 2
    one.enrol()
    (joined,) = _all(app)
    assert joined.macs == ("ac:1f:6b:00:01:01", "ac:1f:6b:00:01:02")
    kinds = [event.kind for event in events_since(app, VIEWER, 0) if event.machine == joined.machine.id]
    assert kinds.count("dhcp-discover") == 2


def test_a_locally_administered_address_still_joins(app: Appliance, box: Make) -> None:
    nics = (Nic(name="eth0", mac="52:54:00:00:00:01", identifying=False),)
    one = box(1)
    one.inventory = replace(one.inventory, nics=nics, boot_mac="52:54:00:00:00:01")
    _seen(app, "52:54:00:00:00:01", one.inventory.board.system_uuid)
    one.enrol()
    assert [v.machine.phase for v in _all(app)] == [Phase.ENROLLED]


def test_a_second_machine_with_the_same_uuid_is_quarantined_and_evicts_nobody(app: Appliance, box: Make) -> None:
    one = box(1)
    key = _approve(app, one)
    before = machines.show_machine(app, VIEWER, key).view.machine
    clone = box(2, uuid=one.inventory.board.system_uuid)
    clone.enrol()
    first, second = _all(app)
    assert (first.machine.phase, first.machine.trouble, first.machine.policy) == (before.phase, None, Policy.USE)
    assert (second.machine.phase, second.machine.policy) == (Phase.SEEN, Policy.HOLD)
    assert second.machine.trouble and second.machine.trouble.kind is TroubleKind.IDENTITY_CONFLICT
    assert first.conflicts == (second.machine.id,)
    assert second.conflicts == (first.machine.id,)
    assert any(e.machine == key and second.machine.id in e.text for e in events_since(app, VIEWER, 0))


def test_the_machine_that_was_first_may_come_back_while_its_clone_waits(app: Appliance, box: Make) -> None:
    one = box(1)
    key = _approve(app, one)
    box(2, uuid=one.inventory.board.system_uuid).enrol()
    one.reboot()
    one.enrol()
    machines.approve(app, OPERATOR, key, one.code)
    assert machines.show_machine(app, VIEWER, key).view.machine.trouble is None


def test_split_ends_the_quarantine_for_ever(app: Appliance, box: Make) -> None:
    one = box(1)
    key = _approve(app, one)
    clone = box(2, uuid=one.inventory.board.system_uuid)
    clone.enrol()
    second = _all(app)[1].machine.id
    shown = identities.split(app, OPERATOR, second)
    assert (shown.machine.phase, shown.machine.policy, shown.machine.trouble) == (Phase.ENROLLED, Policy.USE, None)
    machines.approve(app, OPERATOR, second, clone.code)
    clone.report(second)
    clone.reboot()
    clone.enrol()
    assert [(v.machine.id, v.conflicts) for v in _all(app)] == [(key, ()), (second, ())]
    assert "machine.split" in [row.verb for row in list_audit(app, ADMIN)]
    with pytest.raises(Conflict, match="nothing to split"):
        identities.split(app, OPERATOR, second)


def test_retiring_the_first_ends_the_quarantine_of_the_second(app: Appliance, box: Make) -> None:
    one = box(1)
    key = _approve(app, one)
    box(2, uuid=one.inventory.board.system_uuid).enrol()
    machines.retire(app, OPERATOR, key)
    second = _all(app)[1].machine
    assert (second.phase, second.policy, second.trouble) == (Phase.ENROLLED, Policy.USE, None)


def test_merge_joins_two_records(app: Appliance, box: Make, clock: FakeClock) -> None:
    one = box(1)
    key = _approve(app, one)
    clock.advance(3600.0)
    new_board = box(3, uuid=one.inventory.board.system_uuid)
    new_board.enrol()
    second = _all(app)[1].machine.id
    merged = identities.merge(app, OPERATOR, key, second)
    assert [v.machine.id for v in _all(app)] == [key]
    assert merged.conflicts == ()
    new_board.reboot()
    assert new_board.enrol().state is EnrolmentState.PENDING
    machines.approve(app, OPERATOR, key, new_board.code)
    new_board.report(key)
    assert machines.show_machine(app, VIEWER, key).view.serial == "WM21000003"


def test_a_machine_in_use_is_not_merged_away(app: Appliance, box: Make) -> None:
    first, second = _approve(app, box(1)), _approve(app, box(2))
    with pytest.raises(Conflict, match="retire it instead"):
        identities.merge(app, OPERATOR, first, second)
    with pytest.raises(Conflict, match="the same record already"):
        identities.merge(app, OPERATOR, first, first)


def test_swapped_network_ports_are_recognised(app: Appliance, box: Make, clock: FakeClock) -> None:
    one = box(1)
    key = _approve(app, one)
    clock.advance(3600.0)
    one.reboot()
    nics = (Nic(name="eth0", mac="b4:96:91:00:00:01"),)
    one.inventory = replace(one.inventory, nics=nics, boot_mac="b4:96:91:00:00:01")
    one.enrol()
    assert [v.machine.id for v in _all(app)] == [key]
    assert any("its network ports were swapped" in e.text for e in events_since(app, VIEWER, 0))


def test_other_ports_while_the_machine_is_running_are_a_second_machine(app: Appliance, box: Make) -> None:
    one = box(1)
    _approve(app, one)
    twin = box(1, macs=("b4:96:91:00:00:01",))
    twin.enrol()
    assert [v.machine.trouble is not None for v in _all(app)] == [False, True]


def test_a_swapped_board_with_the_old_ports_is_recognised(app: Appliance, box: Make) -> None:
    one = box(1)
    key = _approve(app, one)
    one.reboot()
    one.inventory = replace(one.inventory, board=replace(one.inventory.board, serial="WM219999999"))
    one.enrol()
    assert [v.machine.id for v in _all(app)] == [key]


def test_nodes_of_one_chassis_are_machines_of_their_own(app: Appliance, box: Make) -> None:
    for number in (1, 2, 3, 4):
        box(number, system_serial="CHASSIS7").enrol()
    assert [v.machine.trouble for v in _all(app)] == [None] * 4
    assert [v.conflicts for v in _all(app)] == [()] * 4


def test_known_bad_uuids_join_nothing(app: Appliance, box: Make) -> None:
    for number, uuid in enumerate(("03000200-0400-0500-0006-000700080009", "ffffffff-ffff-ffff-ffff-ffffffffffff")):
        for other in (1, 2):
            box(10 * number + other, uuid=uuid, serial="To be filled by O.E.M.").enrol()
    assert len(_all(app)) == 4
    assert all(v.machine.phase is Phase.ENROLLED for v in _all(app))


def test_a_port_that_moved_to_another_machine_merges_nothing(app: Appliance, box: Make) -> None:
    _approve(app, box(1))
    box(2, macs=("ac:1f:6b:00:01:02", "ac:1f:6b:00:02:01")).enrol()
    views = _all(app)
    assert [v.machine.trouble for v in views] == [None, None]
    assert any("is now in this machine" in e.text for e in events_since(app, VIEWER, 0))


def test_detach_makes_a_port_a_machine_of_its_own(app: Appliance, box: Make) -> None:
    key = _approve(app, box(1))
    new = identities.detach(app, OPERATOR, key, "AC:1F:6B:00:01:02")
    assert (new.machine.phase, new.macs) == (Phase.SEEN, ("ac:1f:6b:00:01:02",))
    with pytest.raises(Conflict):
        identities.detach(app, OPERATOR, key, "ac:1f:6b:00:01:02")


def test_unknown_addresses_without_a_boot_are_no_machines(app: Appliance) -> None:
    directory = NetbootDirectory(app)
    directory.observe(
        (
            BootEvent(at=app.clock.now(), kind=EventKind.DHCP_DISCOVER, mac="00:11:22:33:44:55", detail="x86-bios os"),
            BootEvent(
                at=app.clock.now(), kind=EventKind.DHCP_ACK, mac="00:11:22:33:44:55", address=IPv4Address("10.20.0.130")
            ),
        )
    )
    assert _all(app) == ()
    directory.close()
