"""Tables of the embedded database. Alembic's migrations create them; this is what queries are written against.

Times are seconds since the epoch (float). Documents are canonical JSON text. Secrets are sealed before they come here.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

machine = Table(
    "machine",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("policy", String(16), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("phase_since", Float, nullable=False),
    Column("trouble", Text),  # JSON of model.machine.Trouble
    Column("name", String(64), nullable=False, default=""),
    Column("profile", String(64), nullable=False, default=""),
    Column("expected", String(64), nullable=False, default=""),
    Column("last_contact", Float, nullable=False, default=0.0),
    Column("boot_nonce", String(64), nullable=False, default=""),
    Column("installed_by", String(64), nullable=False, default=""),
    Column("generation", Integer, nullable=False, default=0),
    Column("created", Float, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("kind", String(16), primary_key=True),  # `appliance.model.identity.EvidenceKind`
    Column("value", String(128), primary_key=True),
    Column("machine", String(16), ForeignKey("machine.id"), primary_key=True, index=True),
    Column("first_seen", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
)

enrolment = Table(
    "enrolment",
    metadata,
    Column("token", String(64), primary_key=True),
    Column("machine", String(16), ForeignKey("machine.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("csr", Text, nullable=False),
    Column("key_sha256", String(64), nullable=False, index=True),
    Column("code", String(32), nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("clock_offset", Float, nullable=False),
    Column("inventory", Text, nullable=False),
    Column("remote", String(64), nullable=False),
    Column("approved_by", String(64), nullable=False, default=""),
    Column("created", Float, nullable=False),
)

certificate = Table(
    "certificate",
    metadata,
    Column("serial", String(64), primary_key=True),
    Column("machine", String(16), ForeignKey("machine.id"), nullable=False, index=True),
    Column("environment", String(16), nullable=False),
    Column("pem", Text, nullable=False),
    Column("key_sha256", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # current, waiting, revoked
    Column("not_after", Float, nullable=False),
    Column("created", Float, nullable=False),
)

inventory = Table(
    "inventory",
    metadata,
    Column("machine", String(16), ForeignKey("machine.id"), primary_key=True),
    Column("environment", String(16), primary_key=True),
    Column("at", Float, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("permit", String(36), nullable=False, default=""),  # GPT marker of the running system disk
    Column("document", Text, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("address", String(16), primary_key=True),
    Column("key", String(160), nullable=False, unique=True),
    Column("mac", String(32), nullable=False),
    Column("expires", Float, nullable=False),
    Column("hostname", String(255), nullable=False, default=""),
)

event = Table(
    "event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("machine", String(16), nullable=False, default=""),
    Column("kind", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False, default="{}"),
    Index("ix_event_machine_seq", "machine", "seq"),
    sqlite_autoincrement=True,
)

site = Table(
    "site",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("loaded", Float, nullable=False),
)

plan = Table(
    "plan",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("parent", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # draft, accepted, done, failed, superseded
    Column("document", Text, nullable=False),
    Column("counts", Text, nullable=False, server_default="{}"),  # of the document, which may be megabytes
    Column("diff", Text, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made", Float, nullable=False),
    Column("accepted_by", String(64), nullable=False, default=""),
    Column("accepted", Float),
)

step = Table(
    "step",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("plan", String(64), ForeignKey("plan.hash"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("machine", String(16), nullable=False),
    Column("after", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("state", String(16), nullable=False),  # waiting, running, done, failed, cancelled
    Column("tries", Integer, nullable=False, default=0),
    Column("fence", Integer, nullable=False, default=0),
    Column("owner", String(64), nullable=False, default=""),
    Column("lease_until", Float, nullable=False, default=0.0),
    Column("not_before", Float, nullable=False, default=0.0),
    Column("started", Float),
    Column("deadline", Float),
    Column("error", Text, nullable=False, default=""),
    Column("progress", Text, nullable=False, default="{}"),
    Column("memo", Text, nullable=False, default="{}"),  # what the step's code keeps between two looks
)

allocation = Table(
    "allocation",
    metadata,
    Column("machine", String(16), ForeignKey("machine.id"), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("address", String(16), nullable=False, unique=True),
    Column("document", Text, nullable=False),
)

permit = Table(
    "permit",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("machine", String(16), ForeignKey("machine.id"), nullable=False, index=True),
    Column("plan", String(64), nullable=False),
    Column("step", String(128), nullable=False),
    Column("disk_serial", String(128), nullable=False),
    Column("state", String(16), nullable=False),  # issued, claimed, spent, void
    Column("issued", Float, nullable=False),
    Column("claimed", Float),
    Column("spent", Float),
    UniqueConstraint("plan", "step"),
)

order = Table(
    "order",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("machine", String(16), ForeignKey("machine.id"), nullable=False, index=True),
    Column("plan", String(64), nullable=False),
    Column("step", String(128), nullable=False, index=True),
    Column("fence", Integer, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("payload", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("state", String(16), nullable=False),  # open, running, done, failed, refused, void
    Column("stage", String(32), nullable=False, default=""),
    Column("fraction", Float, nullable=False, default=0.0),
    Column("message", Text, nullable=False, default=""),
    Column("answers", Text, nullable=False, default="[]"),  # JSON of agent.cephorder.MonAnswer
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
)

artefact = Table(
    "artefact",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),  # agent-kernel, agent-initrd, os-image, loader
    Column("name", String(128), nullable=False),
    Column("path", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("document", Text, nullable=False, default="{}"),
    Column("current", Integer, nullable=False, default=0),
    Column("added", Float, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("id_sha256", String(64), primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
)

access_token = Table(
    "access_token",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created", Float, nullable=False),
    Column("revoked", Float),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("verb", String(64), nullable=False),
    Column("about", String(128), nullable=False),
    Column("detail", Text, nullable=False, default="{}"),
    sqlite_autoincrement=True,
)

secret = Table(
    "secret",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", Float, nullable=False),
)

ceph_state = Table(
    "ceph_state",
    metadata,
    Column("fsid", String(36), primary_key=True),
    Column("at", Float, nullable=False),
    Column("document", Text, nullable=False),  # JSON of model.cephstate.CephState
)

ceph_measurement = Table(
    "ceph_measurement",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("fsid", String(36), nullable=False, index=True),
    Column("plan", String(64), nullable=False),
    Column("pool", String(128), nullable=False),
    Column("machine", String(16), nullable=False),
    Column("at", Float, nullable=False),
    Column("write_bytes", BigInteger, nullable=False),
    Column("write_seconds", Float, nullable=False),
    Column("read_bytes", BigInteger, nullable=False),
    Column("read_seconds", Float, nullable=False),
    Column("promise", Text, nullable=False),  # JSON of model.ceph.Throughput
    sqlite_autoincrement=True,
)

replacement = Table(
    "replacement",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("machine", String(32), nullable=False),
    Column("serial", String(128), nullable=False),
    Column("wwn", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("osds", Text, nullable=False, default="[]"),  # JSON: their numbers
    Column("state", String(16), nullable=False, index=True),  # wanted, done, cancelled
    Column("asked", Float, nullable=False),
    Column("asked_by", String(64), nullable=False),
    Column("ended", Float),
    Column("ended_why", Text, nullable=False, default=""),
    sqlite_autoincrement=True,
)

osd_removal = Table(
    "osd_removal",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("fsid", String(36), nullable=False),
    Column("number", Integer, nullable=False),
    Column("uuid", String(36), nullable=False),  # what the map had there; empty: nothing
    Column("state", String(16), nullable=False, index=True),  # wanted, done, cancelled
    Column("asked", Float, nullable=False),
    Column("asked_by", String(64), nullable=False),
    Column("ended", Float),
    Column("ended_why", Text, nullable=False, default=""),
    sqlite_autoincrement=True,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("actor", String(64), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False),
)
