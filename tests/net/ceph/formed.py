"""The product on a lab: plans of the planner, carried out by the real engine through the lab's door."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path

from agent.cephorder import CephOrder
from appliance.effects.cephdoor import CephDoor, DoorResult, DoorState
from appliance.effects.clock import SystemClock
from appliance.engine.engine import Engine
from appliance.engine.registry import Tools, registry
from appliance.kinds import ceph
from appliance.kinds.ceph import measuring
from appliance.model.ceph import CephSpec, CephVerb, OsdLayout, PoolSpec, Service
from appliance.model.cephstate import CephState
from appliance.model.machine import Policy
from appliance.model.measured import TOLERANCE, Measured
from appliance.model.observed import Observed
from appliance.model.plan import Plan
from appliance.model.settings import Settings
from appliance.model.site import Site
from appliance.operations.context import SYSTEM, Appliance
from appliance.operations.rendering import render_files
from appliance.operations.replacements import replacing
from appliance.operations.secrets import make_keys
from appliance.plan.lint import ERROR, lint
from appliance.plan.make import plan
from appliance.rehearsal.cephlab import inventory
from appliance.rehearsal.cephlab.door import LabDoor, questions
from appliance.rehearsal.cephlab.lab import CephLab
from appliance.store import plans, replacements, secrets, steps
from appliance.store.replacements import ReplacementRow, ReplacementState
from hwprofiles.loader import load_profiles

PROFILES = load_profiles()
ASIDE = "beside-the-plan"
"""The step of orders that are none of a plan's."""
WANTED = (
    PoolSpec(name="vms", service=Service.BLOCK, namespaces=("tenant-a", "tenant-b")),
    PoolSpec(name="shares", service=Service.FILE),
    PoolSpec(name="objects", service=Service.OBJECT),
)
SPEC = CephSpec(groups=(inventory.EVERY_DISK,), pools=WANTED)


