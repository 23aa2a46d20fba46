"""Tables that came with Ceph: secrets, states, answers and memos; and databases from before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from agent.cephorder import MonAnswer
from agent.wire import OrderKind
from appliance.model.ceph import Throughput
from appliance.model.cephstate import CephState, OsdState
from appliance.model.measured import Flow, Measured
from appliance.store import cephstates, machines, measurements, migrate, orders, secrets
from appliance.store.database import REVISION, Store
from appliance.store.orders import OrderRow, OrderState
from tests.unit.store.older import older


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'rackseed.db'}")
    yield store
    store.close()


def test_a_state_is_kept_whole_and_never_replaced_by_an_older_one(store: Store) -> None:
    osd = OsdState(number=3, uuid="u", host="h1", device_class="ssd", up=True, in_=True, weight=1.5, pgs=None)
    state = CephState(fsid="f", monitors=("h1",), quorum=("h1",), osds=(osd,), pgs=(("active+clean", 7),), at=20.0)
    with store.write() as connection:
        assert cephstates.get(connection, "f") is None
        assert cephstates.latest(connection) is None
        assert cephstates.put(connection, state)
        assert cephstates.get(connection, "f") == state
        assert not cephstates.put(connection, replace(state, quorum=(), at=19.0)), "an answer that came late"
        assert cephstates.get(connection, "f") == state
        assert cephstates.put(connection, replace(state, fsid="g", at=21.0))
        latest = cephstates.latest(connection)
        assert latest is not None
        assert (latest.fsid, cephstates.when(connection, "f"), cephstates.when(connection, "x")) == ("g", 20.0, None)


def test_a_secret_is_made_once(store: Store) -> None:
    with store.write() as connection:
        assert secrets.missing(connection, ("b", "a", "b")) == ("b", "a")
        secrets.add(connection, "a", b"sealed", at=1.0)
        assert secrets.missing(connection, ("b", "a")) == ("b",)
        assert secrets.get(connection, "a") == b"sealed"
        assert secrets.get(connection, "b") is None


def order(machine: str, fence: int, step: str = "ceph-ask", **facts: object) -> OrderRow:
    row = OrderRow(
        id=f"{machine}-{fence}",
        machine=machine,
        plan="p",
        step=step,
        fence=fence,
        nonce="n",
        kind=OrderKind.CEPH,
        payload="",
        signature="",
        state=OrderState.OPEN,
        stage="",
        fraction=0.0,
        message="",
        created=float(fence),
        updated=float(fence),
    )
    return replace(row, **facts)  # type: ignore[arg-type]


def test_orders_remember_answers_and_forget_questions_but_never_the_highest_fence(store: Store) -> None:
    answers = (MonAnswer(code=0, output='{"a": 1}'), MonAnswer(code=2, status="gone"))
    with store.write() as connection:
        machine = machines.add(connection, at=0.0)
        for fence in (1, 2, 3):
            orders.add(connection, order(machine, fence))
        state = OrderState.DONE
        orders.note(connection, f"{machine}-3", state, stage="", fraction=1.0, message="", at=9.0, answers=answers)
        last = orders.last_for(connection, machine, "ceph-ask")
        assert last is not None
        assert (last.fence, last.answers, last.updated) == (3, answers, 9.0)
        orders.forget(connection, machine, "ceph-ask", below=3)
        assert [row.fence for row in orders.of_step(connection, "p", "ceph-ask")] == [3]
        assert orders.next_fence(connection, machine) == 4
        assert orders.touched(connection, machine, since=9.0)
        assert not orders.touched(connection, machine, since=9.1)


def test_questions_are_found_and_withdrawn_whoever_was_asked(store: Store) -> None:
    with store.write() as connection:
        one, two = machines.add(connection, at=0.0), machines.add(connection, at=0.0)
        orders.add(connection, order(one, 1))
        orders.add(connection, order(two, 2, step="ceph-osd/h1/x"))
        assert [row.machine for row in orders.active_for(connection, "ceph-ask")] == [one]
        assert orders.void_for(connection, "ceph-ask", at=5.0) == 1
        assert orders.active_of_machine(connection, one) is None
        assert orders.active_of_machine(connection, two) is not None
        assert orders.void_for(connection, "ceph-osd/h1/x", at=5.0, plan="other") == 0
        assert orders.void_for(connection, "ceph-osd/h1/x", at=5.0, plan="p") == 1


def test_a_database_from_before_ceph_is_brought_up_to_date_with_its_orders(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    with older(url, "0001") as connection:
        machine = machines.add(connection, at=0.0)
        values = "'i', :m, 'p', 's', 1, 'n', 'install', '', '', 'done', '', 1.0, '', 0.0, 0.0"
        columns = "id, machine, plan, step, fence, nonce, kind, payload, signature, state, stage, fraction, message"
        query = f'INSERT INTO "order" ({columns}, created, updated) VALUES ({values})'  # noqa: S608 - constants
        connection.execute(text(query), {"m": machine})
    again = Store.open(url)
    with again.read() as connection:
        kept = orders.get(connection, "i")
        assert kept is not None
        assert (kept.machine, kept.answers) == (machine, ())
        assert cephstates.latest(connection) is None
    again.close()
    assert migrate.head() == REVISION


def test_measurements_are_kept_and_the_newest_of_each_pool_is_found(store: Store) -> None:
    promise = Throughput(
        pool="a", write_bound=3, write_expected=2, read_bound=3, read_expected=2, limit="one client's port"
    )

    def found(fsid: str, pool: str, at: float) -> Measured:
        flow = Flow(bytes=5 << 40, seconds=at)
        return Measured(fsid=fsid, plan="p", pool=pool, machine="m-1", at=at, write=flow, read=flow, promise=promise)

    rows = [found("f", "b", 1.0), found("f", "a", 2.0), found("f", "b", 3.0), found("g", "a", 4.0)]
    with store.write() as connection:
        for row in rows:
            measurements.add(connection, row)
        assert measurements.newest(connection, "f") == (rows[1], rows[2])
        assert measurements.newest(connection, "h") == ()
        assert measurements.history(connection, "f", 2) == (rows[2], rows[1])
