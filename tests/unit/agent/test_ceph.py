"""Orders for Ceph on a machine without Ceph: admission, files, keyrings, findings, commands, signatures."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.act import (
    ceph,
    cephcommands,
    cephconfigure,
    cephdaemons,
    cephfiles,
    cephkeyrings,
    cephmonitors,
    cephservices,
)
from agent.act.actions import ImageActions
from agent.act.cephs3 import S3
from agent.errors import CephAnswerError, CephError, OrderRefusedError
from agent.orders import Gate
from agent.patience import Patience
from agent.run import CommandError
from agent.wire import (
    CephAction,
    CephOrder,
    ConfigFile,
    DeviceGrant,
    MonAnswer,
    MonCommand,
    Order,
    OrderKind,
    OsdOrder,
    SecretFile,
    SiteBundle,
    decode,
    encode,
)

FSID, OTHER = "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11", "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f12"
OSD = "00000000-0000-4000-8000-000000000001"
GRANT = DeviceGrant(
    machine="m1", plan="p1", serial="S1", wwn="", model="M", size=10**12, fingerprint="f" * 64, osd_uuid=OSD
)


class NoDaemons:
    def start(self, kind: str, daemon: str) -> None:
        raise AssertionError("nothing may be started")

    def stop(self, kind: str, daemon: str) -> None: ...

    def running(self, kind: str, daemon: str) -> bool:
        return False


def silent(stage: str, fraction: float, message: str) -> None: ...


def perform(order: CephOrder, secrets: Callable[[str], str] = lambda name: cephkeyrings.new_key()) -> Any:
    return ceph.perform(order, "m1", "p1", lambda: (), secrets, NoDaemons(), silent)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ceph's folders below a temporary one, owned by whoever runs the test."""
    for name in ("ETC", "LIB", "RUN"):
        monkeypatch.setattr(cephfiles, name, tmp_path / name.lower())
    monkeypatch.setattr(cephfiles, "CONF", tmp_path / "etc/ceph.conf")
    monkeypatch.setattr(cephfiles, "ADMIN", tmp_path / "etc/ceph.client.admin.keyring")
    monkeypatch.setattr(cephfiles, "BOOTSTRAP", tmp_path / "lib/bootstrap-osd/ceph.keyring")
    monkeypatch.setattr(cephfiles, "NOTES", tmp_path / "lib/rackseed")
    me = cephfiles.Owner(uid=os.getuid(), gid=os.getgid())
    monkeypatch.setattr(cephfiles, "owner_of", lambda name: me)
    monkeypatch.setattr(cephfiles, "need_programs", list)
    monkeypatch.setattr(cephconfigure, "raise_limits", lambda: "")
    return tmp_path


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
        (osd_order(backend="raw", db=replace(GRANT, serial="S2", shared=True)), "whole disks"),
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


