"""The machine that the appliance runs on: who may enrol it, when it is needed, what it is given, and where it is seen."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent import arbiter as rules
from agent.cephorder import CephAction, CephOrder, DeviceGrant
from agent.wire import (
    Environment,
    Firmware,
    Inventory,
    Memory,
    OrderKind,
    PermitClaim,
    Report,
    SiteBundle,
    decode,
    encode,
)
from appliance.engine.orderdoor import OrderDoor
from appliance.engine.orders import ASK, OrderError, environment_of, issue_ceph, obstacle
from appliance.model.machine import APPLIANCE, Phase, Policy, TroubleKind
from appliance.operations import arbiter, identities, machines, orders, reports, secrets, timeline
from appliance.operations.context import Appliance
from appliance.operations.errors import Conflict, Invalid, NotSignedIn, PermissionDenied
from appliance.operations.plans import observe_all
from appliance.operations.sites import load_site_text
from appliance.store import certificates, lifecycle
from appliance.store import machines as rows
from appliance.store import orders as table
from tests.unit.engine.cephworld import PLAN, SOCKET, Agents, CephWorld
from tests.unit.operations.lab import ADMIN, OPERATOR, SITE, VIEWER, csr

STRETCH = SITE + (
    "racks: {a: {datacenter: x}, b: {datacenter: y}}\n"
    "ceph: {stretch: true, tiebreaker: appliance, pools: {vms: block}}\n"
)
ELSEWHERE = STRETCH.replace("tiebreaker: appliance", "tiebreaker: n9") + "machines: {n9: {serial: S9}}\n"
OWN = Inventory(
    environment=Environment.ARBITER,
    architecture="x86_64",
    firmware=Firmware.UEFI,
    memory=Memory(total=8 << 30),
    addresses=("10.20.0.1",),
    ceph="18.2.7",
)
NONCE = "a" * 32


def request(key: ec.EllipticCurvePrivateKey | None = None) -> str:
    return csr(key or ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def enrolled(app: Appliance) -> Appliance:
    """A site that wants the tiebreaker here, and an agent that has reported."""
    load_site_text(app, ADMIN, STRETCH, "site.yaml")
    arbiter.enrol(app, ADMIN, request())
    reports.report(app, APPLIANCE, Report(nonce=NONCE, inventory=OWN), environment=Environment.ARBITER)
    return app


# ---------------------------------------------------------------- enrolment


def test_it_is_enrolled_over_the_socket_only(app: Appliance) -> None:
    load_site_text(app, ADMIN, STRETCH, "site.yaml")
    for actor in (replace(ADMIN, via="token"), replace(ADMIN, via="session"), OPERATOR, VIEWER):
        with pytest.raises(PermissionDenied):
            arbiter.enrol(app, actor, request())
    with app.store.read() as connection:
        assert rows.get(connection, APPLIANCE) is None


def test_nothing_is_given_while_it_is_not_needed(app: Appliance) -> None:
    for text in ("", SITE, ELSEWHERE):
        if text:
            load_site_text(app, ADMIN, text, "site.yaml")
        place = arbiter.enrol(app, ADMIN, request())
        assert place == arbiter.ArbiterPlace(wanted="")
    with app.store.read() as connection:
        assert rows.get(connection, APPLIANCE) is None


def test_the_same_key_gets_the_same_certificate_until_it_is_old(app: Appliance, clock: object) -> None:
    load_site_text(app, ADMIN, STRETCH, "site.yaml")
    key = ec.generate_private_key(ec.SECP256R1())
    first = arbiter.enrol(app, ADMIN, request(key))
    assert first.wanted == "the site file wants the tiebreaker of ceph on the appliance"
    assert first.site is not None
    assert decode(SiteBundle, encode(first.site)).agent_url == app.settings.agent_url
    assert arbiter.enrol(app, ADMIN, request(key)).certificate == first.certificate
    clock.advance(16 * 86400.0)  # type: ignore[attr-defined]
    renewed = arbiter.enrol(app, ADMIN, request(key))
    assert renewed.certificate != first.certificate
    with app.store.read() as connection:
        states = [(row.environment, row.state) for row in certificates.of_machine(connection, APPLIANCE)]
    assert states == [(Environment.ARBITER, "current"), (Environment.ARBITER, "revoked")]
    with pytest.raises(Invalid):
        arbiter.enrol(app, ADMIN, "no request")


def test_another_key_ends_the_one_before(app: Appliance) -> None:
    load_site_text(app, ADMIN, STRETCH, "site.yaml")
    arbiter.enrol(app, ADMIN, request())
    with app.store.read() as connection:
        (old,) = certificates.of_machine(connection, APPLIANCE)
    assert reports.caller_of_certificate(app, old.serial).environment is Environment.ARBITER
    arbiter.enrol(app, ADMIN, request())
    with pytest.raises(NotSignedIn):
        reports.caller_of_certificate(app, old.serial)


# ---------------------------------------------------------------- what it is seen as


def test_it_is_in_no_list_and_the_planner_has_it_apart(enrolled: Appliance) -> None:
    assert machines.list_machines(enrolled, VIEWER) == ()
    with enrolled.store.read() as connection:
        seen = observe_all(connection)
    assert seen.machines == ()
    assert seen.arbiter is not None
    assert seen.arbiter.inventory == OWN
    shown = machines.show_machine(enrolled, VIEWER, APPLIANCE)
    assert shown.view.machine.phase is Phase.DEPLOYED
    assert shown.inventory == OWN
    story = timeline.timeline(enrolled, VIEWER, APPLIANCE)
    assert story.missing is None, "nobody waits for it to boot"
    assert [entry.text for entry in story.entries] == [
        "the appliance's own agent got a certificate: the site file wants the tiebreaker of ceph on the appliance",
        "the appliance's own agent reported: Ceph 18.2.7",
    ]


def test_its_trouble_is_seen(enrolled: Appliance) -> None:
    with enrolled.store.write() as connection:
        lifecycle.set_trouble(connection, APPLIANCE, TroubleKind.STEP_FAILED, "no space left", at=1.0, step="s")
    (view,) = machines.list_machines(enrolled, VIEWER)
    assert view.machine.id == APPLIANCE
    assert view.next_action == "no space left"


def test_what_people_can_not_do_with_it(enrolled: Appliance) -> None:
    with pytest.raises(Conflict, match="not retired"):
        machines.retire(enrolled, OPERATOR, APPLIANCE)
    for policy in (Policy.DRAIN, Policy.EXPUNGE):
        with pytest.raises(Conflict, match="tiebreaker"):
            machines.set_policy(enrolled, OPERATOR, APPLIANCE, policy)
    with pytest.raises(Conflict, match="no other machine"):
        identities.merge(enrolled, OPERATOR, APPLIANCE, APPLIANCE)
    with pytest.raises(Conflict):
        machines.approve(enrolled, OPERATOR, APPLIANCE, without_code=True)
    with pytest.raises(Conflict):
        identities.split(enrolled, OPERATOR, APPLIANCE)
    machines.set_policy(enrolled, OPERATOR, APPLIANCE, Policy.HOLD)
    with enrolled.store.read() as connection:
        held = obstacle(connection, APPLIANCE, now=enrolled.clock.now(), kind=OrderKind.CEPH)
    assert held == "has the policy hold"


def test_reports_of_others_do_not_become_its(enrolled: Appliance, box: object) -> None:
    other = box(1)  # type: ignore[operator]
    who = other.enrol()
    assert who is not None
    with enrolled.store.read() as connection:
        (row,) = rows.everything(connection)
    with pytest.raises(Conflict, match="is not the appliance"):
        reports.report(enrolled, row.id, Report(nonce=NONCE, inventory=OWN), environment=Environment.ARBITER)
    with pytest.raises(Invalid, match="environment"):
        wrong = replace(OWN, environment=Environment.INSTALLED)
        reports.report(enrolled, APPLIANCE, Report(nonce=NONCE, inventory=wrong), environment=Environment.ARBITER)


# ---------------------------------------------------------------- orders


@pytest.fixture
def world(template: Path, tmp_path: Path) -> CephWorld:
    """Four machines in two datacenters; everything by the product's door."""
    shutil.copytree(template, tmp_path / "state")
    made = CephWorld(tmp_path / "state", boxes=4, stretch=True)
    made.use(OrderDoor(store=made.store, clock=made.clock, authority=made.app.authority))
    return made


