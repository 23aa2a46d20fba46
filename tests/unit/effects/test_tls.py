"""What the certificates are good for, asked of OpenSSL in real handshakes (in memory, without a socket)."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.effects import certificates
from appliance.effects.authority import Authority
from appliance.effects.clock import SystemClock

ADDRESS = "10.7.0.1"
IGNORE_DATES = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: how the agent asks for the time before its clock is right."""


class Pair:
    """A certificate with its key, as files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate, self.key = certificate, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.open(tmp_path_factory.mktemp("state"), SystemClock(), ADDRESS)


def machine(authority: Authority, folder: Path, name: str = "m-a") -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    text = csr.public_bytes(serialization.Encoding.PEM).decode()
    pem = authority.issue(text, machine=name, environment="image").pem.encode()
    return write(folder, name, pem, key)


def write(folder: Path, name: str, pem: bytes, key: ec.EllipticCurvePrivateKey) -> Pair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.pem").write_bytes(pem)
    (folder / f"{name}.key").write_bytes(private)
    return Pair(folder / f"{name}.pem", folder / f"{name}.key")


def appliance(authority: Authority) -> Pair:
    return Pair(authority.server_certificate_path, authority.server_key_path)


def serving(pair: Pair, clients: Authority | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # a refused client certificate shows in the handshake itself
    context.load_cert_chain(pair.certificate, pair.key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.ca_path)
    return context


def trusting(
    authority: Authority, pair: Pair | None = None, *, name: bool = True, strict: bool = True
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca_path))
    context.check_hostname = name
    if strict:  # Python 3.13's own default, and not older ones'
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    else:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def shake(server: ssl.SSLContext, client: ssl.SSLContext, address: str = ADDRESS) -> ssl.SSLObject:
    """Run a handshake to its end; returns the server's side. Raises `ssl.SSLError` of whichever side refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    here = client.wrap_bio(to_client, to_server, server_hostname=address)
    done = {"here": False, "there": False}
    for _ in range(12):
        for name, side in (("here", here), ("there", there)):
            if not done[name]:
                try:
                    side.do_handshake()
                    done[name] = True
                except ssl.SSLWantReadError:
                    continue
        if all(done.values()):
            return there
    raise AssertionError("the handshake does not end")


def test_mutual_tls_works_and_names_the_machine(authority: Authority, tmp_path: Path) -> None:
    pair = machine(authority, tmp_path)
    side = shake(serving(appliance(authority), authority), trusting(authority, pair))
    der = side.getpeercert(binary_form=True)
    assert der is not None
    assert certificates.read_peer(der).machine == "m-a"


def test_a_machine_cannot_pose_as_the_appliance(authority: Authority, tmp_path: Path) -> None:
    """Even a client that does not look at names refuses: the certificate is not for servers."""
    fake = serving(machine(authority, tmp_path))
    with pytest.raises(
        ssl.SSLCertVerificationError, match=r"unsuitable certificate purpose|unsupported certificate purpose"
    ):
        shake(fake, trusting(authority, name=False, strict=False))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(fake, trusting(authority))


def test_the_server_key_is_no_machine(authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        shake(serving(appliance(authority), authority), trusting(authority, appliance(authority)))


def test_a_machine_cannot_make_certificates(authority: Authority, tmp_path: Path) -> None:
    """A machine signs a server certificate with its own key: the chain ends at something that is no CA."""
    pair = machine(authority, tmp_path)
    mine = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    own = ec.generate_private_key(ec.SECP256R1())
    forged = certificates.certify_server(mine, key, own.public_key(), (ADDRESS,), authority.clock.now())
    chain = certificates.pem(forged) + pair.certificate.read_bytes()
    with pytest.raises(ssl.SSLCertVerificationError, match=r"invalid CA certificate|unable to get"):
        shake(serving(write(tmp_path, "forged", chain, own)), trusting(authority, strict=False))


def test_a_second_ca_below_ours_is_refused(authority: Authority, tmp_path: Path) -> None:
    """Even if the CA had signed another CA: its path length is 0."""
    key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = authority.clock.now()
    below = (
        x509.CertificateBuilder(extensions=list(certificates.certify_ca(key, now).extensions))
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "below")]))
        .issuer_name(authority.ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(certificates.at(now) - timedelta(days=1))
        .not_valid_after(certificates.at(now) + timedelta(days=9))
        .sign(authority.ca_key, hashes.SHA256())
    )
    leaf = certificates.certify_server(below, key, own.public_key(), (ADDRESS,), now)
    chain = certificates.pem(leaf) + certificates.pem(below)
    with pytest.raises(ssl.SSLCertVerificationError, match="path length"):
        shake(serving(write(tmp_path, "below", chain, own)), trusting(authority, strict=False))


def test_another_appliance_is_refused_both_ways(authority: Authority, tmp_path: Path) -> None:
    other = Authority.open(tmp_path / "other", SystemClock(), ADDRESS)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(serving(appliance(other)), trusting(authority))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(serving(appliance(authority), authority), trusting(authority, machine(other, tmp_path)))


def test_another_address_is_refused(authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        shake(serving(appliance(authority)), trusting(authority), "10.7.0.2")
    shake(serving(appliance(authority)), trusting(authority), "127.0.0.1")


def test_expired_is_refused_unless_dates_are_ignored(authority: Authority, tmp_path: Path) -> None:
    """The agent ignores dates for one question only (what time is it), and nothing else with them."""
    key = ec.generate_private_key(ec.SECP256R1())
    long_ago = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    old = certificates.certify_server(authority.ca, authority.ca_key, key.public_key(), (ADDRESS,), long_ago)
    server = serving(write(tmp_path, "old", certificates.pem(old), key))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake(server, trusting(authority))
    dateless = trusting(authority)
    dateless.verify_flags |= ssl.VerifyFlags(IGNORE_DATES)
    shake(server, dateless)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake(server, dateless, "10.7.0.2")


def test_no_certificate_no_entry(authority: Authority) -> None:
    with pytest.raises(ssl.SSLError, match=r"peer did not return a certificate|PEER_DID_NOT_RETURN"):
        shake(serving(appliance(authority), authority), trusting(authority))
