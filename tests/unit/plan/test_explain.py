"""`explain`: golden texts, and what can be asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.wire import Neighbour
from appliance.model.ceph import CephSpec, Erasure, PoolSpec, Service
from appliance.model.cluster import ClusterSpec
from appliance.model.machine import Phase, Trouble, TroubleKind
from appliance.model.plan import Allocation
from appliance.model.site import EraseGrant
from appliance.plan.diff.lines import to_text
from appliance.plan.explain.answer import ExplainError, explain
from tests.conftest import Golden
from tests.unit.plan.conftest import PROFILES, Workshop
from tests.unit.plan.scenes import Scene, eight, mesh, plain


def text(scene: Scene, what: str) -> str:
    return to_text(explain(scene.plan, scene.observed, scene.site, what, PROFILES))


def refusal(scene: Scene, what: str) -> str:
    with pytest.raises(ExplainError) as found:
        text(scene, what)
    return str(found.value)


@pytest.fixture(scope="module")
def big() -> Scene:
    return eight(Workshop())


@pytest.mark.parametrize(
    ("scene_of", "what", "name"),
    [
        (eight, "n4", "machine-with-osds"),
        (eight, "DB04", "disk-for-databases"),
        (eight, "BOOT02", "disk-that-is-erased"),
        (eight, "STICK", "disk-that-is-kept"),
        (eight, "install/m-2", "step-install"),
        (eight, "first-boot/m-2", "step-first-boot"),
        (eight, "vms", "pool"),
        (eight, "pve1", "cluster"),
        (mesh, "n3", "machine-in-a-mesh"),
        (mesh, "n4", "machine-without-a-profile"),
        (mesh, "backbone", "backbone"),
        (plain, "n2", "machine-that-waits"),
        (plain, "D2", "disk-with-foreign-data"),
    ],
)
def test_golden_explanations(scene_of, what: str, name: str, golden: Golden) -> None:  # type: ignore[no-untyped-def]
    golden.check(f"explain/{name}.txt", text(scene_of(Workshop()), what))


def test_golden_refusals(golden: Golden) -> None:
    scene = eight(Workshop())
    wrong = ["", "NVO4A", "NV04", "n44", "nothing-like-it", "osd.99", "NV0", "install/m-99", "n4/NV05A", "pve2", "m-"]
    golden.check("explain/errors.txt", "".join(f"{what!r}: {refusal(scene, what)}\n" for what in wrong))


@pytest.mark.parametrize(
    ("what", "first"),
    [
        ("N4", "n4 (m-4): ready"),
        ("m-4", "n4 (m-4): ready"),
        ("sn4", "n4 (m-4): ready"),
        ("3C:EC:EF:01:04:02", "n4 (m-4): ready"),
        (" n4 ", "n4 (m-4): ready"),
        ("hd04b", "disk HD04B of n4 (m-4)"),
        ("n4/HD04B", "disk HD04B of n4 (m-4)"),
        ("m-4/hd04", "m-4/hd04 are 4 disks: n4/HD04A, n4/HD04B, n4/HD04C, n4/HD04D; ask for one"),
        ("eui.0004C", "disk NV04C of n4 (m-4)"),
        ("eui.0004", "eui.0004 are 4 disks: n4/NV04A, n4/NV04B, n4/NV04C, n4/NV04D; ask for one"),
        ("STIC", "disk STICK of n2 (m-2)"),
        ("osd.19", "disk HD04D of n4 (m-4)"),
        ("install/m-4", "step install/m-4 (n4)"),
        ("archive", "pool archive of ceph ceph"),
        ("pve1", "cluster pve1"),
        ("backbone", "backbone: switch"),
    ],
)
def test_what_can_be_asked_for(what: str, first: str, big: Scene) -> None:
    if " are 4 " in first:
        assert refusal(big, what) == first
    else:
        assert text(big, what).startswith(first)


def test_every_machine_disk_and_step_can_be_explained(big: Scene) -> None:
    for machine in big.observed.machines:
        shown = text(big, machine.machine.id)
        for disk in machine.inventory.disks if machine.inventory else ():
            assert disk.serial in shown
    for disk in big.plan.disks:
        shown = text(big, f"{disk.machine}/{disk.serial}")
        assert disk.why in shown
        assert disk.now in shown
    for step in big.plan.steps:
        assert ("NOT reversible" in text(big, step.key)) == (not step.reversible)


def test_names_and_addresses_say_where_they_come_from(big: Scene) -> None:
    assert "name n1: the site file's entry with serial SN1" in text(big, "n1")
    kept = Allocation(machine="m-1", name="n1", address="10.1.0.2", profile="epyc-compute", number=1)
    machines = tuple(
        replace(machine, allocation=kept, expected="") if machine.machine.id == "m-1" else machine
        for machine in big.observed.machines
    )
    allocations = tuple(kept if given.machine == "m-1" else given for given in big.plan.allocations)
    scene = replace(
        big,
        observed=replace(big.observed, machines=machines),
        plan=replace(big.plan, allocations=allocations),
    )
    shown = text(scene, "n1")
    assert "name n1: kept from the accepted plan; the site file has no entry for this machine" in shown
    assert "address 10.1.0.2: kept from the accepted plan" in shown
    assert "number 1 in the site: kept" in shown


def test_a_rack_by_its_switch(big: Scene) -> None:
    machine = big.observed.machines[1]
    assert machine.inventory is not None
    nic = replace(machine.inventory.nics[0], neighbours=(Neighbour(chassis="x", port="swp1", system="leaf2"),))
    heard = replace(machine, inventory=replace(machine.inventory, nics=(nic, *machine.inventory.nics[1:])))
    observed = replace(big.observed, machines=(*big.observed.machines[:1], heard, *big.observed.machines[2:]))
    assert "why: eth0 hears switch leaf2 of rack r2" in text(replace(big, observed=observed), "n2")


def test_facts_that_changed_are_named(big: Scene) -> None:
    machine = big.observed.machines[0]
    held = replace(machine, machine=replace(machine.machine, phase=Phase.DEPLOYING))
    scene = replace(big, observed=replace(big.observed, machines=(held, *big.observed.machines[1:])))
    assert "  ! m-1/phase: CHANGED, so this plan can't be applied any more: n1: it is deploying now" in text(
        scene, "n1"
    )
    gone = replace(big, observed=replace(big.observed, machines=big.observed.machines[1:]))
    assert text(gone, "n1").startswith("n1 (m-1): not there any more\n")
    assert "  ! the machine does not report it any more" in text(gone, "NV01A")


def test_troubles_grants_and_protection(big: Scene) -> None:
    machine = big.observed.machines[0]
    trouble = Trouble(kind=TroubleKind.DISKS, text="a disk is failing", since=1.0)
    sick = replace(machine, machine=replace(machine.machine, trouble=trouble))
    site = replace(big.site, erase=(EraseGrant(serial="nv01a", reason="old pool"),), protect=("STICK",))
    scene = replace(big, site=site, observed=replace(big.observed, machines=(sick, *big.observed.machines[1:])))
    assert "  ! disks: a disk is failing" in text(scene, "n1")
    assert "it may be erased: old pool" in text(scene, "NV01A")
    assert "it is protected: nothing ever writes it" in text(scene, "STICK")


def test_what_the_site_file_asked_for(big: Scene) -> None:
    pools = (PoolSpec(name="vms", service=Service.BLOCK, size=3), PoolSpec(name="x", service=Service.OBJECT))
    spec = ClusterSpec(name="pve1", profiles=("epyc-compute",), racks=("r1", "r2"))
    site = replace(big.site, ceph=CephSpec(pools=pools), clusters=(spec,))
    scene = replace(big, site=site)
    assert "service block, size 3, share 1.0; everything else is chosen" in text(scene, "vms")
    shown = text(scene, "pve1")
    assert "the site file takes every machine of profile epyc-compute" in shown
    assert "only in racks r1, r2" in shown
    assert "arbiter: auto; the number of nodes is even, so an arbiter breaks ties" in shown
    coded = replace(pools[0], erasure=Erasure(k=4, m=2))
    named = replace(site, ceph=CephSpec(pools=(coded,)), clusters=(replace(spec, profiles=(), machines=("n1", "n2")),))
    assert "erasure 4+2" in text(replace(big, site=named), "vms")
    assert "the site file names the machines n1, n2" in text(replace(big, site=named), "pve1")
    everybody = replace(site, clusters=(replace(spec, profiles=(), racks=(), maximum=4),))
    split = replace(big.plan.desired.clusters[0], name="pve1-2", domain="r2")
    desired = replace(big.plan.desired, clusters=(split,))
    shown = text(replace(big, site=everybody, plan=replace(big.plan, desired=desired)), "pve1-2")
    assert "the site file names nobody, so every machine that can run proxmox is in it" in shown
    assert "at most 4 nodes each, so it was split along the failure domain r2" in shown


def test_two_machines_of_one_name_are_told_apart(big: Scene) -> None:
    nodes = tuple(replace(node, name="twin") if node.number < 3 else node for node in big.plan.desired.nodes)
    allocations = tuple(
        replace(given, name="twin") if given.name in ("n1", "n2") else given for given in big.plan.allocations
    )
    plan = replace(big.plan, desired=replace(big.plan.desired, nodes=nodes), allocations=allocations)
    assert refusal(replace(big, plan=plan), "twin") == "twin are several machines: m-1, m-2; ask for one of these ids"


def test_without_profiles_nothing_is_matched(big: Scene) -> None:
    shown = to_text(explain(big.plan, big.observed, big.site, "n1"))
    assert "profile epyc-compute" in shown
    assert "matches" not in shown
