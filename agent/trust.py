"""The agent's own key, its certificate request, and the code that a person compares.

`cryptography` takes seconds to import under emulation; whoever wants to say something on the console first, imports
this module after that.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agent.wire import enrolment_code


def new_nonce() -> str:
    """32 hex digits, made at every start of the agent: what orders are bound to."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class AgentKey:
    """An EC P-256 key. In the agent image it exists in RAM only."""

    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> AgentKey:

        return cls(ec.generate_private_key(ec.SECP256R1()))

    def public_der(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def pem(self) -> str:
        """The private key, PKCS #8, not encrypted: for a file of mode 0600 in the installed system, or a memfd."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")

    def csr(self, name: str) -> str:
        """Certificate request (PEM). ``name`` is only for people: the appliance chooses the subject."""
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64] or "agent")])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self._key, hashes.SHA256())
        return request.public_bytes(Encoding.PEM).decode("ascii")


def console_code(key: AgentKey, ca_pem: str) -> str:
    """The code that a person compares and types: it covers our key and the key of the CA that we believe."""
    authority = x509.load_pem_x509_certificate(ca_pem.encode()).public_key()
    return enrolment_code(key.public_der(), authority.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
