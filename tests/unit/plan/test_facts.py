"""Facts and the hash: what counts, what does not, and that both are cheap ways to say the same as before."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from agent.wire import Content, Signature, canonical, to_data
from appliance.model.availability import Availability, Tier
from appliance.model.ceph import CephLayout, DiskRef, OsdBudget, OsdLayout, ServiceLayout, Throughput
from appliance.model.cluster import ClusterKind, ClusterLayout
from appliance.model.network import (
    BackboneLayout,
    CableLayout,
    CableState,
    HostNetwork,
    PortLayout,
    Routing,
    Shape,
)
from appliance.model.place import Place
from appliance.model.plan import Desired, DiskChoice, DiskFate, Fact, NodeLayout, Plan
from appliance.plan import facts
from appliance.plan.bound import UNBOUND
from appliance.plan.make import plan
from appliance.rehearsal.fleet import fleet, machine
from hwprofiles.loader import load_profiles

PROFILES = load_profiles()


@pytest.fixture(scope="module")
def made() -> Plan:
    scene = fleet(racks=2, per_rack=3)
    return plan(scene.site, PROFILES, scene.observed, None)


def ref(number: int) -> DiskRef:
    return DiskRef(serial=f"S{number}", wwn=f"naa.{number:016x}", model="M", size=4 << 40, fingerprint="aa")


def osd(number: int, machine: str = "m-1", db: DiskRef | None = None) -> OsdLayout:
    return OsdLayout(
        number=number,
        machine=machine,
        data=ref(number),
        data_size=4 << 40,
        device_class="hdd",
        db=db,
        db_size=1 << 30 if db else 0,
    )


BUDGET = OsdBudget(
    machine="m-1",
    osds=3,
    memory=64 << 30,
    memory_target=4 << 30,
    memory_needed=24 << 30,
    threads=32,
    threads_needed=12,
    hyperconverged=True,
    fits=True,
    text="3 OSDs need 24 GiB",
)
CEPH = CephLayout(
    name="ceph",
    fsid="5b1c6f0e-3f5a-4b43-9d8e-2a7c8d9e0f12",
    members=("m-1",),
    public="storage-public",
    cluster="",
    hyperconverged=True,
    osds=(osd(0), osd(1, db=ref(9)), osd(2, db=ref(9))),
    budgets=(BUDGET,),
    services=(ServiceLayout(kind="mon", machine="m-1", bucket="rack1"),),
    throughput=(
        Throughput(pool="vm", write_bound=4, write_expected=3, read_bound=2, read_expected=1, limit="the network"),
    ),
)
NODE = NodeLayout(
    machine="m-1",
    name="n1",
    number=1,
    profile="epyc-compute",
    place=Place(rack="rack1"),
    network=HostNetwork(ports=(PortLayout(mac="3c:ec:ef:00:00:01", name="nic0"),), missing=("one port is missing",)),
)
BACKBONE = BackboneLayout(
    shape=Shape.RING,
    routing=Routing.BGP,
    bfd=True,
    members=("m-1", "m-2"),
    cables=(CableLayout(a="m-1", b="m-2"),),
    why="five machines",
)
CLUSTER = ClusterLayout(
    name="pve", spec="pve", kind=ClusterKind.PROXMOX, members=("m-1",), votes=1, quorum=1, tolerates=0
)
DESIRED = Desired(
    nodes=(NODE,),
    clusters=(CLUSTER,),
    ceph=CEPH,
    backbone=BACKBONE,
    availability=Availability(reached=Tier.I),
)


def test_the_hash_is_that_of_the_canonical_json(made: Plan) -> None:
    """Without anything desired it is what earlier versions computed with the slow, obvious code."""
    steps = to_data(made.steps)
    for step in steps:
        if step["install"]:
            for volatile in ("path", "now", "why"):
                del step["install"]["disk"][volatile]
    slow = hashlib.sha256(canonical({"steps": steps, "facts": to_data(made.facts)})).hexdigest()
    assert facts.plan_hash(made.steps, made.facts) == slow
    assert facts.plan_hash((), ()) == hashlib.sha256(b'{"facts":[],"steps":[]}').hexdigest()


def pruned(value: Any) -> Any:
    """`to_data` without what the hash leaves out, written as simply as possible."""
    if is_dataclass(value):
        left_out = UNBOUND.get(type(value), frozenset())
        return {field.name: pruned(getattr(value, field.name)) for field in fields(value) if field.name not in left_out}
    return [pruned(item) for item in value] if isinstance(value, tuple) else to_data(value)


def test_what_is_desired_is_hashed_as_canonical_json(made: Plan) -> None:
    slow = canonical({"steps": pruned(made.steps), "facts": pruned(made.facts), "desired": pruned(DESIRED)})
    assert facts.plan_hash(made.steps, made.facts, DESIRED) == hashlib.sha256(slow).hexdigest()


def test_long_lists_are_hashed_in_pieces() -> None:
    many = tuple(Fact(name=f"m-{number}/disk/ü{number}", value='quo"ted\n') for number in range(2000))
    slow = hashlib.sha256(canonical({"steps": [], "facts": to_data(many)})).hexdigest()
    assert facts.plan_hash((), many) == slow


def test_parts_that_are_not_used_do_not_change_the_hash(made: Plan) -> None:
    plain = facts.plan_hash(made.steps, made.facts)
    assert facts.plan_hash(made.steps, made.facts, Desired()) == plain
    assert facts.plan_hash(made.steps, made.facts, Desired(availability=DESIRED.availability)) == plain
    only_nodes = facts.plan_hash(made.steps, made.facts, Desired(nodes=(NODE,)))
    assert only_nodes not in (plain, facts.plan_hash(made.steps, made.facts, DESIRED))


def desired(**ceph: Any) -> Desired:
    return replace(DESIRED, ceph=replace(CEPH, **ceph))


FREE = {
    "availability": replace(DESIRED, availability=None),
    "throughput": desired(throughput=()),
    "text of a budget": desired(budgets=(replace(BUDGET, text="otherwise"),)),
    "memory as the kernel counts it": desired(budgets=(replace(BUDGET, memory=63 << 30),)),
    "why a shape": replace(DESIRED, backbone=replace(BACKBONE, why="four machines")),
    "what LLDP hears": replace(
        DESIRED, backbone=replace(BACKBONE, cables=(replace(BACKBONE.cables[0], state=CableState.MISSING),))
    ),
    "missing ports": replace(DESIRED, nodes=(replace(NODE, network=replace(NODE.network, missing=())),)),
}
BOUND = {
    "a node's number": replace(DESIRED, nodes=(replace(NODE, number=2),)),
    "a place": replace(DESIRED, nodes=(replace(NODE, place=Place(rack="rack2")),)),
    "a port": replace(DESIRED, nodes=(replace(NODE, network=HostNetwork()),)),
    "a cluster's members": replace(DESIRED, clusters=(replace(CLUSTER, members=("m-2",)),)),
    "no cluster": replace(DESIRED, clusters=()),
    "no Ceph": replace(DESIRED, ceph=None),
    "a disk": desired(osds=(replace(CEPH.osds[0], data=ref(7)), *CEPH.osds[1:])),
    "what is on a disk": desired(osds=(replace(CEPH.osds[0], data=replace(ref(0), fingerprint="bb")), *CEPH.osds[1:])),
    "memory of an OSD": desired(budgets=(replace(BUDGET, memory_target=5 << 30),)),
    "a monitor": desired(services=()),
    "a cable": replace(DESIRED, backbone=replace(BACKBONE, cables=())),
}


@pytest.mark.parametrize("what", FREE)
def test_the_hash_leaves_out(what: str) -> None:
    assert FREE[what] != DESIRED
    assert facts.plan_hash((), (), FREE[what]) == facts.plan_hash((), (), DESIRED)
    assert facts.same_layout(FREE[what], DESIRED)


@pytest.mark.parametrize("what", BOUND)
def test_the_hash_covers(what: str) -> None:
    assert facts.plan_hash((), (), BOUND[what]) != facts.plan_hash((), (), DESIRED)
    assert not facts.same_layout(BOUND[what], DESIRED)


def test_what_is_left_out_exists() -> None:
    """A field that is renamed must not slip into the hash, nor one stay on the list that is gone."""
    for kind, names in UNBOUND.items():
        assert names <= {field.name for field in fields(kind)}, kind


def test_device_nodes_and_words_of_steps_are_free(made: Plan) -> None:
    step = made.steps[0]
    assert step.install is not None
    other = replace(step.install.disk, path="/dev/sdz", now="something", why="because")
    moved = replace(step, install=replace(step.install, disk=other))
    assert facts.plan_hash((moved,), ()) == facts.plan_hash((step,), ())
    swapped = replace(step, install=replace(step.install, disk=replace(other, serial="OTHER")))
    assert facts.plan_hash((swapped,), ()) != facts.plan_hash((step,), ())


def test_disks_of_osds_are_named_once_a_machine() -> None:
    keys = facts.assigned_keys((*CEPH.osds, osd(5, "m-2")))
    assert keys == {
        "m-1": [f"S{n}/naa.{n:016x}" for n in (0, 1, 9, 2)],
        "m-2": [f"S5/naa.{5:016x}"],
    }


def test_facts_of_assigned_disks_change_with_what_is_on_them() -> None:
    one = machine(1)
    assert one.inventory is not None
    disk = one.inventory.disks[3]
    key = facts.disk_key(disk)
    named = {fact.name: fact.value for fact in facts.machine_facts(one, [key])}
    name = f"{one.machine.id}/disk/{key}"
    assert named[name] == f"{disk.content.fingerprint()} {disk.size} {disk.model}"
    dirty = replace(disk, content=Content(signatures=(Signature(kind="ceph_bluestore"),), edges="11"))
    after = replace(
        one, inventory=replace(one.inventory, disks=tuple(dirty if d is disk else d for d in one.inventory.disks))
    )
    seen = replace(fleet(racks=1, per_rack=1).observed, machines=(after,))
    planned = [Fact(name=name, value=value) for name, value in named.items()]
    changed = {fact.name for fact in planned if facts.recompute(planned, seen)[fact.name] != fact.value}
    assert changed == {name}
    gone = replace(one, inventory=replace(one.inventory, disks=one.inventory.disks[:3]))
    assert facts.recompute(planned, replace(seen, machines=(gone,)))[name] == ""


def test_a_fingerprint_is_that_of_equal_content() -> None:
    """The cache goes by value: what is mounted or bootable does not count, everything else does."""
    content = Content(table="gpt", table_id="x", edges="aa")
    assert content.fingerprint() == Content(table="gpt", table_id="x", edges="aa").fingerprint()
    assert content.fingerprint() == replace(content, in_use=True, boot=True).fingerprint()
    assert content.fingerprint() != replace(content, edges="ab").fingerprint()
    data = {name: value for name, value in to_data(content).items() if name not in ("boot", "in_use")}
    assert content.fingerprint() == hashlib.sha256(canonical(data)).hexdigest()


def test_choices_of_disks_are_only_bound_by_identity() -> None:
    """`DiskChoice` is in steps; a new field there has to be decided about."""
    bound = {field.name for field in fields(DiskChoice)} - UNBOUND[DiskChoice]
    assert bound == {"machine", "serial", "wwn", "model", "size", "role", "fate", "fingerprint"}
    assert DiskFate.ASSIGN in DiskFate