@pytest.fixture
def agents(world: CephWorld) -> Agents:
    world.accept()
    return Agents(world)


def test_a_stretched_plan_is_carried_out_with_its_monitor(world: CephWorld, agents: Agents) -> None:
    assert agents.run(1200) == "done"
    assert world.left() == ()
    assert world.sim.tiebreaker == APPLIANCE
    mine = [order for order in agents.told if order.machine == APPLIANCE]
    assert [order.step for order in mine] == ["ceph-configure/appliance", "ceph-mon/appliance"]
    assert all(order.ceph is not None and rules.refusal(order.ceph) == "" for order in mine)
    assert agents.secrets[APPLIANCE] == {f"ceph/{world.layout.fsid}/{who}" for who in ("mon.", "client.admin")}
    with world.store.read() as connection:
        assert not [row for row in table.of_step(connection, PLAN, ASK) if row.machine == APPLIANCE]
        row = rows.get(connection, APPLIANCE)
    assert row is not None
    assert row.machine.phase is Phase.MEMBER
    assert arbiter.enrol(world.app, SOCKET, request()).wanted == "a monitor of ceph is on the appliance"


def test_an_order_is_for_its_certificate_alone(world: CephWorld, agents: Agents) -> None:
    """Not for an installed system's or the agent image's, whoever holds it."""
    while not (found := agents.poll(APPLIANCE)):
        while world.engine.run_one():
            pass
        for machine in world.ids.values():
            agents.one(machine)
        world.clock.advance(1.0)
    nonce = agents.nonces[APPLIANCE]
    for environment in (Environment.INSTALLED, Environment.IMAGE):
        assert orders.poll(world.app, APPLIANCE, nonce, environment).order is None
        with pytest.raises(Conflict):
            secrets.secret_for(world.app, APPLIANCE, f"ceph/{world.layout.fsid}/mon.", found.id, environment)
    with pytest.raises(Conflict, match="only the agent image installs"):
        claim = PermitClaim(order=found.id, nonce=nonce)
        orders.claim(world.app, APPLIANCE, "0" * 36, claim, Environment.ARBITER)
    assert environment_of(OrderKind.INSTALL, APPLIANCE) is None
    assert environment_of(OrderKind.REBOOT, APPLIANCE) is None