@pytest.mark.parametrize(
    ("entity", "key", "caps"),
    [
        ("client.admin]\n[mon.", cephkeyrings.new_key(), ()),
        ("client.admin", "no base64!", ()),
        ("client.admin", "c2hvcnQ=", ()),
        ("client.admin", cephkeyrings.new_key(), (("mon", 'allow *"\n[x]'),)),
    ],
)
def test_a_keyring_can_not_be_broken_out_of(entity: str, key: str, caps: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(CephError) as raised:
        cephkeyrings.text(entity, key, caps)
    assert key not in str(raised.value)


def test_missing_programs_name_their_packages() -> None:
    with pytest.raises(CephError, match=r"ceph-no-such.*install ceph-no-such"):
        cephfiles.need_programs(["sh", "ceph-no-such"])


@pytest.mark.parametrize(
    ("address", "vector", "shown"),
    [
        ("10.0.0.1", "[v2:10.0.0.1:3300,v1:10.0.0.1:6789]", "10.0.0.1:6789/0"),
        ("fd00::1", "[v2:[fd00::1]:3300,v1:[fd00::1]:6789]", "[fd00::1]:6789/0"),
    ],
)
def test_addresses_of_monitors(address: str, vector: str, shown: str) -> None:
    assert cephmonitors.vector(address) == vector
    assert str(cephmonitors.host_of(shown)) == address
    assert cephmonitors.host_of("10.0.0.12:6789/0") != cephmonitors.host_of("10.0.0.1:6789/0")
    assert cephmonitors.host_of("-") is None


# ---------------------------------------------------------------- monitors that are there already


def test_half_a_monitor_is_thrown_away_and_a_strange_folder_is_not(home: Path) -> None:
    order = CephOrder(action=CephAction.MON, fsid=FSID, daemon="n1")
    folder = home / "lib/mon/ceph-n1"
    folder.mkdir(parents=True)
    (folder / "keyring").write_text("")
    (home / "lib/mon/.ceph-n1.making/store.db").mkdir(parents=True)
    assert not cephmonitors._state(order, folder, NoDaemons())
    assert not folder.exists() and not (home / "lib/mon/.ceph-n1.making").exists()
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(CephError, match=r"notes\.txt"):
        cephmonitors._state(order, folder, NoDaemons())
    assert (folder / "notes.txt").exists()


def test_a_monitor_of_another_cluster_is_refused_by_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = CephOrder(action=CephAction.MON, fsid=FSID, daemon="n1")
    folder = home / "lib/mon/ceph-n1"
    (folder / "store.db").mkdir(parents=True)
    monkeypatch.setattr(cephmonitors, "store_fsid", lambda daemon, place: OTHER)
    with pytest.raises(CephError, match=OTHER):
        cephmonitors._state(order, folder, NoDaemons())
    assert folder.exists()


def status(**changes: Any) -> dict[str, Any]:
    mons = [{"name": "n1", "public_addr": "10.0.0.1:6789/0"}]
    return {"state": "leader", "rank": 0, "quorum": [0], "monmap": {"fsid": FSID, "mons": mons}, **changes}


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        (None, "does not answer"),
        (status(quorum=[1, 2], state="probing"), "probing"),
        (status(rank=-1, monmap={"fsid": FSID, "mons": []}), "not in the quorum"),
        (status(), ""),
    ],
)
def test_a_monitor_counts_when_it_is_in_the_quorum(said: Any, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cephdaemons, "answer", lambda kind, daemon, prefix: said)
    order = CephOrder(action=CephAction.MON, fsid=FSID, daemon="n1", address="10.0.0.1")
    found = cephmonitors.missing(order)
    assert (missing in found) if missing else found == ""


@pytest.mark.parametrize(
    ("order_address", "said", "words"),
    [("10.0.0.1", status(monmap={"fsid": OTHER}), OTHER), ("10.0.0.10", status(), "announces")],
)
def test_a_monitor_elsewhere_is_an_error(
    order_address: str, said: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cephdaemons, "answer", lambda kind, daemon, prefix: said)
    with pytest.raises(CephError, match=words):
        cephmonitors.missing(CephOrder(action=CephAction.MON, fsid=FSID, daemon="n1", address=order_address))


# ---------------------------------------------------------------- daemons


@pytest.fixture
def socket_of(tmp_path: Path) -> Iterator[Callable[[bytes], Path]]:
    """An admin socket that answers one request as it is told, over a real Unix socket."""
    servers: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def make(answer: bytes) -> Path:
        path = tmp_path / f"{len(servers)}.asok"
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(path))
        server.listen(1)
        servers.append(server)

        def serve() -> None:
            link, _ = server.accept()
            with link:
                asked = b""
                while not asked.endswith(b"\0"):
                    asked += link.recv(4096)
                assert json.loads(asked[:-1])["prefix"] == "mon_status"
                link.sendall(answer)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return path

    yield make
    for thread, server in zip(threads, servers, strict=True):
        thread.join(5)
        server.close()


