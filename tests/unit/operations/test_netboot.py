"""The boot servers' directory: decisions, leases, timelines, and that no answer is ever stale."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.effects.clock import FakeClock
from appliance.model.machine import MachineEvent, Phase, TroubleKind
from appliance.model.plan import Allocation
from appliance.operations import artefacts, deadlines, machines, sites
from appliance.operations.context import Appliance
from appliance.operations.errors import Invalid
from appliance.operations.netboot import NetbootDirectory, script_decision
from appliance.operations.timeline import Timeline, timeline
from appliance.store import allocations, lifecycle, permits
from pxe.ports import (
    Action,
    Architecture,
    BootEvent,
    Client,
    DirectoryError,
    EventKind,
    Lease,
    Stage,
    Transport,
)
from tests.unit.operations.lab import APPROVE_ANY, OPERATOR, VIEWER, Box

Make = Callable[..., Box]
MAC = "ac:1f:6b:00:01:01"
ADDRESS = IPv4Address("10.20.0.130")


@pytest.fixture
def directory(app: Appliance) -> Iterator[NetbootDirectory]:
    found = NetbootDirectory(app)
    yield found
    found.close()


@pytest.fixture
def image(app: Appliance, tmp_path: Path) -> dict[str, str]:
    """A registered agent image and two loaders; name → SHA-256."""
    found = {}
    for kind, name in (
        ("agent-kernel", "vmlinuz"),
        ("agent-initrd", "agent.initrd"),
        ("loader", "undionly.kpxe"),
        ("loader", "snponly.efi"),
    ):
        path = tmp_path / name
        path.write_bytes(name.encode())
        found[name] = hashlib.sha256(name.encode()).hexdigest()
        artefacts.register(app, kind, name, path, sha256=found[name], size=len(name))
    return found


def _client(
    mac: str = MAC, stage: Stage = Stage.FIRMWARE, uuid: str = "", transport: Transport = Transport.DHCP
) -> Client:
    return Client(
        mac=mac,
        architecture=Architecture.X86_BIOS,
        stage=stage,
        transport=transport,
        server=IPv4Address("10.20.0.1"),
        uuids=(uuid,) if uuid else (),
    )


def _script(app: Appliance, mac: str = MAC) -> object:
    query = {"mac": mac, "uuid": "", "arch": "i386", "platform": "pcbios", "serial": "WM21000001"}
    return script_decision(app, query, ADDRESS)


def _timeline(app: Appliance, key: str = MAC) -> Timeline:
    return timeline(app, VIEWER, key)


def test_an_unknown_machine_gets_the_agent_image(
    app: Appliance, directory: NetbootDirectory, image: dict[str, str]
) -> None:
    loader = directory.decide(_client())
    assert (loader.action, loader.file) == (Action.LOADER, "undionly.kpxe")
    assert directory.decide(_client(stage=Stage.IPXE)).action is Action.SCRIPT
    decision = script_decision(app, {"mac": MAC, "arch": "i386", "platform": "pcbios"}, ADDRESS)
    assert decision.kernel is not None
    assert decision.kernel.kernel == f"http://10.20.0.1:8080/artefacts/{image['vmlinuz']}/vmlinuz"
    assert decision.kernel.initrds[1] == "http://10.20.0.1:8080/site.cpio"
    assert f"rackseed.boot_mac={MAC}" in decision.kernel.arguments
    assert "console=ttyS0,115200n8" in decision.kernel.arguments


def test_asking_changes_nothing(app: Appliance, directory: NetbootDirectory) -> None:
    assert directory.decide(_client()) == directory.decide(_client())
    assert machines.list_machines(app, VIEWER) == ()


def test_a_decision_is_never_stale_after_a_commit(
    app: Appliance, directory: NetbootDirectory, image: dict[str, str], box: Make
) -> None:
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    one = box(1)
    key = one.enrol().machine
    one.report(key)
    assert directory.decide(_client(stage=Stage.IPXE)).reason == "ready: agent image"
    with app.store.write() as connection:
        now = app.clock.now()
        lifecycle.advance(connection, key, MachineEvent.INSTALL, at=now)
        permit = permits.issue(connection, machine=key, plan="p", step="s", disk_serial="d", at=now)
    assert directory.decide(_client(stage=Stage.IPXE)).reason == "an install permit is open: agent image"
    with app.store.write() as connection:
        permits.claim(connection, permit.id, key, at=now)
        permits.spend(connection, permit.id, key, at=now)
        lifecycle.advance(connection, key, MachineEvent.FIRST_BOOT, at=now)
    local = directory.decide(_client(stage=Stage.IPXE))
    assert local.reason == "deployed: local disk"
    assert script_decision(app, {"mac": MAC, "arch": "i386", "platform": "pcbios"}).action is Action.LOCAL


def test_a_known_decision_asks_nobody(
    app: Appliance, directory: NetbootDirectory, image: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = directory.decide(_client())
    monkeypatch.setattr(app.store, "read", lambda: pytest.fail("the store was asked again"))
    assert directory.decide(_client()) == first


def test_a_boot_is_one_timeline_and_its_missing_step_is_named(
    app: Appliance, directory: NetbootDirectory, image: dict[str, str], clock: FakeClock
) -> None:
    steps = [
        (
            BootEvent(at=0.0, kind=EventKind.DHCP_DISCOVER, mac=MAC, uuids=(), detail="x86-bios firmware"),
            "an offer of an address",
        ),
        (
            BootEvent(at=0.0, kind=EventKind.DHCP_OFFER, mac=MAC, detail="undionly.kpxe"),
            "its request for the offered address",
        ),
        (
            BootEvent(at=0.0, kind=EventKind.DHCP_ACK, mac=MAC, address=ADDRESS, detail="undionly.kpxe"),
            "the fetch of a boot loader or script",
        ),
        (
            BootEvent(at=0.0, kind=EventKind.TFTP_START, address=ADDRESS, detail="undionly.kpxe"),
            "the end of the transfer",
        ),
        (
            BootEvent(at=0.0, kind=EventKind.TFTP_DONE, address=ADDRESS, detail="undionly.kpxe"),
            "the request for its boot script",
        ),
    ]
    for event, missing in steps:
        clock.advance(1.0)
        directory.observe((replace(event, at=clock.now()),))
        if event.kind is EventKind.DHCP_OFFER:
            directory.save_leases((Lease(address=ADDRESS, key=MAC, mac=MAC, expires=clock.now() + 600),))
        found = _timeline(app)
        assert found.missing and found.missing.step == missing
        assert not found.overdue
    _script(app)
    stopped = _timeline(app).missing
    assert stopped and stopped.step == "the fetch of the kernel"
    clock.advance(61.0)
    assert _timeline(app).overdue
    assert deadlines.check(app) == 1
    trouble = _timeline(app).machine.machine.trouble
    assert trouble and trouble.kind is TroubleKind.BOOT
    assert "the script was served but no kernel fetched" in trouble.text
    assert deadlines.check(app) == 0
    for name in ("agent-kernel vmlinuz (7 bytes)", "agent-initrd agent.initrd (12 bytes)"):
        directory.observe((BootEvent(kind=EventKind.HTTP_FILE, at=app.clock.now(), address=ADDRESS, detail=name),))
    deadlines.check(app)
    after = _timeline(app)
    assert after.machine.machine.trouble is None
    assert after.missing and after.missing.step == "its enrolment"
    kinds = [entry.kind for entry in after.entries]
    assert kinds[0] == "seen"
    assert kinds.count("http-file") == 2


def test_downloads_find_their_machine_also_when_another_server_gave_the_address(
    app: Appliance, directory: NetbootDirectory, image: dict[str, str]
) -> None:
    _script(app)
    directory.observe(
        (BootEvent(kind=EventKind.HTTP_FILE, at=app.clock.now(), address=ADDRESS, detail="agent-kernel vmlinuz"),)
    )
    assert [e.kind for e in _timeline(app).entries] == ["seen", "script", "http-file"]
    assert directory.leases() == ()


def test_an_enrolled_machine_waits_for_a_person_without_a_deadline(app: Appliance, box: Make, clock: FakeClock) -> None:
    box(1).enrol()
    clock.advance(86400.0)
    found = _timeline(app)
    assert found.missing and (found.missing.step, found.overdue) == ("the approval of its enrolment", False)
    assert deadlines.check(app) == 0


def test_a_phase_over_its_deadline_gets_a_trouble_that_ends_when_it_moves_on(
    app: Appliance, box: Make, clock: FakeClock
) -> None:
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    one = box(1)
    key = one.enrol().machine
    clock.advance(601.0)
    assert deadlines.check(app) == 1
    shown = machines.show_machine(app, VIEWER, key).view
    assert shown.machine.trouble and shown.machine.trouble.kind is TroubleKind.DEADLINE
    assert "power-cycle the machine" in shown.next_action
    one.report(key)
    assert machines.show_machine(app, VIEWER, key).view.machine.trouble is None
    assert machines.show_machine(app, VIEWER, key).view.machine.phase is Phase.READY


def test_pools_come_from_the_site_file(app: Appliance, directory: NetbootDirectory) -> None:
    assert directory.pools() == ()
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    (pool,) = directory.pools()
    assert (str(pool.subnet), str(pool.first), str(pool.last)) == ("10.20.0.1/24", "10.20.0.128", "10.20.0.254")
    assert pool.dns


def test_a_planned_address_is_fixed(app: Appliance, directory: NetbootDirectory, box: Make) -> None:
    text = f"{APPROVE_ANY}machines:\n  n1: {{serial: WM21000001, address: 10.20.0.77}}\n"
    sites.load_site_text(app, OPERATOR, text, "lab.yaml")
    assert directory.fixed_address(_client()) is None
    one = box(1)
    key = one.enrol().machine
    assert directory.fixed_address(_client()) == IPv4Address("10.20.0.77")
    with app.store.write() as connection:
        allocations.put(
            connection, Allocation(machine=key, name="n1", address="10.20.0.78/24", profile="x", nics=((MAC, "lan0"),))
        )
        assert allocations.get(connection, key) == allocations.everything(connection)[0]
    assert directory.fixed_address(_client()) == IPv4Address("10.20.0.78")


def test_leases_are_kept_and_an_address_has_one_holder(directory: NetbootDirectory) -> None:
    first = Lease(address=ADDRESS, key="a", mac="aa:aa:aa:aa:aa:aa", expires=10.0, hostname="h")
    directory.save_leases((first,))
    assert directory.leases() == (first,)
    second = Lease(address=ADDRESS, key="b", mac="bb:bb:bb:bb:bb:bb", expires=20.0)
    directory.save_leases((second,))
    assert directory.leases() == (second,)
    moved = Lease(address=IPv4Address("10.20.0.131"), key="b", mac="bb:bb:bb:bb:bb:bb", expires=30.0)
    directory.save_leases((moved,))
    assert directory.leases() == (moved,)
    directory.forget_lease(ADDRESS, until=99.0)
    assert [(lease.address, lease.mac, lease.expires) for lease in directory.leases()] == [
        (ADDRESS, "", 99.0),
        (moved.address, moved.mac, 30.0),
    ]


def test_files_for_tftp(app: Appliance, directory: NetbootDirectory, image: dict[str, str], tmp_path: Path) -> None:
    assert directory.tftp_file("undionly.kpxe", ADDRESS) == str(tmp_path / "undionly.kpxe")
    assert directory.tftp_file("nonesuch", ADDRESS) is None
    assert directory.tftp_file("vmlinuz", ADDRESS) is None
    autoexec = directory.tftp_file("autoexec.ipxe", ADDRESS)
    assert autoexec is not None
    assert "http://10.20.0.1:8080/boot/script.ipxe?" in Path(autoexec).read_text()


def test_a_script_without_an_address_is_refused(app: Appliance) -> None:
    with pytest.raises(Invalid, match="mac: must be a MAC address"):
        script_decision(app, {"mac": "nonsense"})


def test_a_store_that_fails_is_a_directory_error(app: Appliance, directory: NetbootDirectory) -> None:
    directory.decide(_client())
    app.store.close()
    (app.settings.state / "rackseed.db").write_bytes(b"garbage" * 1000)
    for leftover in ("rackseed.db-wal", "rackseed.db-shm"):
        (app.settings.state / leftover).unlink(missing_ok=True)
    with pytest.raises(DirectoryError, match="not usable"):
        directory.fixed_address(_client())


def test_an_artefact_must_be_what_it_claims(app: Appliance, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12")
    with pytest.raises(Invalid) as caught:
        artefacts.register(app, "virus", "../x", path, sha256="zz", size=3)
    assert [where for where, _ in caught.value.problems] == ["kind", "name", "sha256", "size"]
