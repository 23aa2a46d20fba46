"""`rackseed serve` for real: sockets, TLS, signals, and what remains after SIGKILL."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent import wire
from appliance.effects.authority import Authority
from appliance.effects.clock import SystemClock
from appliance.serve import supervisor
from tests.unit.operations.lab import csr, hardware
from tests.unit.web.serving import Serving, until

SITE = """\
site: lab
domain: lab.example.org
networks:
  provisioning:
    cidr: 127.0.0.0/8
    appliance: 127.0.0.1
    pool: 127.0.1.1-127.0.1.200
approve:
  - any: true
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One appliance for all tests of this module that do not kill it."""
    folder = tmp_path_factory.mktemp("serving")
    (folder / "site.yaml").write_text(SITE)
    made = Serving(folder, folder / "site.yaml")
    made.start()
    try:
        made.wait_ready()
        yield made
    finally:
        made.stop()


class Machine:
    """A machine that enrolled over real TLS; its key and certificate as files."""

    def __init__(self, serving: Serving, folder: Path, number: int) -> None:
        self.serving = serving
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.ca = str(serving.state / "keys" / "ca.pem")
        request = wire.EnrolmentRequest(
            csr=csr(self.key), nonce=f"{number:032x}", clock_offset=0.0, inventory=hardware(number)
        )
        reply = requests.post(
            f"https://127.0.0.1:{serving.https}/api/v1/enrolments",
            data=wire.encode(request),
            headers={"Content-Type": "application/json"},
            verify=self.ca,
            timeout=20,
        )
        assert reply.status_code == 201, reply.text
        self.reply = wire.decode(wire.EnrolmentReply, reply.content)
        self.files = write_identity(
            folder / f"machine-{number}-{self.reply.token[:6]}", self.reply.certificate, self.key
        )

    def poll(self, files: tuple[str, str] | None = None) -> requests.Response:
        with requests.Session() as session:
            return session.get(
                f"https://127.0.0.1:{self.serving.agents}/agent/v1/order?nonce=1",
                cert=files or self.files,
                verify=self.ca,
                timeout=20,
            )


def write_identity(path: Path, certificate: str, key: ec.EllipticCurvePrivateKey) -> tuple[str, str]:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.with_suffix(".pem").write_text(certificate)
    path.with_suffix(".key").write_bytes(pem)
    return str(path.with_suffix(".pem")), str(path.with_suffix(".key"))


def test_a_machine_with_its_certificate(serving: Serving, tmp_path: Path) -> None:
    machine = Machine(serving, tmp_path, 1)
    assert machine.poll().status_code == 200
    assert machine.poll().json()["order"] is None


def test_without_a_certificate_there_is_no_handshake(serving: Serving) -> None:
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        requests.get(
            f"https://127.0.0.1:{serving.agents}/agent/v1/order?nonce=1",
            verify=str(serving.state / "keys" / "ca.pem"),
            timeout=20,
        )


def test_a_certificate_of_another_authority(serving: Serving, tmp_path: Path) -> None:
    machine = Machine(serving, tmp_path, 2)
    other = Authority.open(tmp_path / "other", SystemClock(), "127.0.0.1")
    key = ec.generate_private_key(ec.SECP256R1())
    issued = other.issue(csr(key), machine=machine.reply.machine, environment="image")
    files = write_identity(tmp_path / "other-machine", issued.pem, key)
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        machine.poll(files)


def test_a_server_certificate_is_none_of_a_machine(serving: Serving, tmp_path: Path) -> None:
    machine = Machine(serving, tmp_path, 3)
    keys = serving.state / "keys"
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        machine.poll((str(keys / "server.pem"), str(keys / "server.key")))


def test_a_certificate_that_was_replaced(serving: Serving, tmp_path: Path) -> None:
    old = Machine(serving, tmp_path, 4)
    new = Machine(serving, tmp_path, 4)
    assert new.reply.machine == old.reply.machine
    assert new.poll().status_code == 200
    assert old.poll().status_code == 401


def test_a_certificate_that_we_signed_but_never_recorded(serving: Serving, tmp_path: Path) -> None:
    """The signature alone opens nothing: every request is looked up."""
    machine = Machine(serving, tmp_path, 5)
    authority = Authority.open(serving.state, SystemClock(), "127.0.0.1")
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue(csr(key), machine=machine.reply.machine, environment="image")
    assert machine.poll(write_identity(tmp_path / "forged", issued.pem, key)).status_code == 401


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(serving: Serving, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        context.minimum_version = version
    with pytest.warns(DeprecationWarning):
        context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", serving.https), timeout=10) as raw,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(raw)


def test_the_socket_and_the_token_are_private(serving: Serving) -> None:
    for path in (serving.state / "run" / "api.sock", serving.state / "admin-token"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((serving.state / "run").stat().st_mode) == 0o700


def test_remote_command_line(serving: Serving) -> None:
    token = (serving.state / "admin-token").read_text().strip()
    place = ["--url", f"https://127.0.0.1:{serving.https}"]
    ca = ["--ca", str(serving.state / "keys" / "ca.pem")]
    good = serving.command("machine", "list", *place, "--token", token, *ca)
    assert good.returncode == 0, good.stderr
    refused = serving.command("machine", "list", *place, "--token", "rackseed-no", *ca)
    assert refused.returncode == 1
    assert "not known" in refused.stderr
    untrusted = serving.command("machine", "list", *place, "--token", token)
    assert untrusted.returncode == 1
    assert "--ca FILE" in untrusted.stderr


def test_a_peer_that_says_nothing_does_not_block_the_others(serving: Serving) -> None:
    """More idle connections than threads, on the TLS port and on the plain one."""
    held = [
        socket.create_connection(("127.0.0.1", port), timeout=5)
        for port in (serving.https, serving.http)
        for _ in range(70)
    ]
    try:
        plain = requests.get(f"http://127.0.0.1:{serving.http}/healthz", timeout=20)
        assert plain.text == "ok\n"
        with urllib3.PoolManager(ca_certs=str(serving.state / "keys" / "ca.pem")) as pool:
            assert pool.request("GET", f"https://127.0.0.1:{serving.https}/healthz", timeout=20).data == b"ok\n"
    finally:
        for connection in held:
            connection.close()


def test_the_certificate_is_of_our_authority(serving: Serving) -> None:
    raw = ssl.get_server_certificate(("127.0.0.1", serving.https), ca_certs=str(serving.state / "keys" / "ca.pem"))
    names = x509.load_pem_x509_certificate(raw.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "127.0.0.1" in [str(name) for name in names.value.get_values_for_type(x509.IPAddress)]


def test_sigkill_of_the_supervisor_leaves_nothing_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    serving = Serving(tmp_path, tmp_path / "site.yaml")
    serving.start()
    try:
        serving.wait_ready()
        machine = Machine(serving, tmp_path, 1)
        family = serving.family()
        assert len(family) >= 8, "four processes, and a worker of each of the three listeners"
        os.kill(family[0].pid, signal.SIGKILL)
        assert serving.process is not None
        serving.process.wait()
        gone, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
        assert len(gone) == len(family)
        serving.start()
        serving.wait_ready()
        assert machine.poll().status_code == 200, "its certificate is still good"
        assert "WM21000001" in serving.command("machine", "list").stdout
        middle = serving.family()
        os.kill(serving.process.pid, signal.SIGTERM)
        assert serving.process.wait(30) == 0
        assert not psutil.wait_procs(middle, timeout=5)[1]
    finally:
        serving.stop()


def test_a_dead_child_is_started_again(serving: Serving) -> None:

    def workers() -> list[int]:
        found = []
        for process in serving.family()[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "rackseed-worker" and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found

    [victim] = workers()
    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        now = workers()
        return bool(now) and victim not in now

    until(replaced, "another worker", serving.log)
    assert "process=worker status=-9 why=ended" in serving.log.read_text()


def test_pauses_grow_and_end() -> None:
    pauses = [supervisor.pause_after(number) for number in range(1, 12)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 1.0
    assert pauses[-1] == supervisor.LONGEST_PAUSE