def test_orders_for_more_than_a_monitor_are_never_signed(world: CephWorld, agents: Agents) -> None:
    grant = DeviceGrant(machine=APPLIANCE, plan="", serial="S", wwn="", model="M", size=1, fingerprint="f")
    fsid, key = world.layout.fsid, world.key("ceph-configure")
    for body in (
        CephOrder(action=CephAction.ZAP, fsid=fsid, zap=(grant,)),
        CephOrder(action=CephAction.REMOVE, fsid=fsid, kind="mon", daemon=APPLIANCE, zap=(grant,)),
        CephOrder(action=CephAction.ASK, fsid=fsid),
        CephOrder(action=CephAction.CONFIGURE, fsid=fsid, kind="mon osd"),
    ):
        with world.store.write() as connection, pytest.raises(OrderError, match="not for the boot server"):
            issue_ceph(connection, world.app.authority, APPLIANCE, plan=PLAN, step=key, body=body, at=1.0)
    with world.store.read() as connection:
        assert table.active_of_machine(connection, APPLIANCE) is None


def test_a_silent_agent_is_named(world: CephWorld, agents: Agents) -> None:
    agents.off.add(APPLIANCE)
    key = "ceph-configure/appliance"
    for _ in range(300):
        while world.engine.run_one():
            pass
        agents.turn()
        world.clock.advance(1.0)
    assert world.step(key).state == "running"
    assert "start rackseed-arbiter there" in str(world.step(key).progress)
    with world.store.read() as connection:
        (row,) = [one for one in table.of_step(connection, PLAN, key) if one.machine == APPLIANCE]
    assert row.state == "open"
