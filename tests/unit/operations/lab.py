"""Machines as the appliance meets them, and people of every role."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent import wire
from agent.wire import EnrolmentReply, EnrolmentRequest, Environment, Inventory
from appliance.operations import enrolment, reports
from appliance.operations.context import Actor, Appliance, Role

NUMBERS = itertools.count(1)
VIEWER = Actor(name="vera", role=Role.VIEWER, via="token")
OPERATOR = Actor(name="otto", role=Role.OPERATOR, via="session")
ADMIN = Actor(name="ada", role=Role.ADMIN, via="socket")

SITE = """\
site: lab
domain: lab.example.org
networks:
  provisioning:
    cidr: 10.20.0.0/24
    appliance: 10.20.0.1
    pool: 10.20.0.128-254
"""
APPROVE_ANY = SITE + "approve:\n  - any: true\n"


def csr(key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def hardware(
    number: int,
    *,
    uuid: str | None = None,
    serial: str | None = None,
    macs: tuple[str, ...] | None = None,
    system_serial: str = "",
    environment: Environment = Environment.IMAGE,
) -> Inventory:
    """An EPYC server, different from every other by ``number``."""
    macs = (f"ac:1f:6b:00:{number:02x}:01", f"ac:1f:6b:00:{number:02x}:02") if macs is None else macs
    board = wire.Board(
        vendor="Supermicro",
        name="H12SSL-i",
        serial=f"WM21{number:06d}" if serial is None else serial,
        system_vendor="Supermicro",
        system_product="Super Server",
        system_serial=system_serial,
        system_uuid=f"0000{number:04x}-1111-2222-3333-44445555{number:04x}" if uuid is None else uuid,
    )
    disk = wire.Disk(path="/dev/sda", size=480_103_981_056, serial=f"S{number:08d}", wwn=f"0x5002538{number:09x}")
    return Inventory(
        environment=environment,
        architecture="x86_64",
        firmware=wire.Firmware.UEFI,
        board=board,
        cpu=wire.Cpu(model="AMD EPYC 7302P 16-Core Processor", vendor="AuthenticAMD", sockets=1, cores=16, threads=32),
        memory=wire.Memory(total=128 * 2**30),
        disks=(disk,),
        nics=tuple(wire.Nic(name=f"eth{index}", mac=mac, driver="igb") for index, mac in enumerate(macs)),
        boot_mac=macs[0] if macs else "",
        hostname="",
        kernel="6.12.0",
    )


@dataclass
class Box:
    """A machine as the appliance meets it: its agent's key lives as long as the boot."""

    app: Appliance
    inventory: Inventory
    remote: str = "10.20.0.50"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    nonce: str = field(default_factory=lambda: f"{next(NUMBERS):032x}")

    def reboot(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.nonce = f"{next(NUMBERS):032x}"

    def request(self) -> EnrolmentRequest:
        return EnrolmentRequest(csr=csr(self.key), nonce=self.nonce, clock_offset=0.0, inventory=self.inventory)

    def enrol(self) -> EnrolmentReply:
        return enrolment.enrol(self.app, self.request(), self.remote)

    @property
    def code(self) -> str:
        spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return wire.enrolment_code(spki, self.app.authority.ca_key_der)

    def report(self, machine: str, **changes: object) -> wire.ReportReply:
        inventory = replace(self.inventory, **changes)  # type: ignore[arg-type]
        return self.send(machine, wire.Report(nonce=self.nonce, inventory=inventory))

    def send(self, machine: str, document: wire.Report) -> wire.ReportReply:
        return reports.report(self.app, machine, document, environment=document.inventory.environment)
