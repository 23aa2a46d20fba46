"""X.509 as pure functions: what the CA, the server and a machine's certificate may be used for, and nothing more.

Usages are exclusive (RFC 5280 §4.2.1.3, §4.2.1.12): the CA only signs certificates, the server's certificate is only for
serverAuth, a machine's only for clientAuth. So a machine cannot pose as the appliance, nor the appliance's web server as a
machine. Nothing that the applicant wrote into its request is copied but the key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Begin of the CA's validity: a machine whose clock battery is dead boots with a date long ago and must believe us."""

BACKDATED = timedelta(days=1)
CA_YEARS, SERVER_DAYS, IMAGE_DAYS, INSTALLED_DAYS = 20, 800, 30, 3650

Validity = tuple[datetime, datetime]
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class CertificateError(Exception):
    """A certificate request is not acceptable, or a certificate cannot be read. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """``serial`` is lower-case hexadecimal, ``key_sha256`` the SHA-256 of the key's DER SubjectPublicKeyInfo (hex),
    ``not_after`` seconds since the epoch."""

    pem: str
    serial: str
    key_sha256: str
    not_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What a machine's certificate says. Proof only after the TLS handshake and a look into the store."""

    serial: str
    machine: str
    environment: str
    key_sha256: str


def spki(key: PublicKey) -> bytes:
    """DER SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(certificate: x509.Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def at(seconds: float) -> datetime:
    """Seconds since the epoch as X.509 wants them: UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC)


def certify_ca(key: ec.EllipticCurvePrivateKey, now: float) -> x509.Certificate:
    """The CA's own certificate. Its name carries a piece of its key, so that two appliances differ."""
    digest = hashlib.sha256(spki(key.public_key())).hexdigest()[:12]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"rackseed CA {digest}")])
    builder = _builder(name, name, key.public_key(), (EPOCH, at(now) + timedelta(days=365 * CA_YEARS)))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def certify_server(
    ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, key: PublicKey, addresses: tuple[str, ...], now: float
) -> x509.Certificate:
    """The server's certificate for IP addresses and host names; only for serverAuth."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rackseed")])
    builder = _leaf(ca, name, key, _validity(ca, now, SERVER_DAYS), ExtendedKeyUsageOID.SERVER_AUTH)
    names = x509.SubjectAlternativeName([_general_name(address) for address in addresses])
    return builder.add_extension(names, critical=False).sign(ca_key, hashes.SHA256())


def certify_machine(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    key: PublicKey,
    *,
    machine: str,
    environment: str,
    now: float,
) -> x509.Certificate:
    """A machine's certificate; only for clientAuth, and no name that a client would accept as a server's."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, environment),
            x509.NameAttribute(NameOID.COMMON_NAME, machine),
        ]
    )
    days = INSTALLED_DAYS if environment == "installed" else IMAGE_DAYS
    builder = _leaf(ca, name, key, _validity(ca, now, days), ExtendedKeyUsageOID.CLIENT_AUTH)
    return builder.sign(ca_key, hashes.SHA256())


def requested_key(csr_pem: str | bytes) -> PublicKey:
    """The public key of a certificate request, whose signature proves that the applicant holds the private one.

    `CertificateError` for anything but EC P-256 and Ed25519, or a wrong signature. The subject is not even read.
    """
    raw = csr_pem.encode() if isinstance(csr_pem, str) else csr_pem
    try:
        request = x509.load_pem_x509_csr(raw)
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError("this is not a certificate request in PEM") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise CertificateError(f"the key is on curve {key.curve.name}; use EC P-256 or Ed25519")
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise CertificateError("the key is of the wrong type; use EC P-256 or Ed25519")
    try:
        valid = request.is_signature_valid
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise CertificateError("the request's signature cannot be checked; sign it with its own key") from error
    if not valid:
        raise CertificateError("the request's signature is wrong: it was not made by the holder of this key")
    return key


def issued(certificate: x509.Certificate) -> IssuedCertificate:
    """What the store keeps of a certificate."""
    return IssuedCertificate(
        pem=pem(certificate).decode("ascii"),
        serial=f"{certificate.serial_number:x}",
        key_sha256=_key_sha256(certificate),
        not_after=certificate.not_valid_after_utc.timestamp(),
    )


def read_peer(der: bytes) -> Peer:
    """A machine's certificate as TLS gave it (DER). `CertificateError` when it is none of ours."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        (machine,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        (environment,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        key_sha256 = _key_sha256(certificate)
    except (ValueError, x509.ExtensionNotFound, UnsupportedAlgorithm) as error:
        raise CertificateError("this certificate does not name a machine; enrol first") from error
    if list(usage) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
        raise CertificateError("this certificate is not for a machine")
    return Peer(
        serial=f"{certificate.serial_number:x}",
        machine=str(machine.value),
        environment=str(environment.value),
        key_sha256=key_sha256,
    )


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """IP addresses and host names that a server certificate is good for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*addresses, *names.get_values_for_type(x509.DNSName))


def _key_sha256(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    raw = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(raw).hexdigest()


def _general_name(text: str) -> x509.GeneralName:
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return x509.DNSName(text)
    return x509.IPAddress(address)


def _validity(ca: x509.Certificate, now: float, days: int) -> Validity:
    return at(now) - BACKDATED, min(at(now) + timedelta(days=days), ca.not_valid_after_utc)


def _builder(subject: x509.Name, issuer: x509.Name, key: PublicKey, validity: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _leaf(
    ca: x509.Certificate, name: x509.Name, key: PublicKey, validity: Validity, purpose: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(name, ca.subject, key, validity)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