def test_the_admin_socket_speaks(socket_of: Callable[[bytes], Path]) -> None:
    body = b'{"state": "leader"}'
    path = socket_of(struct.pack(">I", len(body)) + body)
    assert cephdaemons.ask_socket(path, "mon_status") == {"state": "leader"}


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", OSError),
        (struct.pack(">I", 5) + b"{}", OSError),
        (struct.pack(">I", 2) + b"no", CephError),
        (struct.pack(">I", 2**31), CephError),
    ],
)
def test_a_broken_admin_socket_is_told(socket_of: Callable[[bytes], Path], raw: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        cephdaemons.ask_socket(socket_of(raw), "mon_status")


def test_units_are_debians() -> None:
    assert cephdaemons.unit("mon", "n1") == "ceph-mon@n1.service"
    assert cephdaemons.unit("osd", "3") == "ceph-osd@3.service"
    assert cephdaemons.unit("rgw", "n1") == "ceph-radosgw@rgw.n1.service"
    with pytest.raises(CephError):
        cephdaemons.unit("osd", "3 --now")


def test_a_daemon_that_dies_is_reported_with_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(NoDaemons):
        def start(self, kind: str, daemon: str) -> None: ...

    monkeypatch.setattr(cephdaemons, "POLL", 0.0)
    monkeypatch.setattr(cephdaemons, "last_words", lambda kind, daemon: "it fell over")
    with pytest.raises(CephError, match="does not stay up: it fell over"):
        cephdaemons.start_and_wait(Dying(), "mgr", "n1", ready=lambda: "silent", tell=silent, seconds=5)


# ---------------------------------------------------------------- commands


def command(**changes: Any) -> MonCommand:
    return MonCommand(command=json.dumps({"prefix": "auth add"}), **changes)


def test_secrets_go_into_payloads_and_answers_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[MonCommand] = []

    def send(commands: list[MonCommand]) -> list[MonAnswer]:
        sent.extend(commands)
        return [MonAnswer(code=0, output="{}"), MonAnswer(code=17, status="exists")]

    monkeypatch.setattr(cephcommands, "send", send)
    order = CephOrder(
        action=CephAction.ASK,
        fsid=FSID,
        commands=(command(payload="key = {secret}", secret="k"), command(may_fail=(17,))),
    )
    message, answers = perform(order, lambda name: f"the-{name}\n")
    assert [item.payload for item in sent] == ["key = the-k", ""]
    assert [answer.code for answer in answers] == [0, 17] and "2 commands" in message


def test_the_first_failure_ends_it_with_what_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cephcommands, "send", lambda commands: [MonAnswer(code=0), MonAnswer(code=1, status="not so")])
    with pytest.raises(CephAnswerError, match="`auth add`: not so") as raised:
        cephcommands.ask([command(), command(), command()], lambda name: "")
    assert [answer.code for answer in raised.value.answers] == [0, 1]


def test_an_answer_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole report must fit into the appliance's limit, as JSON text (quotes grow)."""
    half = MonAnswer(code=0, output='"' * (cephcommands.ANSWERS_LIMIT // 4))
    kept = cephcommands.fit([half, half, half])
    assert [answer.code for answer in kept] == [0, cephcommands.TOO_LARGE]
    assert len(encode(kept[0])) + len(encode(kept[1])) < 1024 * 1024
    monkeypatch.setattr(cephcommands, "send", lambda commands: [half, half])
    with pytest.raises(CephAnswerError, match="ask for less"):
        cephcommands.ask([command(), command()], lambda name: "")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{"missing": "No module named rados"}', "python3-rados"),
        ('{"error": "TimedOut"}', "monitors up"),
        ("", "no answer"),
    ],
)
def test_no_cluster_is_said_in_words(said: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cephcommands, "PYTHON", "/bin/echo")
    real = cephcommands.run

    def fake(argv: list[str], **options: Any) -> Any:
        return real(["/bin/echo", said], **options)

    monkeypatch.setattr(cephcommands, "run", fake)
    with pytest.raises(CephError, match=words):
        cephcommands.talk({"do": "commands", "commands": []}, timeout=10)


# ---------------------------------------------------------------- gateways


def test_signature_version_4() -> None:
    """Its fixed parts; that a gateway accepts it is shown in tests/net/agent/test_ceph_osd_on_loop.py."""
    s3 = S3(host="10.0.0.1", port=7480, access="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    headers = s3.headers("GET", "/bucket/key", b"", 1440938160.0)
    assert headers["X-Amz-Date"] == "20150830T123600Z"
    assert headers["Authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/default/s3/aws4_request"
    )
    assert headers["Host"] == "10.0.0.1:7480"
    other = s3.headers("PUT", "/bucket/key", b"", 1440938160.0)
    assert other["Authorization"] != headers["Authorization"]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", 7480)),
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("[fd00::1]:80", ("fd00::1", 80)),
        ("[fd00::1]", ("fd00::1", 7480)),
        ("fd00::1", ("fd00::1", 7480)),
    ],
)
def test_addresses_of_gateways(address: str, found: tuple[str, int]) -> None:
    assert cephservices.endpoint(address) == found


def test_a_secret_key_is_not_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(argv: list[str], **options: Any) -> Any:
        raise CommandError(argv, "did not end within 180 s")

    monkeypatch.setattr(cephservices, "run", fail)
    with pytest.raises(CephError) as raised:
        cephservices._create("user", "create", "--uid=first", "--secret-key=verysecret")
    chain = f"{raised.value} {raised.value.__cause__}"
    assert "verysecret" not in chain and "radosgw-admin user create" in chain
