"""The appliance's keys: a CA, a server key and an order key, three separate ones with separate uses.

They are made once, at first start, in a folder that appears under its name only when it is complete. The order key
(Ed25519) has no certificate: nothing that trusts the CA trusts it, and it signs nothing but orders.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from agent.wire import Order, SignedOrder, WireError, decode, sign_payload
from appliance.effects import certificates
from appliance.effects.certificates import CertificateError, IssuedCertificate
from appliance.effects.clock import Clock
from appliance.effects.files import locked, replace, sync_folder, write_new

__all__ = ["Authority", "AuthorityError", "CertificateError", "IssuedCertificate", "OrderSignatureError"]

FOLDER = "keys"
CA, CA_KEY = "ca.pem", "ca.key"
SERVER, SERVER_KEY = "server.pem", "server.key"
ORDER_KEY = "order.key"
RENEW_BEFORE = timedelta(days=60)
LOCAL_NAMES = ("127.0.0.1", "localhost")
"""The server's certificate is also good for a browser or client on the appliance itself."""


class AuthorityError(Exception):
    """The appliance's keys cannot be made or read. The message says what to do."""


class OrderSignatureError(Exception):
    """An order was not signed by this appliance, or was changed afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Authority:
    """The keys, loaded. Paths are for the TLS servers; the CA's and the order key's private halves stay in here."""

    folder: Path
    clock: Clock
    ca: x509.Certificate
    ca_key: ec.EllipticCurvePrivateKey
    order_key: ed25519.Ed25519PrivateKey

    @classmethod
    def open(cls, state: Path, clock: Clock, address: IPv4Address | IPv6Address | str) -> Authority:
        """Read the keys below ``state``, or make them at first start; several processes may do this at once.

        The server's certificate is renewed here when ``address`` is not in it or its end is near. `AuthorityError` when a
        file cannot be read, or belongs to another set of keys.
        """
        folder = state / FOLDER
        try:
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(state / f".{FOLDER}.lock"):
                if not folder.exists():
                    _make(folder, clock.now(), str(address))
                authority = cls._load(folder, clock)
                authority._renew_server(str(address))
        except OSError as error:
            raise AuthorityError(f"cannot use the keys in {folder}: {error.strerror}; check owner and mode") from error
        return authority

    @classmethod
    def _load(cls, folder: Path, clock: Clock) -> Authority:
        try:
            ca = x509.load_pem_x509_certificate((folder / CA).read_bytes())
            ca_key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), None)
            order_key = serialization.load_pem_private_key((folder / ORDER_KEY).read_bytes(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise AuthorityError(f"a key in {folder} is damaged: restore the folder from a backup") from error
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey) or not isinstance(order_key, ed25519.Ed25519PrivateKey):
            raise AuthorityError(f"a key in {folder} is of the wrong type: restore the folder from a backup")
        if ca.public_key() != ca_key.public_key():
            raise AuthorityError(
                f"{folder / CA} and {folder / CA_KEY} do not belong together: restore both from a backup"
            )
        return cls(folder=folder, clock=clock, ca=ca, ca_key=ca_key, order_key=order_key)

    # ------------------------------------------------------------ what others need to know

    @property
    def ca_path(self) -> Path:
        """PEM of the CA: what machines trust, and what machines' certificates are checked against."""
        return self.folder / CA

    @property
    def server_certificate_path(self) -> Path:
        return self.folder / SERVER

    @property
    def server_key_path(self) -> Path:
        return self.folder / SERVER_KEY

    @property
    def ca_pem(self) -> str:
        return certificates.pem(self.ca).decode("ascii")

    @property
    def ca_key_der(self) -> bytes:
        """DER SubjectPublicKeyInfo of the CA, for the enrolment code."""
        return certificates.spki(self.ca_key.public_key())

    @property
    def order_key_pem(self) -> str:
        """PEM public key that orders are checked with; given to machines after approval only."""
        raw = self.order_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return raw.decode("ascii")

    # ------------------------------------------------------------ certificates

    def public_key_der(self, csr_pem: str) -> bytes:
        """DER SubjectPublicKeyInfo of a checked certificate request; `CertificateError` when it is not acceptable."""
        return certificates.spki(certificates.requested_key(csr_pem))

    def key_sha256(self, csr_pem: str) -> str:
        """SHA-256 (hex) of the request's key, as `IssuedCertificate.key_sha256` will be."""
        return hashlib.sha256(self.public_key_der(csr_pem)).hexdigest()

    def issue(self, csr_pem: str, *, machine: str, environment: str) -> IssuedCertificate:
        """A certificate for the key of a checked request: CN is ``machine``, OU is ``environment``, whatever the request
        asked for. `CertificateError` when the request is not acceptable."""
        key = certificates.requested_key(csr_pem)
        now = self.clock.now()
        return certificates.issued(
            certificates.certify_machine(self.ca, self.ca_key, key, machine=machine, environment=environment, now=now)
        )

    def _renew_server(self, address: str) -> None:
        try:
            key = serialization.load_pem_private_key(self.server_key_path.read_bytes(), None)
            current = x509.load_pem_x509_certificate(self.server_certificate_path.read_bytes())
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise AuthorityError(f"the server key in {self.folder} is damaged: restore it from a backup") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"{self.server_key_path} is of the wrong type: restore it from a backup")
        now = self.clock.now()
        fresh = current.not_valid_before_utc <= certificates.at(now) < current.not_valid_after_utc - RENEW_BEFORE
        fits = current.public_key() == key.public_key() and current.issuer == self.ca.subject
        if fresh and fits and address in certificates.names_of(current):
            return
        names = tuple(dict.fromkeys((address, *LOCAL_NAMES)))
        renewed = certificates.certify_server(self.ca, self.ca_key, key.public_key(), names, now)
        replace(self.server_certificate_path, certificates.pem(renewed))

    # ------------------------------------------------------------ orders

    def sign(self, order: Order) -> SignedOrder:
        """Sign the canonical bytes of ``order``."""
        payload = sign_payload(order)
        signature = self.order_key.sign(base64.b64decode(payload))
        return SignedOrder(payload=payload, signature=base64.b64encode(signature).decode("ascii"))

    def verify(self, signed: SignedOrder) -> Order:
        """The order, if this appliance signed exactly these bytes; else `OrderSignatureError`."""
        try:
            raw = base64.b64decode(signed.payload, validate=True)
            self.order_key.public_key().verify(base64.b64decode(signed.signature, validate=True), raw)
            return decode(Order, raw)
        except (InvalidSignature, WireError, ValueError) as error:
            raise OrderSignatureError("the order was not signed by this appliance") from error


def _make(folder: Path, now: float, address: str) -> None:
    """All keys in a folder beside, then one rename: after a crash there is the whole set or none. Needs the lock."""
    for leftover in folder.parent.glob(f".{folder.name}.new*"):
        shutil.rmtree(leftover)
    beside = folder.with_name(f".{folder.name}.new")
    beside.mkdir(mode=0o700)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    ca = certificates.certify_ca(ca_key, now)
    names = tuple(dict.fromkeys((address, *LOCAL_NAMES)))
    server = certificates.certify_server(ca, ca_key, server_key.public_key(), names, now)
    write_new(beside / CA_KEY, _private(ca_key))
    write_new(beside / CA, certificates.pem(ca))
    write_new(beside / SERVER_KEY, _private(server_key))
    write_new(beside / SERVER, certificates.pem(server))
    write_new(beside / ORDER_KEY, _private(ed25519.Ed25519PrivateKey.generate()))
    sync_folder(beside)
    beside.rename(folder)
    sync_folder(folder.parent)


def _private(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
