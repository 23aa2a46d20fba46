"""Whatever order machines come in, and whatever their firmware claims: two of them never become one record silently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from agent import wire
from appliance.model import identity
from appliance.model.machine import MachineEvent, Phase, TroubleKind
from appliance.operations.identity import join_inventory, observe_packet
from appliance.store import evidence, lifecycle, machines
from appliance.store.database import Store
from appliance.store.machines import MachineRow
from hwprofiles.normal import uuid_pair

CLONED_UUIDS = ("11111111-2222-3333-4444-000000000001", "aaaaaaaa-bbbb-cccc-dddd-000000000002")
PLACEHOLDER_UUIDS = ("03000200-0400-0500-0006-000700080009", "ffffffff-ffff-ffff-ffff-ffffffffffff", "")
PLACEHOLDER_SERIALS = ("To be filled by O.E.M.", "Default string", "")


@dataclass(frozen=True)
class Truth:
    """One real machine. Its ports are its own; its UUID may be cloned or a constant, its serials placeholders."""

    number: int
    uuid: str
    serial: str
    chassis: str
    ports: int

    @property
    def macs(self) -> tuple[str, ...]:
        return tuple(f"b4:96:91:00:{self.number:02x}:{port:02x}" for port in range(self.ports))

    def inventory(self, swapped: bool) -> wire.Inventory:
        uuid = uuid_pair(self.uuid)[1] if swapped and self.uuid else self.uuid
        return wire.Inventory(
            environment=wire.Environment.IMAGE,
            architecture="x86_64",
            firmware=wire.Firmware.BIOS,
            board=wire.Board(system_uuid=uuid, serial=self.serial, system_serial=self.chassis),
            memory=wire.Memory(total=1),
            nics=tuple(wire.Nic(name=f"e{n}", mac=mac) for n, mac in enumerate(self.macs)),
            boot_mac=self.macs[0],
        )


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Truth, ...]:
    """Two to four machines."""
    found = []
    for number in range(draw(st.integers(2, 4))):
        own_uuid = f"99999999-0000-4000-8000-0000000000{number:02x}"
        found.append(
            Truth(
                number=number,
                uuid=draw(st.sampled_from((own_uuid, own_uuid, *CLONED_UUIDS, *PLACEHOLDER_UUIDS))),
                serial=draw(st.sampled_from((f"SERIAL{number}", f"SERIAL{number}", *PLACEHOLDER_SERIALS))),
                chassis=draw(st.sampled_from(("CHASSIS", f"CHASSIS{number}", "Default string"))),
                ports=draw(st.integers(1, 3)),
            )
        )
    return tuple(found)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[tuple[Truth, str, bool], ...]:
    """Packets and enrolments of a fleet in any order, some of them more than once."""
    fleet = draw(fleets())
    return tuple(
        draw(
            st.lists(
                st.tuples(st.sampled_from(fleet), st.sampled_from(("packet", "enrol", "enrol")), st.booleans()),
                min_size=2,
                max_size=10,
            )
        )
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One database for all examples: each of them is rolled back at its end."""
    found = Store.open(f"sqlite:///{tmp_path_factory.mktemp('identity') / 'x.db'}")
    yield found
    found.close()


class PlayedError(Exception):
    """Ends an example, so that nothing of it stays."""


@settings(derandomize=True, deadline=None, max_examples=150)
@given(order=arrivals())
def test_no_order_of_arrival_merges_two_machines(store: Store, order: tuple[tuple[Truth, str, bool], ...]) -> None:
    with pytest.raises(PlayedError), store.write() as connection:
        _play(connection, order)
        raise PlayedError


def _play(connection: Connection, order: tuple[tuple[Truth, str, bool], ...]) -> None:
    owner: dict[str, int] = {}
    enrolled: dict[int, str] = {}
    for at, (truth, what, swapped) in enumerate(order):
        if what == "packet":
            mac = truth.macs[at % truth.ports]
            observe_packet(connection, mac, uuid_pair(truth.uuid), at=float(at * 1000))
            continue
        joined = join_inventory(connection, truth.inventory(swapped), at=float(at * 1000))
        assert owner.setdefault(joined.machine, truth.number) == truth.number, "two machines became one record"
        assert enrolled.setdefault(truth.number, joined.machine) == joined.machine, "one machine became two records"
        row = machines.get(connection, joined.machine)
        assert row is not None
        assert joined.quarantined == _in_conflict(row)
        if not joined.quarantined and row.machine.phase is Phase.SEEN:
            lifecycle.advance(connection, joined.machine, MachineEvent.ENROL, at=float(at * 1000))
    for row in machines.everything(connection):
        ports = identity.values(evidence.of_machine(connection, row.id), identity.EvidenceKind.PORT)
        assert len({mac.split(":")[4] for mac in ports}) <= 1, "a record has ports of two machines"


def _in_conflict(row: MachineRow) -> bool:
    return row.machine.trouble is not None and row.machine.trouble.kind is TroubleKind.IDENTITY_CONFLICT


KINDS = st.sampled_from([kind for kind in identity.EvidenceKind if kind is not identity.EvidenceKind.DISTINCT])
EVIDENCE = st.frozensets(st.builds(identity.Evidence, KINDS, st.sampled_from("abc")), max_size=8)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(EVIDENCE, EVIDENCE)
def test_comparing_is_symmetric_and_a_conflict_is_never_a_match(
    one: frozenset[identity.Evidence], two: frozenset[identity.Evidence]
) -> None:
    there, back = identity.compare(one, two), identity.compare(two, one)
    assert there == back
    assert not (there.same and there.conflict)
    assert not (there.same and there.part_moved)
    if one == two and there.agree - {identity.EvidenceKind.SYSTEM_SERIAL}:
        assert there.same


@settings(derandomize=True, deadline=None, max_examples=300)
@given(EVIDENCE, st.dictionaries(st.sampled_from(["m-1", "m-2", "m-3"]), EVIDENCE))
def test_a_verdict_does_not_depend_on_the_order_of_the_records(
    claim: frozenset[identity.Evidence], known: dict[str, frozenset[identity.Evidence]]
) -> None:
    verdict = identity.decide(claim, known)
    assert verdict == identity.decide(claim, dict(reversed(known.items())))
    assert verdict.machine not in verdict.conflicts
    assert verdict.machine == "" or verdict.machine in known
