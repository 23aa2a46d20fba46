"""Plans in the store."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import column, insert, select, table

from appliance.model.plan import (
    Allocation,
    DiskChoice,
    DiskFate,
    LintFinding,
    Plan,
    PlanCounts,
    Wait,
    WaitReason,
    count,
)
from appliance.store import plans, rows, schema
from appliance.store.database import Store
from appliance.store.plans import PlanState
from tests.unit.store.older import older


def disk(serial: str, fate: DiskFate) -> DiskChoice:
    facts = {"machine": "m1", "wwn": "", "model": "", "path": "", "role": "", "now": "", "why": "", "fingerprint": ""}
    return DiskChoice(serial=serial, size=10**12, fate=fate, **facts)


PLAN = Plan(
    hash="ab" * 32,
    parent="",
    steps=(),
    waits=(Wait(about="n2", reason=WaitReason.NOT_SEEN, text="n2 was not seen yet"),),
    disks=(disk("A", DiskFate.ERASE), disk("B", DiskFate.ASSIGN), disk("C", DiskFate.ASSIGN), disk("D", DiskFate.KEEP)),
    allocations=(Allocation(machine="m1", name="n1", address="10.20.0.11", profile="generic-x86-64"),),
    facts=(),
)
LINT = (LintFinding(rule="few-monitors", severity="warning", about="ceph", text="one monitor"),)


def test_a_list_of_plans_reads_no_documents(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'rackseed.db'}")
    with store.write() as connection:
        plans.put_draft(connection, PLAN, lint=LINT, diff="", made_by="ada", made=1.0)
        connection.execute(schema.plan.update().values(document="not even JSON"))
        (found,) = plans.newest(connection, 10)
    store.close()
    assert (found.hash, found.state, found.made_by, found.accepted) == (PLAN.hash, PlanState.DRAFT, "ada", None)
    assert found.counts == PlanCounts(steps=0, waits=1, erased=1, assigned=2, errors=0, warnings=1, changes=True)


def test_plans_of_an_older_version_are_counted_when_the_database_is_migrated(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rackseed.db'}"
    with older(url, "0005") as connection:
        document = rows.dump({"plan": PLAN, "lint": LINT})
        values = {"hash": PLAN.hash, "parent": "", "state": "done", "document": document, "diff": "", "made": 1.0}
        values |= {"made_by": "ada", "accepted_by": ""}
        connection.execute(insert(table("plan", *map(column, values))).values(values))
    store = Store.open(url)
    with store.read() as connection:
        (found,) = plans.newest(connection, 10)
        assert connection.execute(select(schema.plan.c.document)).scalar_one() == document
    store.close()
    assert found.counts == count(PLAN, LINT)
