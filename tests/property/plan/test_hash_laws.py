"""Laws of facts and hash, on fleets with broken machines: what a reboot changes voids no plan, what a person's approval was
about does, and nothing depends on the order of anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.wire import Content, Disk, Inventory, Neighbour, Signature, Smart, canonical, to_data
from appliance.model.availability import Availability, Tier
from appliance.model.ceph import CephLayout, DiskRef, OsdLayout
from appliance.model.network import AddressLayout, HostNetwork, Plane, PortLayout
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.place import Place
from appliance.model.plan import Desired, Fact, NodeLayout, Plan
from appliance.plan import bound, facts
from appliance.plan.bound import UNBOUND
from appliance.plan.make import plan
from appliance.plan.stale import changed_facts
from appliance.rehearsal.fleet import Fleet, accepted, fleet
from appliance.rehearsal.fleetparts import HARDWARE
from hwprofiles.loader import load_profiles

PROFILES = load_profiles()
LAWS = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

fleets = st.builds(
    fleet,
    racks=st.integers(1, 3),
    per_rack=st.integers(1, 5),
    hardware=st.lists(st.sampled_from(HARDWARE), min_size=1, max_size=3).map(tuple),
    broken=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1000),
)


def make(scene: Fleet, seen: Observed | None = None, parent: Plan | None = None) -> Plan:
    return plan(scene.site, PROFILES, seen or scene.observed, parent)


def changed(seen: Observed, change: Callable[[Inventory], Inventory]) -> Observed:
    machines = (replace(m, inventory=change(m.inventory)) if m.inventory else m for m in seen.machines)
    return replace(seen, machines=tuple(machines))


@LAWS
@given(fleets, st.integers(0, 2**32))
def test_the_order_of_machines_disks_and_ports_never_matters(scene: Fleet, seed: int) -> None:
    machines = list(scene.observed.machines)
    Random(seed).shuffle(machines)

    def turned(inventory: Inventory) -> Inventory:
        disks, nics = list(inventory.disks), list(inventory.nics)
        Random(seed).shuffle(disks)
        Random(seed + 1).shuffle(nics)
        return replace(inventory, disks=tuple(disks), nics=tuple(nics))

    seen = changed(replace(scene.observed, machines=tuple(machines)), turned)
    first, second = make(scene), make(scene, seen)
    assert second.hash == first.hash
    assert facts.plan_hash(first.steps, first.facts, first.desired) == first.hash
    assert not changed_facts(first, seen)


def after_a_reboot(random: Random, inventory: Inventory) -> Inventory:
    """Everything that may be otherwise when the machine comes back."""

    def disk(before: Disk, path: str) -> Disk:
        smart = Smart(healthy=True, temperature_celsius=random.randrange(60), power_on_hours=random.randrange(9999))
        content = replace(before.content, in_use=random.random() < 0.5)
        return replace(before, path=path, smart=smart, content=content)

    paths = [disk.path for disk in inventory.disks]
    random.shuffle(paths)
    nics = tuple(
        replace(
            nic,
            name=f"ens{index}",
            speed=random.choice([None, nic.speed]),
            carrier=random.random() < 0.5,
            neighbours=random.choice([nic.neighbours, (Neighbour(chassis="c", port="p"),)]),
        )
        for index, nic in enumerate(inventory.nics)
    )
    return replace(
        inventory,
        disks=tuple(disk(before, path) for before, path in zip(inventory.disks, paths, strict=True)),
        nics=nics,
        kernel=random.choice(["6.12.107", "7.3.4"]),
        hostname=random.choice(["", "debian"]),
    )


@LAWS
@given(fleets, st.integers(0, 2**32))
def test_a_reboot_of_every_machine_voids_no_plan(scene: Fleet, seed: int) -> None:
    random = Random(seed)
    made = make(scene)
    assert not changed_facts(made, changed(scene.observed, lambda inventory: after_a_reboot(random, inventory)))


def swapped(machine: ObservedMachine, random: Random) -> ObservedMachine:
    """One thing about the machine that a plan may rest on."""
    inventory = machine.inventory
    assert inventory is not None
    first, *rest = inventory.disks
    other = random.choice(
        [
            (replace(first, serial=f"{first.serial}X"), *rest),
            (replace(first, size=first.size - 1), *rest),
            (*inventory.disks, replace(first, serial="NEW", wwn="naa.5000c500ffffffff")),
            tuple(rest),
        ]
    )
    dirty = replace(first, content=Content(signatures=(Signature(kind="xfs"),), edges="11"))
    return random.choice(
        [
            replace(machine, inventory=replace(inventory, disks=other)),
            replace(machine, inventory=replace(inventory, nics=inventory.nics[1:])),
            replace(machine, inventory=replace(inventory, disks=(dirty, *rest))),
        ]
    )


@LAWS
@given(fleets, st.integers(0, 2**32))
def test_a_machine_that_is_not_the_same_voids_the_plan_and_is_named(scene: Fleet, seed: int) -> None:
    random = Random(seed)
    made = make(scene)
    installs = {step.machine: step.install.disk for step in made.steps if step.install}
    if not installs:
        return
    victim = random.choice(sorted(installs))
    machines = {machine.machine.id: machine for machine in scene.observed.machines}
    inventory = machines[victim].inventory
    assert inventory is not None
    system = next(disk for disk in inventory.disks if disk.serial == installs[victim].serial)
    ordered = (system, *(disk for disk in inventory.disks if disk is not system))
    before = replace(machines[victim], inventory=replace(inventory, disks=ordered))
    machines[victim] = swapped(before, random)
    found = changed_facts(made, replace(scene.observed, machines=tuple(machines.values())))
    assert found
    assert all(fact.name.startswith(f"{victim}/") for fact in found)


@LAWS
@given(fleets)
def test_what_was_carried_out_is_planned_no_more(scene: Fleet) -> None:
    made = make(scene)
    after = accepted(made, scene.observed)
    again = make(scene, after, made)
    assert again.steps == ()
    kept = {allocation.machine: allocation for allocation in again.allocations}
    assert all(kept[allocation.machine] == allocation for allocation in made.allocations)
    assert make(scene, after, again).hash == again.hash


# ---------------------------------------------------------------- layouts that nobody planned

words = st.text(st.characters(codec="utf-8"), max_size=8)
refs = st.builds(DiskRef, serial=words, wwn=words, model=words, size=st.integers(0, 2**50), fingerprint=words)
osds = st.builds(
    OsdLayout,
    number=st.integers(0, 9),
    machine=words,
    data=refs,
    data_size=st.integers(0, 2**50),
    device_class=words,
    db=st.none() | refs,
    encrypted=st.booleans(),
)
ceph = st.builds(
    CephLayout,
    name=words,
    fsid=words,
    members=st.lists(words, max_size=3).map(tuple),
    public=words,
    cluster=words,
    hyperconverged=st.booleans(),
    osds=st.lists(osds, max_size=4).map(tuple),
)
networks = st.builds(
    HostNetwork,
    ports=st.lists(st.builds(PortLayout, mac=words, name=words), max_size=2).map(tuple),
    addresses=st.lists(
        st.builds(AddressLayout, network=words, plane=st.sampled_from(Plane), interface=words, address=words),
        max_size=2,
    ).map(tuple),
    missing=st.lists(words, max_size=1).map(tuple),
)
nodes = st.builds(
    NodeLayout,
    machine=words,
    name=words,
    number=st.integers(0, 9),
    profile=words,
    place=st.builds(Place, rack=words),
    network=networks,
)
layouts = st.builds(Desired, nodes=st.lists(nodes, max_size=3).map(tuple), ceph=st.none() | ceph)
known = st.lists(st.builds(Fact, name=words, value=words), max_size=3)


def pruned(value: Any) -> Any:
    """What is hashed, written as simply as possible."""
    if is_dataclass(value):
        left_out = UNBOUND.get(type(value), frozenset())
        kept = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in left_out}
        if isinstance(value, Desired):
            kept = {name: item for name, item in kept.items() if item}
        return {name: pruned(item) for name, item in kept.items()}
    return [pruned(item) for item in value] if isinstance(value, tuple | list) else to_data(value)


@LAWS
@given(known, layouts)
def test_the_hash_is_that_of_the_canonical_json(found: list[Fact], desired: Desired) -> None:
    data = {"steps": [], "facts": pruned(found), "desired": pruned(desired)}
    if not data["desired"]:
        del data["desired"]
    assert facts.plan_hash((), found, desired) == hashlib.sha256(canonical(data)).hexdigest()


@LAWS
@given(known, layouts, layouts)
def test_equal_hashes_are_equal_plans(found: list[Fact], one: Desired, other: Desired) -> None:
    same = facts.plan_hash((), found, one) == facts.plan_hash((), found, other)
    assert same == (canonical(pruned(one)) == canonical(pruned(other)))
    assert same == facts.same_layout(one, other)


@LAWS
@given(layouts, st.integers(0, 2**32))
def test_reports_do_not_count(desired: Desired, seed: int) -> None:
    """The same layout with other sentences, which equality alone would call another one."""
    said = Random(seed).choice(["", "one port is missing"])
    nodes = tuple(
        replace(node, network=replace(node.network, missing=(*node.network.missing, said))) for node in desired.nodes
    )
    other = replace(desired, nodes=nodes, availability=Availability(reached=Tier.II))
    assert other != desired
    assert facts.same_layout(desired, other)
    assert facts.plan_hash((), (), desired) == facts.plan_hash((), (), other)


@LAWS
@given(
    st.lists(
        st.one_of(
            st.text(max_size=5),
            st.integers(),
            st.booleans(),
            st.none(),
            st.floats(allow_nan=False, allow_infinity=False),
            osds,
            nodes,
        )
    )
)
def test_columns_are_the_same_json_as_objects(values: list[Any]) -> None:
    """Also where a column has several types, or nothing but one value (1, true and 1.0 are equal, and not the same)."""
    assert "".join(bound.pieces(tuple(values))) == canonical(pruned(values)).decode()
    twice = (tuple(values), (), tuple(values[:1]) * 3, tuple(values))
    assert "".join(bound.pieces(twice)) == canonical(pruned(twice)).decode()
