"""A small appliance with machines that are approved and ready, and agents that can be played by hand."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import event

from agent.wire import (
    CertificateRequest,
    Disk,
    Environment,
    FileSpec,
    Firmware,
    Inventory,
    Memory,
    Order,
    PartitionSpec,
    PermitClaim,
    Progress,
    ProgressState,
)
from appliance.effects.authority import Authority
from appliance.effects.clock import FakeClock
from appliance.effects.secrets import SecretBox
from appliance.engine.engine import Engine
from appliance.engine.orderdoor import OrderDoor
from appliance.engine.registry import Tools, registry
from appliance.model.machine import Machine, MachineEvent
from appliance.model.plan import DiskChoice, DiskFate, HostConfig, InstallArgs, NicConfig, Plan, Step, StepKind
from appliance.model.settings import Settings
from appliance.operations import orders as operation
from appliance.operations.context import Appliance
from appliance.store import artefacts, certificates, inventories, lifecycle, machines, permits, plans, steps
from appliance.store.artefacts import ArtefactRow
from appliance.store.certificates import CertificateRow, CertificateState
from appliance.store.database import Store
from appliance.store.permits import PermitRow
from appliance.store.steps import StepRow

IMAGE = "ab" * 32
ADDRESS = IPv4Address("10.7.0.1")


def new_csr() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def install_step(machine: str, *, deadline: float = 3600.0) -> Step:
    disk = DiskChoice(
        machine=machine,
        serial=f"S-{machine}",
        wwn="",
        model="TESTDISK",
        size=10**10,
        path="/dev/vda",
        role="system",
        fate=DiskFate.ERASE,
        now="blank",
        why="the only one",
        fingerprint="f" * 64,
    )
    host = HostConfig(
        hostname=f"host-{machine}",
        domain="example",
        nics=(NicConfig(mac="52:54:00:00:00:01", name="lan0"),),
        ssh_keys=("ssh-ed25519 SECRETLOOKINGKEY admin",),
    )
    part = PartitionSpec(number=1, role="root", size=0, guid="g", filesystem="ext4", uuid="u")
    args = InstallArgs(disk=disk, partitions=(part,), image=IMAGE, host=host)
    return Step(
        key=f"install/{machine}",
        kind=StepKind.INSTALL,
        machine=machine,
        name=host.hostname,
        deadline=deadline,
        reversible=False,
        install=args,
    )


def boot_step(machine: str) -> Step:
    return Step(
        key=f"first-boot/{machine}",
        kind=StepKind.FIRST_BOOT,
        machine=machine,
        name=f"host-{machine}",
        after=(f"install/{machine}",),
        deadline=1800.0,
    )


def render(image: ArtefactRow, host: HostConfig, partitions: tuple[PartitionSpec, ...]) -> tuple[FileSpec, ...]:
    return (FileSpec(path="/etc/hostname", mode=0o644, content=f"{host.hostname}\n"),)


class World:
    """``clock`` is shared by everything, ``quick`` does not wait for the disk."""

    def __init__(self, folder: Path, clock: FakeClock | None = None, *, quick: bool = True) -> None:
        self.clock = clock or FakeClock()
        settings = Settings(state=folder, cache=folder / "cache", address=ADDRESS)
        self.app = Appliance(
            store=Store.open(settings.database_url),
            clock=self.clock,
            authority=Authority.open(folder, self.clock, ADDRESS),
            secrets=SecretBox.open(folder),
            settings=settings,
            profiles=(),
        )
        self.store = self.app.store
        if quick:
            self.store.close()
            event.listen(self.store.engine, "connect", lambda it, _: it.execute("PRAGMA synchronous = OFF").close())
        door = OrderDoor(store=self.store, clock=self.clock, authority=self.app.authority)
        self.tools = Tools(
            store=self.store,
            clock=self.clock,
            authority=self.app.authority,
            settings=settings,
            render=render,
            ceph=door,
        )
        self.engine = Engine(self.tools, registry())
        with self.store.write() as connection:
            artefacts.put(connection, self.image())

    def image(self) -> ArtefactRow:
        manifest = {"chunk_size": 4, "chunks": ["c" * 64], "unpacked": 100}
        return ArtefactRow(
            sha256=IMAGE,
            kind="os-image",
            name="debian-13",
            path="/nowhere",
            size=4,
            document=manifest,
            current=True,
            added=self.clock.now(),
        )

    def inventory(self, environment: Environment = Environment.IMAGE) -> Inventory:
        return Inventory(
            environment=environment,
            architecture="x86_64",
            firmware=Firmware.BIOS,
            memory=Memory(total=2**30),
            disks=(Disk(path="/dev/vda", size=10**10, serial="S"),),
        )

    # ------------------------------------------------------------ machines

    def ready(self, nonce: str = "n1") -> str:
        """A machine that is approved, has reported from the boot ``nonce`` and has a profile; returns its id."""
        with self.store.write() as connection:
            machine = machines.add(connection, at=self.clock.now())
            for event in (MachineEvent.ENROL, MachineEvent.APPROVE, MachineEvent.REPORT, MachineEvent.MATCH):
                lifecycle.advance(connection, machine, event, at=self.clock.now())
        self.boot(machine, nonce)
        return machine

    def boot(self, machine: str, nonce: str) -> None:
        """The agent image came up (again): a new key, approved, and a report."""
        issued = self.app.authority.issue(new_csr(), machine=machine, environment="image")
        now = self.clock.now()
        with self.store.write() as connection:
            certificates.add(
                connection,
                CertificateRow(
                    serial=issued.serial,
                    machine=machine,
                    environment=Environment.IMAGE,
                    pem=issued.pem,
                    key_sha256=issued.key_sha256,
                    state=CertificateState.CURRENT,
                    not_after=issued.not_after,
                    created=now,
                ),
            )
            inventories.put(connection, machine, self.inventory(), at=now, nonce=nonce)
            machines.touch(connection, machine, at=now, nonce=nonce)

    def machine(self, machine: str) -> Machine:
        with self.store.read() as connection:
            row = machines.get(connection, machine)
        assert row is not None
        return row.machine

    # ------------------------------------------------------------ plans

    def accept(self, *accepted: Step, hash_: str = "p" * 64, parent: str = "") -> str:
        """An accepted plan with these steps."""
        plan = Plan(hash=hash_, parent=parent, steps=accepted, waits=(), disks=(), allocations=(), facts=())
        with self.store.write() as connection:
            plans.put_draft(connection, plan, lint=(), diff="", made_by="t", made=self.clock.now())
            plans.accept(connection, hash_, by="t", at=self.clock.now())
            steps.add(connection, hash_, accepted)
        return hash_

    def turn(self, limit: int = 50) -> int:
        """Every step that may run now is looked at; returns how many looks that were."""
        for number in range(limit):
            if not self.engine.run_one():
                return number
        raise AssertionError("the engine never rests")

    def step(self, key: str, plan: str = "p" * 64) -> StepRow:
        with self.store.read() as connection:
            row = steps.get(connection, plan, key)
        assert row is not None
        return row

    def plan_state(self, plan: str = "p" * 64) -> str:
        with self.store.read() as connection:
            row = plans.get(connection, plan)
        assert row is not None
        return row.state

    def permit(self, machine: str, plan: str = "p" * 64) -> PermitRow | None:
        with self.store.read() as connection:
            return permits.of_step(connection, plan, f"install/{machine}")

    # ------------------------------------------------------------ the agent's side

    def order(self, machine: str, nonce: str) -> Order | None:
        signed = operation.poll(self.app, machine, nonce).order
        return self.app.authority.verify(signed) if signed else None

    def claim(self, machine: str, order: Order, nonce: str) -> None:
        assert order.install is not None
        operation.claim(self.app, machine, order.install.permit, PermitClaim(order=order.id, nonce=nonce))

    def tell(self, machine: str, order: Order, state: ProgressState, **values: object) -> None:
        told = Progress(order=order.id, fence=order.fence, state=state, **values)  # type: ignore[arg-type]
        operation.progress(self.app, machine, told)

    def certify(self, machine: str, order: Order, csr: str) -> str:
        return operation.certify(self.app, machine, CertificateRequest(csr=csr, order=order.id)).certificate

    def first_report(self, machine: str, permit: str) -> None:
        """The installed system reports in, as `operations.reports` stores it."""
        now = self.clock.now()
        with self.store.write() as connection:
            certificates.promote(connection, machine)
            inventory = self.inventory(Environment.INSTALLED)
            inventories.put(connection, machine, inventory, at=now, nonce="installed", permit=permit)
