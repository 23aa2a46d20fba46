"""``/api/v1/ceph``: how fast pools are."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.api.documents import instant
from appliance.api.route import FORBID, Api, Reply, appliance, asking
from appliance.model.measured import Flow, Measured
from appliance.operations import measurements
from appliance.operations.measurements import PoolSpeed, SpeedView

api = Api("ceph", __name__, url_prefix="/api/v1/ceph")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureBody:
    """What to measure; without ``pools`` all that large data goes to."""

    __pydantic_config__ = FORBID
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowDocument:
    """One direction. ``rate`` is bytes per second; ``verdict``: ``above`` (the bound is wrong), ``fine``, ``low`` (less than
    half of what is expected)."""

    bytes: int
    seconds: float
    rate: int
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredDocument:
    """One measurement of a pool from ``machine`` (an id), beside what ``plan`` said then, in bytes per second."""

    pool: str
    at: str | None
    machine: str
    name: str
    plan: str
    write: FlowDocument
    read: FlowDocument
    write_bound: int
    write_expected: int
    read_bound: int
    read_expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpeedDocument:
    """A pool: what the plan that holds promises in bytes per second, where the bounds come from, and what was measured
    last (null: never). ``hints`` say what a number means that is not as expected."""

    pool: str
    write_bound: int
    write_expected: int
    read_bound: int
    read_expected: int
    limit: str
    measured: MeasuredDocument | None
    hints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringDocument:
    """The measurement that was asked for last. ``state``: open, running, done, failed, refused, void; ``fraction`` is
    0..1."""

    state: str
    running: bool
    machine: str
    name: str
    fraction: float
    message: str
    started: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputDocument:
    """Throughput of the cluster ``cluster``. ``history`` has the newest first."""

    cluster: str
    fsid: str
    plan: str
    pools: tuple[PoolSpeedDocument, ...]
    measuring: MeasuringDocument | None
    history: tuple[MeasuredDocument, ...]


@api.route_for("GET", "/throughput", errors=(401, 403, 404))
def show_throughput() -> ThroughputDocument:
    """What one client can get of each pool: bound, expectation, and what was measured. 404 where no accepted plan has a
    Ceph."""
    return _document(measurements.show_speed(appliance(), asking()))


@api.route_for("POST", "/throughput", status=202, errors=(401, 403, 404, 409, 422, 503), idempotent=True)
def measure_throughput(body: MeasureBody) -> Reply[ThroughputDocument]:
    """Measure pools from a member of the cluster: 10 s of writing and 10 s of reading each. 409 while a plan is carried out,
    while another measurement runs, and when Ceph is not well or too full."""
    view = measurements.measure(appliance(), asking(), body.pools)
    return Reply(value=_document(view), location="/api/v1/ceph/throughput")


def _document(view: SpeedView) -> ThroughputDocument:
    last = view.last
    return ThroughputDocument(
        cluster=view.name,
        fsid=view.fsid,
        plan=view.plan,
        pools=tuple(_pool(one, view) for one in view.pools),
        measuring=None
        if last is None
        else MeasuringDocument(
            state=last.state.value,
            running=last.running,
            machine=last.machine,
            name=last.name,
            fraction=last.fraction,
            message=last.message,
            started=instant(last.started),
        ),
        history=tuple(_measured(one, view) for one in view.history),
    )


def _pool(one: PoolSpeed, view: SpeedView) -> PoolSpeedDocument:
    return PoolSpeedDocument(
        pool=one.pool,
        write_bound=one.promise.write_bound,
        write_expected=one.promise.write_expected,
        read_bound=one.promise.read_bound,
        read_expected=one.promise.read_expected,
        limit=one.promise.limit,
        measured=_measured(one.measured, view) if one.measured else None,
        hints=one.hints,
    )


def _measured(found: Measured, view: SpeedView) -> MeasuredDocument:
    return MeasuredDocument(
        pool=found.pool,
        at=instant(found.at),
        machine=found.machine,
        name=view.names.get(found.machine, ""),
        plan=found.plan,
        write=_flow(found.write, found.write_verdict.value),
        read=_flow(found.read, found.read_verdict.value),
        write_bound=found.promise.write_bound,
        write_expected=found.promise.write_expected,
        read_bound=found.promise.read_bound,
        read_expected=found.promise.read_expected,
    )


def _flow(flow: Flow, verdict: str) -> FlowDocument:
    return FlowDocument(bytes=flow.bytes, seconds=flow.seconds, rate=round(flow.rate), verdict=verdict)
