"""Which pools are measured, when not, and what the numbers mean."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.cephorder import CephAction, MonAnswer
from appliance.kinds.ceph import AnswerError, measuring
from appliance.model.ceph import CephLayout, Erasure, PoolSpec, Service, Throughput
from appliance.model.cephstate import CephState
from appliance.model.measured import Flow, Measured, Verdict, verdict
from tests.unit.kinds.scenes import BLOCK, FILE, GIB, OBJECT, boxes, scene
from tests.unit.kinds.test_ceph_steps import formed

PROMISE = Throughput(
    pool="vms",
    write_bound=1000,
    write_expected=600,
    read_bound=2000,
    read_expected=1200,
    limit="writing: the network between hosts; reading: one client's port",
)


def large(*pools: PoolSpec) -> tuple[CephLayout, CephState]:
    """A cluster that stands, with disks that are large enough."""
    made = scene(boxes(5, size=100 * GIB), pools)
    state = formed(made).state
    assert state is not None
    return made.layout, state


def test_pools_for_large_data() -> None:
    layout, _ = large(BLOCK, FILE, OBJECT)
    assert measuring.measurable(layout) == ("fs_data", "s3.rgw.buckets.data", "vms")
    coded = [replace(pool, erasure=Erasure(k=2, m=2)) for pool in (BLOCK, FILE, OBJECT)]
    layout, _ = large(*coded)
    assert measuring.measurable(layout) == ("fs_data", "fs_data_ec", "s3.rgw.buckets.data", "vms-data")


def test_when_it_is_measured() -> None:
    layout, state = large(BLOCK, FILE)
    assert measuring.refusal(layout, state, measuring.measurable(layout)) == ""


def test_when_it_is_not() -> None:
    layout, state = large(BLOCK, FILE)

    def why(*names: str, **changes: object) -> str:
        return measuring.refusal(layout, replace(state, **changes), names or ("vms",))  # type: ignore[arg-type]

    assert why("fs_metadata") == "fs_metadata is not measured; pools for large data are: fs_data, vms"
    assert why(pools=()) == "pool vms is not there yet: apply the plan first"
    assert "2 PGs are active+degraded" in why(pgs=(("active+degraded", 2),))
    assert "OSD_NEARFULL: 1 nearfull osd" in why(checks=(("OSD_NEARFULL", "1 nearfull osd"),))
    assert why(checks=(("PG_NOT_SCRUBBED", "later"),)) == ""
    full = replace(state.osds[2], used=90 * GIB)
    assert why(osds=(*state.osds[:2], full)) == "osd.2 is 90% full: add disks or delete data, then measure"
    unknown = tuple(replace(osd, pgs=None, size=0) for osd in state.osds)
    assert "wait until a manager answers" in why(osds=unknown)
    small = tuple(replace(osd, size=4 * GIB) for osd in state.osds)
    assert why(osds=small) == (
        "pool vms: 30.0 GiB are free on OSDs of class ssd, 48.0 GiB must be: 4 times what is written"
    )


def test_the_order() -> None:
    layout, _ = large(BLOCK)
    order = measuring.measure_order(layout, "h1", ("vms",), 4.0)
    assert (order.action, order.fsid, order.secrets) == (CephAction.MEASURE, layout.fsid, ())
    assert order.measure is not None
    assert (order.measure.pools, order.measure.host, order.measure.seconds) == (("vms",), "h1", 4.0)
    assert order.measure.size * order.measure.objects == 4 * GIB


def answer(pool: str, write: float, read: float) -> MonAnswer:
    flows = {"write": {"bytes": int(write * 10), "seconds": 10.0}, "read": {"bytes": int(read * 4), "seconds": 4.0}}
    return MonAnswer(code=0, output=json.dumps({"pool": pool, "objects": 3, **flows}))


def found(write: float, read: float) -> Measured:
    layout = replace(large(BLOCK)[0], throughput=(PROMISE,))
    (one,) = measuring.measured(layout, "p" * 64, "m-1", (answer("vms", write, read), answer("gone", 1, 1)), 7.0)
    return one


def test_what_was_measured() -> None:
    one = found(700, 1300)
    assert (one.pool, one.machine, one.at, one.plan, one.promise) == ("vms", "m-1", 7.0, "p" * 64, PROMISE)
    assert (one.write.rate, one.read.rate) == (700.0, 1300.0)
    assert one.write_verdict is one.read_verdict is Verdict.FINE
    assert measuring.hints(one) == ()


@pytest.mark.parametrize(
    "output", ["", "{}", '{"pool": "vms", "write": 3}', '{"pool": "vms", "write": {"bytes": "x"}}']
)
def test_what_can_not_be_read(output: str) -> None:
    layout = replace(large(BLOCK)[0], throughput=(PROMISE,))
    with pytest.raises(AnswerError, match="can't be read"):
        measuring.measured(layout, "p", "m-1", (MonAnswer(code=0, output=output),), 7.0)


def test_a_number_that_is_not_as_expected_is_explained() -> None:
    slow, fast = measuring.hints(found(299, 2200))
    assert slow.startswith("writing is less than half of what is expected (limit: the network between hosts)")
    assert all(word in slow for word in ("ethtool", "MTU", "power-loss protection"))
    assert fast.startswith("reading is above the bound, so the bound is wrong (limit: one client's port)")
    same = replace(PROMISE, limit="writing and reading: one client's port")
    assert "(limit: one client's port)" in measuring.hints(replace(found(299, 1300), promise=same))[0]


def test_verdicts_have_edges() -> None:
    assert [verdict(rate, 1000, 600) for rate in (0, 299.9, 300, 1000, 1050, 1050.1)] == [
        Verdict.LOW,
        Verdict.LOW,
        Verdict.FINE,
        Verdict.FINE,
        Verdict.FINE,
        Verdict.ABOVE,
    ]
    assert Flow(bytes=5, seconds=0.0).rate == 0.0


def test_a_service_is_block_or_it_is_not() -> None:
    layout, _ = large(PoolSpec(name="a", service=Service.BLOCK), PoolSpec(name="b", service=Service.BLOCK))
    assert measuring.measurable(layout) == ("a", "b")
