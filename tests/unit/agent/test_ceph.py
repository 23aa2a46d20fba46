"""Orders for Ceph on a machine without Ceph: admission, files, keyrings, findings, commands, signatures."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import deploy
from agent.act import (
    cephfiles,
    cephkeyrings,
)
from agent.act.actions import ImageActions
from agent.errors import CephError, OrderRefusedError
from agent.orders import Gate
from agent.patience import Patience
from agent.wire import (
    CephAction,
    CephOrder,
    ConfigFile,
    DeviceGrant,
    Order,
    OrderKind,
    OsdOrder,
    SecretFile,
    SiteBundle,
    decode,
    encode,
)
from tests.unit.agent.ceph_bare import FSID, KEY, OSD, OTHER, perform

GRANT = DeviceGrant(
    machine="m1", plan="p1", serial="S1", wwn="", model="M", size=10**12, fingerprint="f" * 64, osd_uuid=OSD
)


# ---------------------------------------------------------------- admission


def order_for(body: CephOrder, **changes: Any) -> Order:
    made = Order(id="o1", machine="m1", plan="p1", step="s", fence=1, nonce="n", kind=OrderKind.CEPH, ceph=body)
    return replace(made, **changes)


def osd_order(grant: DeviceGrant = GRANT, **changes: Any) -> CephOrder:
    osd = OsdOrder(number=3, uuid=OSD, device_class="hdd", data=grant)
    return CephOrder(action=CephAction.OSD, fsid=FSID, daemon="3", osd=replace(osd, **changes))


def test_a_ceph_order_survives_the_wire() -> None:
    order = order_for(osd_order(db=replace(GRANT, shared=True)))
    assert decode(Order, encode(order)) == order
    assert order.ceph is not None and len(order.ceph.grants) == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (osd_order(replace(GRANT, machine="m2")), "machine m2"),
        (osd_order(replace(GRANT, plan="p2")), "another plan"),
        (osd_order(db=replace(GRANT, plan="p2")), "another plan"),
        (osd_order(wal=replace(GRANT, machine="m2")), "machine m2"),
        (CephOrder(action=CephAction.ZAP, fsid=FSID, zap=(GRANT, replace(GRANT, plan="p2"))), "another plan"),
    ],
)
def test_every_grant_must_be_the_orders(body: CephOrder, words: str) -> None:
    """At the gate, and once more where the order is carried out (the lab has no gate)."""
    with pytest.raises(OrderRefusedError, match=words):
        Gate(machine="m1", nonce="n").admit(order_for(body))
    with pytest.raises(OrderRefusedError, match="not for this order"):
        perform(body)


def test_an_order_with_the_right_grants_is_admitted() -> None:
    gate = Gate(machine="m1", nonce="n")
    gate.admit(order_for(osd_order()))
    assert gate.fence == 1


def test_an_order_of_another_kind_may_not_carry_ceph() -> None:
    with pytest.raises(OrderRefusedError, match="carries something else"):
        Gate(machine="m1", nonce="n").admit(order_for(osd_order(), kind=OrderKind.REBOOT))


def test_the_agent_image_makes_no_ceph() -> None:
    site = SiteBundle(enrol_url="", agent_url="", public_url="", ca="")
    actions = ImageActions(site=site, patience=Patience())
    with pytest.raises(OrderRefusedError, match="installed system"):
        actions.ceph(order_for(osd_order()), osd_order(), None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (CephOrder(action=CephAction.ASK, fsid="nonsense"), "fsid"),
        (CephOrder(action=CephAction.MGR, fsid=FSID, daemon="../x"), "name of a daemon"),
        (CephOrder(action=CephAction.MON, fsid=FSID), "does not name it"),
        (CephOrder(action=CephAction.STOP, fsid=FSID, kind="nfs", daemon="a"), "which daemon"),
        (CephOrder(action=CephAction.ZAP, fsid=FSID), "grants no disk"),
        (CephOrder(action=CephAction.ZAP, fsid=FSID, zap=(replace(GRANT, osd_uuid=""),)), "names no OSD"),
        (CephOrder(action=CephAction.REMOVE, fsid=FSID, kind="osd", daemon="3"), "grant"),
        (CephOrder(action=CephAction.OSD, fsid=FSID), "makes no OSD"),
        (osd_order(backend="zfs"), "makes no OSD"),
        (osd_order(number=4), "does not say which"),
        (osd_order(db=GRANT), "two uses"),
        (osd_order(replace(GRANT, osd_uuid="")), "not 0000"),
        (osd_order(backend="raw", encrypted=True), "can't be encrypted"),
        (osd_order(backend="raw", db=replace(GRANT, serial="S2", shared=True), db_size=10**9), "whole disks"),
        (CephOrder(action=CephAction.CHECK, fsid=FSID), "names no pool"),
        (CephOrder(action=CephAction.CHECK, fsid=FSID, check="x", service="tape"), "tape"),
    ],
)
def test_orders_that_make_no_sense_are_refused(home: Path, order: CephOrder, words: str) -> None:
    with pytest.raises(OrderRefusedError, match=words):
        perform(order)


# ---------------------------------------------------------------- files and keyrings


def test_configure_writes_once(home: Path) -> None:
    """A second time nothing is different, so nothing is written."""
    key = cephkeyrings.new_key()
    order = CephOrder(
        action=CephAction.CONFIGURE,
        fsid=FSID,
        kind="mon osd",
        address="127.0.0.1",
        files=(ConfigFile(path=str(home / "etc/ceph.conf"), content=f"[global]\nfsid = {FSID}\n"),),
        secrets=(
            SecretFile(
                path=str(home / "etc/ceph.client.admin.keyring"),
                entity="client.admin",
                secret="admin",
                caps=(("mon", "allow *"),),
            ),
        ),
    )
    first, _ = perform(order, lambda name: f"{key}\n")
    keyring = home / "etc/ceph.client.admin.keyring"
    assert keyring.read_text() == f'[client.admin]\n\tkey = {key}\n\tcaps mon = "allow *"\n'
    assert keyring.stat().st_mode & 0o777 == 0o600
    assert "ceph.conf" in first and "keyring" in first
    assert "no file written" in perform(order, lambda name: key)[0]
    assert (home / "lib/mon").is_dir()


def test_configure_names_everything_at_once(home: Path) -> None:
    (home / "lib/osd/ceph-7").mkdir(parents=True)
    (home / "lib/osd/ceph-7/ceph_fsid").write_text(f"{OTHER}\n")
    cephfiles.CONF.parent.mkdir()
    cephfiles.CONF.write_text(f"[global]\nfsid={OTHER}\n")
    conf = "[global]\npublic network = 192.0.2.0/24\ncluster-network = 198.51.100.0/24\n"
    order = CephOrder(
        action=CephAction.CONFIGURE,
        fsid=FSID,
        kind="osd",
        address="192.0.3.77",
        files=(ConfigFile(path=str(home / "etc/ceph.conf"), content=conf),),
    )
    with pytest.raises(CephError) as raised:
        perform(order)
    said = str(raised.value)
    for words in (OTHER, "ceph-7", "192.0.3.77 is not on this machine", "not in the public network", "198.51.100.0/24"):
        assert words in said
    assert FSID not in cephfiles.CONF.read_text()  # nothing was written


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/ceph/../shadow", "/var/lib/cephalopod/x"])
def test_orders_write_below_cephs_folders_only(path: str) -> None:
    order = CephOrder(action=CephAction.ASK, fsid=FSID, files=(ConfigFile(path=path, content=""),))
    with pytest.raises(CephError, match="is not below"):
        perform(order)


def test_a_secret_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    path.symlink_to(tmp_path / "elsewhere")
    me = cephfiles.Owner(uid=os.getuid(), gid=os.getgid())
    assert cephfiles.write(path, "x", mode=0o600, owner=me)
    assert not path.is_symlink() and not (tmp_path / "elsewhere").exists()
    assert not cephfiles.write(path, "x", mode=0o600, owner=me)
    path.chmod(0o644)
    assert cephfiles.write(path, "x", mode=0o600, owner=me)  # the mode alone is worth a write
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_daemons_read_is_readable_under_the_units_umask(tmp_path: Path) -> None:
    me, before = cephfiles.Owner(uid=os.getuid(), gid=os.getgid()), os.umask(0o077)
    try:
        cephfiles.write(tmp_path / "a/b/stub.py", "x", mode=0o644, owner=me)
        cephfiles.make_folder(tmp_path / "c/d", me, 0o750)
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/stub.py", "c", "c/d")}
    assert modes == {"a": 0o755, "a/b": 0o755, "a/b/stub.py": 0o644, "c": 0o755, "c/d": 0o750}


def test_the_agents_unit_shares_the_mounts_of_the_machine() -> None:
    """An OSD's folder is a mount that its own unit must see (systemd.exec(5): these options unshare the namespace)."""
    words = ("ProtectSystem", "ProtectHome", "PrivateTmp", "ProtectKernel", "ProtectControlGroups", "PrivateMounts")
    lines = [line for line in deploy.UNIT.splitlines() if line and not line.startswith("#")]
    assert not [
        line for line in lines if line.startswith((*words, "ReadOnlyPaths", "InaccessiblePaths", "PrivateDevices"))
    ]
    assert any("AF_ALG" in line for line in lines)


@pytest.mark.parametrize(
    ("entity", "key", "caps"),
    [
        ("client.admin]\n[mon.", KEY, ()),
        ("client.admin", "no base64!", ()),
        ("client.admin", "c2hvcnQ=", ()),
        ("client.admin", KEY, (("mon", 'allow *"\n[x]'),)),
    ],
)
def test_a_keyring_can_not_be_broken_out_of(entity: str, key: str, caps: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(CephError) as raised:
        cephkeyrings.text(entity, key, caps)
    assert key not in str(raised.value)


def test_missing_programs_name_their_packages() -> None:
    with pytest.raises(CephError, match=r"ceph-no-such.*install ceph-no-such"):
        cephfiles.need_programs(["sh", "ceph-no-such"])
