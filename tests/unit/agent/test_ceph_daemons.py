"""Monitors, admin sockets, commands and gateways as the agent meets them, without Ceph."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.act import (
    cephcommands,
    cephdaemons,
    cephfiles,
    cephmgr,
    cephmonitors,
)
from agent.errors import CephAnswerError, CephError
from agent.run import Result
from agent.wire import (
    CephAction,
    CephOrder,
    ConfigFile,
    MonAnswer,
    MonCommand,
    encode,
)
from tests.unit.agent.ceph_bare import FSID, OTHER, NoDaemons, perform, silent

# ---------------------------------------------------------------- monitors


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


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        (
            "[v2:10.0.0.1:3300,v1:10.0.0.1:6789],[v2:10.0.0.2:3300]",
            [("10.0.0.1", 3300), ("10.0.0.1", 6789), ("10.0.0.2", 3300)],
        ),
        ("[v2:[fd00::1]:3300,v1:[fd00::1]:6789]", [("fd00::1", 3300), ("fd00::1", 6789)]),
        ("10.0.0.1, 10.0.0.2", [("10.0.0.1", 3300), ("10.0.0.2", 3300)]),
        ("", []),
    ],
)
def test_hosts_of_a_configuration(text: str, hosts: list[tuple[str, int]]) -> None:
    assert cephmonitors.hosts_of(text) == hosts


def test_a_first_monitor_is_not_made_beside_others(home: Path) -> None:
    """Its store may have been lost with its disk, while the cluster lives on the others."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        conf = f"[global]\nmon_host = [v2:127.0.0.1:{port}]\n"
        order = CephOrder(
            action=CephAction.MON,
            fsid=FSID,
            daemon="n1",
            files=(ConfigFile(path=str(home / "etc/ceph.conf"), content=conf),),
        )
        with pytest.raises(CephError, match=f"127.0.0.1:{port} answers"):
            perform(order)
    assert not (home / "lib/mon").exists()


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


@pytest.mark.parametrize(
    ("kind", "enabled"),
    [
        ("osd", "systemctl enable --no-reload --runtime ceph-osd@3.service"),
        ("mon", "systemctl enable --no-reload ceph-mon@3.service"),
        ("rgw", "systemctl enable --no-reload ceph-radosgw@rgw.3.service"),
    ],
)
def test_only_ceph_volume_starts_osds_at_boot(
    kind: str, enabled: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []

    def run(argv: list[str], **options: Any) -> Result:
        said.append(" ".join(argv))
        return Result(argv=tuple(argv), code=3 if "is-active" in argv else 0, stdout="", stderr="")

    monkeypatch.setattr(cephdaemons, "run", run)
    monkeypatch.setattr(cephdaemons, "UNITS", tmp_path)
    systemd, name = cephdaemons.Systemd(), cephdaemons.unit(kind, "3")
    systemd.start(kind, "3")
    assert [words for words in said if " is-" not in words] == [
        enabled,
        f"systemctl reset-failed {name}",
        f"systemctl start {name}",
    ]
    systemd.stop(kind, "3")
    assert said[-2:] == [f"systemctl disable --runtime {name}", f"systemctl disable --now {name}"]
    assert not systemd.running(kind, "3")


def test_the_manager_gets_its_drop_in_before_it_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []

    def run(argv: list[str], **options: Any) -> Result:
        said.append(argv[1])
        enabled = argv[1] == "is-enabled" and "enable" in said
        return Result(
            argv=tuple(argv), code=0 if "start" in said else 3, stdout="enabled" if enabled else "", stderr=""
        )

    monkeypatch.setattr(cephdaemons, "run", run)
    monkeypatch.setattr(cephdaemons, "UNITS", tmp_path)
    monkeypatch.setattr(cephmgr, "needed", lambda: True)
    monkeypatch.setattr(cephmgr, "FOLDER", tmp_path / "stub")
    monkeypatch.setattr(cephmgr, "DROP_IN", tmp_path / "ceph-mgr@.service.d/50.conf")
    me = cephfiles.Owner(uid=os.getuid(), gid=os.getgid())
    real = cephfiles.write
    monkeypatch.setattr(cephfiles, "write", lambda path, text, mode: real(path, text, mode=mode, owner=me))
    cephdaemons.Systemd().start("mgr", "n1")
    once = ["is-enabled", "enable", "daemon-reload", "is-active", "reset-failed", "start"]
    assert said == once
    cephdaemons.Systemd().start("mgr", "n1")
    assert said[len(once) :] == ["is-enabled", "is-active"], "nothing is done twice"
    assert f"Environment=PYTHONPATH={tmp_path / 'stub'}\n" in (tmp_path / "ceph-mgr@.service.d/50.conf").read_text()
    names: dict[str, Any] = {}
    exec((tmp_path / "stub/bcrypt.py").read_text(), names)  # noqa: S102 - our own stub
    with pytest.raises(NotImplementedError):
        names["hashpw"](b"x", b"y")


def test_a_daemon_that_dies_is_reported_with_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(NoDaemons):
        def start(self, kind: str, daemon: str) -> None: ...

    monkeypatch.setattr(cephdaemons, "POLL", 0.0)
    monkeypatch.setattr(cephdaemons, "GRACE", 0.0)
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
