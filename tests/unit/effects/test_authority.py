"""The keys of the appliance: made once, whole or not at all; certificates that are good for one thing only."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.wire import Order, OrderKind, RebootOrder, SignedOrder
from appliance.effects.authority import Authority, AuthorityError, CertificateError, OrderSignatureError
from appliance.effects.certificates import read_peer
from appliance.effects.clock import FakeClock, SystemClock

ROOT = Path(__file__).resolve().parents[3]
OPEN = (
    "import sys; from pathlib import Path; from appliance.effects.authority import Authority; "
    "from appliance.effects.clock import SystemClock; "
    "a = Authority.open(Path(sys.argv[1]), SystemClock(), '10.7.0.1'); print(a.ca_pem + a.order_key_pem)"
)


def request(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, name: str = "x") -> str:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    alternative = x509.SubjectAlternativeName([x509.DNSName("appliance.example")])
    builder = builder.add_extension(alternative, critical=False)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "state", FakeClock(), "10.7.0.1")


def test_all_keys_are_private_and_made_once(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "keys"
    assert {path.name for path in folder.iterdir()} == {"ca.pem", "ca.key", "server.pem", "server.key", "order.key"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    again = Authority.open(tmp_path / "state", FakeClock(), "10.7.0.1")
    assert (again.ca_pem, again.order_key_pem) == (authority.ca_pem, authority.order_key_pem)
    assert again.server_certificate_path.read_bytes() == authority.server_certificate_path.read_bytes()


def test_three_separate_keys_with_exclusive_usages(authority: Authority) -> None:
    server = x509.load_pem_x509_certificate(authority.server_certificate_path.read_bytes())
    machine = x509.load_pem_x509_certificate(
        authority.issue(
            request(ec.generate_private_key(ec.SECP256R1())), machine="m-a", environment="image"
        ).pem.encode()
    )

    def usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
        return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)

    assert usages(server) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert usages(machine) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    for leaf in (server, machine):
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.digital_signature
        assert not usage.key_cert_sign
    constraints = authority.ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert not authority.ca.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert len({certificate.public_key().public_bytes(*form) for certificate in (authority.ca, server, machine)}) == 3
    assert isinstance(authority.order_key, ed25519.Ed25519PrivateKey)


def test_dead_clocks_still_believe_us(authority: Authority) -> None:
    """The CA is valid from 2000 on (a dead clock battery); leaves from a day ago."""
    now = datetime.fromtimestamp(authority.clock.now(), UTC)
    assert authority.ca.not_valid_before_utc == datetime(2000, 1, 1, tzinfo=UTC)
    server = x509.load_pem_x509_certificate(authority.server_certificate_path.read_bytes())
    assert now - server.not_valid_before_utc == timedelta(days=1)
    assert server.not_valid_after_utc > now + timedelta(days=365)


def test_nothing_of_the_request_but_its_key_is_used(authority: Authority) -> None:
    csr = request(ec.generate_private_key(ec.SECP256R1()), "m-somebody-else")
    issued = authority.issue(csr, machine="m-abc", environment="image")
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    assert certificate.subject.rfc4514_string() == "CN=m-abc,OU=image"
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    peer = read_peer(certificate.public_bytes(serialization.Encoding.DER))
    assert (peer.machine, peer.environment, peer.serial) == ("m-abc", "image", issued.serial)
    assert peer.key_sha256 == issued.key_sha256 == authority.key_sha256(csr)


def test_the_server_is_no_machine(authority: Authority) -> None:
    server = x509.load_pem_x509_certificate(authority.server_certificate_path.read_bytes())
    for certificate in (server, authority.ca):
        with pytest.raises(CertificateError):
            read_peer(certificate.public_bytes(serialization.Encoding.DER))
    with pytest.raises(CertificateError):
        read_peer(b"no certificate")


def test_ed25519_is_accepted_too(authority: Authority) -> None:
    issued = authority.issue(request(ed25519.Ed25519PrivateKey.generate()), machine="m-a", environment="installed")
    days = (issued.not_after - authority.clock.now()) / 86400
    assert 3600 < days <= 3650


@pytest.mark.parametrize(
    ("csr", "complaint"),
    [
        (lambda: request(rsa.generate_private_key(65537, 2048)), "wrong type"),
        (lambda: request(ec.generate_private_key(ec.SECP384R1())), "secp384r1; use EC P-256"),
        (lambda: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "not a certificate"),
        (lambda: "", "not a certificate request"),
        (lambda: "ä", "not a certificate request"),
    ],
    ids=["rsa", "p384", "garbage", "empty", "not-ascii"],
)
def test_other_requests_are_refused(authority: Authority, csr: object, complaint: str) -> None:
    assert callable(csr)
    with pytest.raises(CertificateError, match=complaint):
        authority.issue(csr(), machine="m-a", environment="image")


def test_a_request_signed_by_another_key_is_refused(authority: Authority) -> None:
    """Somebody asks for a certificate for a key that he does not hold."""
    mine, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    der = x509.load_pem_x509_csr(request(mine).encode()).public_bytes(serialization.Encoding.DER)
    forged = der.replace(
        mine.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
        other.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
    )
    assert forged != der
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CertificateError, match="signature is wrong"):
        authority.issue(pem, machine="m-a", environment="image")


def test_the_server_certificate_follows_the_address_and_the_calendar(tmp_path: Path) -> None:
    clock = FakeClock()
    first = Authority.open(tmp_path, clock, "10.7.0.1")
    before = first.server_certificate_path.read_bytes()
    key = first.server_key_path.read_bytes()
    moved = Authority.open(tmp_path, clock, "10.8.0.1")
    after = moved.server_certificate_path.read_bytes()
    assert before != after
    names = x509.load_pem_x509_certificate(after).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [str(ip) for ip in names.value.get_values_for_type(x509.IPAddress)] == ["10.8.0.1", "127.0.0.1"]
    clock.advance(86400 * 700)
    assert Authority.open(tmp_path, clock, "10.8.0.1").server_certificate_path.read_bytes() == after
    clock.advance(86400 * 60)
    renewed = Authority.open(tmp_path, clock, "10.8.0.1")
    assert renewed.server_certificate_path.read_bytes() != after
    assert renewed.server_key_path.read_bytes() == key
    assert renewed.ca_pem == first.ca_pem


def order(**values: object) -> Order:
    facts = {"id": "o1", "machine": "m-a", "plan": "p", "step": "s", "fence": 1, "nonce": "n", "kind": OrderKind.REBOOT}
    return Order(**{**facts, "reboot": RebootOrder(), **values})  # type: ignore[arg-type]


def test_orders_are_signed_as_a_whole(authority: Authority, tmp_path: Path) -> None:
    signed = authority.sign(order())
    assert authority.verify(signed) == order()
    other = authority.sign(order(fence=2))
    stranger = Authority.open(tmp_path / "other", FakeClock(), "10.7.0.1")
    for bad in (
        SignedOrder(payload=other.payload, signature=signed.signature),
        SignedOrder(payload="!", signature=signed.signature),
        SignedOrder(payload=signed.payload, signature=""),
        stranger.sign(order()),
    ):
        with pytest.raises(OrderSignatureError):
            authority.verify(bad)


def test_the_agent_accepts_what_we_sign(authority: Authority) -> None:
    verify = pytest.importorskip("agent.orders").verify
    assert verify(authority.sign(order()), authority.order_key_pem) == order()


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem", "server.key", "order.key"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    Authority.open(tmp_path, FakeClock(), "10.7.0.1")
    (tmp_path / "keys" / name).write_bytes(b"-----BEGIN NONSENSE-----\n")
    with pytest.raises(AuthorityError, match="restore"):
        Authority.open(tmp_path, FakeClock(), "10.7.0.1")


def test_a_missing_file_is_not_made_anew(tmp_path: Path) -> None:
    """A lost CA key must never be replaced silently: every machine would stop to trust us."""
    Authority.open(tmp_path, FakeClock(), "10.7.0.1")
    (tmp_path / "keys" / "ca.key").unlink()
    with pytest.raises(AuthorityError, match="cannot use the keys"):
        Authority.open(tmp_path, FakeClock(), "10.7.0.1")


def test_keys_of_two_appliances_are_not_mixed(tmp_path: Path) -> None:
    Authority.open(tmp_path / "a", FakeClock(), "10.7.0.1")
    other = Authority.open(tmp_path / "b", FakeClock(), "10.7.0.1")
    (tmp_path / "a" / "keys" / "ca.pem").write_bytes(other.ca_path.read_bytes())
    with pytest.raises(AuthorityError, match="do not belong together"):
        Authority.open(tmp_path / "a", FakeClock(), "10.7.0.1")


def start(state: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, str(state)], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_processes_that_start_at_once_make_one_set(tmp_path: Path) -> None:
    started = [start(tmp_path) for _ in range(3)]
    outputs = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(outputs) == 1


def test_killed_while_making_keys_it_starts_again(tmp_path: Path) -> None:
    """A crash at any point of `_make` leaves the whole set or none: every call that writes is a point to die at."""
    from appliance.effects import authority as module  # noqa: PLC0415

    class Died(BaseException):
        pass

    real = module.write_new
    for survive in range(6):
        state = tmp_path / str(survive)
        calls = 0

        def dying(path: Path, content: bytes, mode: int = 0o600, limit: int = survive) -> None:
            nonlocal calls
            if calls == limit:
                path.write_bytes(content[: len(content) // 2])
                raise Died
            calls += 1
            real(path, content, mode)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "write_new", dying)
            if survive < 5:
                with pytest.raises(Died):
                    Authority.open(state, FakeClock(), "10.7.0.1")
                assert not (state / "keys").exists()
        first = Authority.open(state, FakeClock(), "10.7.0.1")
        assert Authority.open(state, FakeClock(), "10.7.0.1").ca_pem == first.ca_pem
        assert {path.name for path in state.iterdir()} == {"keys", ".keys.lock"}


def test_sigkill_at_a_random_moment_leaves_a_usable_state(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(4):
        state = tmp_path / str(number)
        process = start(state)
        deadline = time.monotonic() + 10
        while not (state / ".keys.lock").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(chance.random() * 0.006)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        opened = Authority.open(state, SystemClock(), "10.7.0.1")
        assert {path.name for path in opened.folder.iterdir()} == {
            "ca.pem",
            "ca.key",
            "server.pem",
            "server.key",
            "order.key",
        }