@dataclass
class Formation:
    """An appliance (store, keys, engine) that forms what ``spec`` wants on ``lab``. ``accepted`` is the last plan."""

    lab: CephLab
    folder: Path
    spec: CephSpec = SPEC
    accepted: Plan | None = None
    app: Appliance = field(init=False)
    door: LabDoor = field(init=False)
    seen: Observed | None = None
    policies: dict[str, Policy] = field(default_factory=dict)
    removing: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        settings = Settings(state=self.folder, cache=self.folder / "cache", address=IPv4Address("127.0.0.1"))
        clock = SystemClock()
        self.app = Appliance.open(settings, clock)
        look = questions(ceph.questions, ceph.parse, ceph.manager_questions)
        self.door = LabDoor(lab=self.lab, secrets=self.secret, look=look)

    def secret(self, name: str) -> str:
        """As the agents' listener gives it; KeyError."""
        with self.app.store.read() as connection:
            sealed = secrets.get(connection, name)
        if sealed is None:
            raise KeyError(name)
        return self.app.secrets.unseal(name, sealed).decode("ascii")

    @property
    def site(self) -> Site:
        return inventory.site(self.lab, self.spec)

    def observe(self) -> Observed:
        """Machines and Ceph as they are now."""
        seen = inventory.observed(self.lab, self.seen)
        machines = tuple(
            replace(one, machine=replace(one.machine, policy=self.policies.get(one.expected, Policy.USE)))
            for one in seen.machines
        )
        with self.app.store.read() as connection:
            wishes = replacing(connection)
        state = self.look() or seen.ceph
        self.seen = replace(seen, machines=machines, ceph=state, replacing=wishes, removing=self.removing)
        return self.seen

    def look(self) -> CephState | None:
        """What Ceph says of itself; None while nobody answers, or monitors elect in the middle of our questions."""
        try:
            return self.door.observe()
        except ceph.AnswerError:
            return None

    def now(self, seconds: float = 120) -> CephState:
        """The same, patient."""
        end = time.monotonic() + seconds
        while (state := self.look()) is None:
            assert time.monotonic() < end, "no monitor answers"
            time.sleep(0.5)
        return state

    def plan(self) -> Plan:
        """The next plan; lint must find no error in it."""
        seen = self.observe()
        made = plan(self.site, PROFILES, seen, self.accepted)
        errors = [finding for finding in lint(self.site, made, seen, PROFILES) if finding.severity == ERROR]
        assert errors == [], "\n".join(f"{e.rule} {e.about}: {e.text}" for e in errors)
        return made

    def apply(self, made: Plan) -> None:
        """Accept it as `operations.plans` does, without the machines' rows: the lab has no agents that report."""
        now = self.app.clock.now()
        with self.app.store.write() as connection:
            plans.put_draft(connection, made, lint=(), diff="", made_by="lab", made=now)
            make_keys(self.app, connection, SYSTEM, made)
            plans.accept(connection, made.hash, by="lab", at=now)
            steps.add(connection, made.hash, made.steps)
        self.accepted = made

    def engine(self, door: CephDoor, lease: float = 30.0) -> Engine:
        """The product's worker, with a door of the lab."""
        tools = Tools(
            store=self.app.store,
            clock=self.app.clock,
            authority=self.app.authority,
            settings=self.app.settings,
            render=render_files,
            ceph=door,
        )
        return Engine(tools, registry(), lease=lease)

    def work(self, seconds: float) -> None:
        """Until the accepted plan is over. AssertionError with what went wrong."""
        engine, end = self.engine(self.door), time.monotonic() + seconds
        while (state := self.state()) == "accepted":
            if not engine.run_one():
                time.sleep(0.1)
            assert time.monotonic() < end, f"not formed within {seconds} s:\n{self.report()}"
        assert state == "done", self.report()

    def until(self, there: Callable[[], bool], seconds: float) -> None:
        """Work until it is so; AssertionError when it is not in time."""
        engine, end = self.engine(self.door), time.monotonic() + seconds
        while not there():
            if not engine.run_one():
                time.sleep(0.1)
            assert time.monotonic() < end, f"not within {seconds} s:\n{self.report()}"

    def of_host(self, name: str) -> tuple[OsdLayout, ...]:
        """OSDs that the accepted plan lets go of on a host, by its drains."""
        steps = self.accepted.steps if self.accepted else ()
        found = (step.ceph for step in steps if step.name == name)
        return tuple(args.old for args in found if args and args.verb is CephVerb.OUT and args.old)

    def state(self) -> str:
        assert self.accepted is not None
        return self.state_of(self.accepted.hash)

    def state_of(self, plan_hash: str) -> str:
        with self.app.store.read() as connection:
            return str(plans.get_state(connection, plan_hash))

    def report(self) -> str:
        """Every step that is not done, with the last that was said of it."""
        assert self.accepted is not None
        with self.app.store.read() as connection:
            rows = steps.of_plan(connection, self.accepted.hash)
        return "\n".join(
            f"{row.key}: {row.state} {row.error} {dict(row.progress)}" for row in rows if row.state != "done"
        )

    def healthy(self, seconds: float) -> None:
        """Wait until Ceph says that it is well; AssertionError with what it says instead."""
        end = time.monotonic() + seconds
        while True:
            state = self.look()
            if state is not None and state.health == "HEALTH_OK" and state.clean:
                return
            assert time.monotonic() < end, state and (state.health, state.checks, state.pgs)
            time.sleep(1)

    def tell(self, host: str, order: CephOrder, seconds: float = 600) -> DoorResult:
        """What a host makes of an order beside those of the plan."""
        assert self.accepted is not None
        machine, plan = inventory.machine_of(self.lab.description, host), self.accepted.hash
        self.door.start(machine, plan, ASIDE, order)
        end = time.monotonic() + seconds
        while (result := self.door.result(plan, ASIDE)).state is DoorState.RUNNING:
            assert time.monotonic() < end, result
            time.sleep(0.2)
        return result

    def measure(self, pools: tuple[str, ...], seconds: float) -> tuple[Measured, ...]:
        """What the first host gets of pools, as the product measures it; it must be allowed, and above no bound: what goes
        through a shaped port is a law of physics."""
        assert self.accepted is not None
        layout, end, why = self.accepted.desired.ceph, time.monotonic() + 300, "nobody answers"
        assert layout is not None
        while (state := self.look()) is None or (why := measuring.refusal(layout, state, pools)):
            assert time.monotonic() < end, (state, why)  # the autoscaler may be at work
            time.sleep(1)
        result = self.tell("h1", measuring.measure_order(layout, "h1", pools, seconds))
        assert result.state is DoorState.DONE, result
        found = measuring.measured(layout, self.accepted.hash, "h1", result.answers, time.time())
        assert tuple(one.pool for one in found) == pools
        for one in found:
            assert 0 < one.write.rate <= one.promise.write_bound * TOLERANCE, one
            assert 0 < one.read.rate <= one.promise.read_bound * TOLERANCE, one
        return found

    def drain(self, host: str) -> None:
        """What an operator says: `rackseed machine policy HOST drain`."""
        self.policies[host] = Policy.DRAIN

    def want_replaced(self, osd: OsdLayout) -> None:
        """What `rackseed replace disk SERIAL` records, without the machines' rows."""
        disk, now = osd.data, self.app.clock.now()
        wish = ReplacementRow(
            seq=0,
            machine=osd.machine,
            serial=disk.serial,
            wwn=disk.wwn,
            model=disk.model,
            size=disk.size,
            osds=(osd.number,),
            state=ReplacementState.WANTED,
            asked=now,
            asked_by="lab",
        )
        with self.app.store.write() as connection:
            replacements.add(connection, wish)

    def wishes(self) -> list[str]:
        """Their states."""
        with self.app.store.read() as connection:
            return [row.state.value for row in replacements.holding(connection)]

    def write(self, name: str, text: str) -> None:
        """An object into the first pool, past the product."""
        host = self.lab.host("h1")
        host.write("/tmp/object", text)
        host.run(["rados", "--pool", self.spec.pools[0].name, "put", name, "/tmp/object"])

    def read(self, name: str) -> str:
        """And out of it."""
        host = self.lab.host("h1")
        host.run(["rados", "--pool", self.spec.pools[0].name, "get", name, "/tmp/object.read"])
        return host.run(["cat", "/tmp/object.read"]).stdout

    def close(self) -> None:
        self.door.close()
        self.app.close()
