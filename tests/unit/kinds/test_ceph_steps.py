"""Steps of Ceph from a layout: what there is, in which order, and every command of it, as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from agent.cephorder import CephAction, CephOrder, DeviceGrant
from appliance.kinds import ceph as kind
from appliance.kinds.ceph.commands import shown
from appliance.model.ceph import CephLayout, CephVerb, Erasure, PoolSpec, Service
from appliance.model.cephstate import CephState
from appliance.model.plan import DiskFate, Step
from tests.conftest import Golden
from tests.unit.kinds.fake import Fake
from tests.unit.kinds.scenes import BLOCK, FILE, GIB, OBJECT, Box, Scene, boxes, disk, scene


def steps_of(scene: Scene, state: CephState | None = None) -> tuple[Step, ...]:
    return kind.steps(scene.layout, scene.hosts, state, scene.before, scene.networks, scene.choices)


def formed(scene: Scene) -> Fake:
    """A cluster that stands as the scene wants it."""
    fake = Fake(hosts=dict(scene.hosts))
    fake.run(steps_of(scene))
    return fake


def grown(among: Sequence[Box], before: Scene, **more: object) -> Scene:
    return scene(among, before=before.layout, **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------- as text


def text(scene: Scene, fake: Fake) -> str:
    """The steps, then what was told for each."""
    steps = steps_of(scene, fake.state)
    lines = ["# steps", *(_step(step) for step in steps), ""]
    begun = len(fake.orders)
    fake.run(steps)
    last = ""
    for key, machine, order in fake.orders[begun:]:
        if key != last:
            lines += ["", f"# {key}"]
        last = key
        lines += _order(machine, order)
    left = steps_of(replace(scene, before=scene.layout), fake.state)
    lines += ["", f"# afterwards: {len(left)} steps"]
    return "\n".join(lines) + "\n"


def _step(step: Step) -> str:
    flags = "" if step.reversible else " irreversible"
    return f"{step.key} on {step.name}, {step.deadline:.0f} s{flags}, after {' '.join(step.after) or 'nothing'}"


def _order(machine: str, order: CephOrder) -> list[str]:
    words = [
        f"{machine}: {order.action}",
        *(f"{n}={v}" for n in ("kind", "daemon", "address") if (v := getattr(order, n))),
    ]
    if order.monitors:
        words.append(f"monitors={','.join(order.monitors)}")
    if order.check:
        words.append(f"check={order.service} {order.check}")
    lines = [" ".join(words)]
    for file in order.files:
        lines += [f"  file {file.path}", *(f"    {line}".rstrip() for line in file.content.splitlines())]
    lines += [f"  keyring {one.path or '(none)'} {one.entity} {_caps(one.caps)}" for one in order.secrets]
    if order.osd is not None:
        osd = order.osd
        lines.append(f"  osd.{osd.number} {osd.uuid} class {osd.device_class} db {osd.db_size}")
        lines += [
            f"  {_grant(word, grant)}" for word, grant in (("data", osd.data), ("db", osd.db)) if grant is not None
        ]
    lines += [f"  {_grant('zap', grant)}" for grant in order.zap]
    if order.lamp is not None:
        other = f", or where {order.lamp.other.serial} is" if order.lamp.other else ""
        lines.append(f"  lamp of {order.lamp.disk.serial} {'on' if order.lamp.on else 'off'}{other}")
    lines += [f"  ceph {shown(command)}" for command in order.commands]
    lines += [f"  + {line}" for rule in order.rules for line in rule.splitlines()]
    lines += [
        f"  {one.pool}: {one.size} copies, {one.min_size} must stay, {one.per_domain} in each {one.level}, "
        f"{one.device_class} below {one.root}"
        for one in order.laws
    ]
    lines += [f"  namespace {one.pool}/{one.name} {one.entity or '(no key)'}" for one in order.namespaces]
    if order.store is not None:
        store = order.store
        lines.append(f"  realm {store.realm} pool {store.pool} user {store.user} access {store.access}")
    return lines


def _caps(caps: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{who} '{what}'" for who, what in caps)


def _grant(word: str, grant: DeviceGrant) -> str:
    shared = " shared" if grant.shared else ""
    return f"{word} {grant.machine} {grant.serial} {grant.wwn} {grant.size} {grant.fingerprint[:12]}{shared}"


RACKED = boxes(4, 2, racks=2)


def four_hosts() -> tuple[Scene, Fake]:
    made = scene(RACKED)
    return made, Fake(hosts=dict(made.hosts))


def stretched() -> tuple[Scene, Fake]:
    made = scene(boxes(4, 2, racks=2, datacenters=2), (BLOCK,), stretch=True)
    return made, Fake(hosts=dict(made.hosts))


def another_tiebreaker() -> tuple[Scene, Fake]:
    """A machine instead of the appliance: it joins a cluster in stretch mode, and the appliance's monitor leaves."""
    before = stretched()[0]
    fake = formed(before)
    made = grown(boxes(4, 2, racks=2, datacenters=2), before, pools=(BLOCK,), stretch=True, tiebreaker=Box(name="h9"))
    made = replace(made, hosts={**before.hosts, **made.hosts})
    fake.hosts = dict(made.hosts)
    return made, fake


def coded() -> tuple[Scene, Fake]:
    pools = (
        PoolSpec(name="vms", service=Service.BLOCK, erasure=Erasure(k=2, m=2)),
        PoolSpec(name="fs", service=Service.FILE, erasure=Erasure(k=2, m=2)),
        PoolSpec(name="s3", service=Service.OBJECT, erasure=Erasure(k=2, m=2)),
    )
    made = scene(boxes(5, 1), pools)
    return made, Fake(hosts=dict(made.hosts))


def databases() -> tuple[Scene, Fake]:
    made = scene([replace(box, db=f"DB{n}", device_class="hdd") for n, box in enumerate(boxes(4, 2))], (BLOCK,))
    return made, Fake(hosts=dict(made.hosts))


def replaced_disk() -> tuple[Scene, Fake]:
    """With a DB device that the new OSD uses too."""
    before = databases()[0]
    fake = formed(before)
    among = [replace(box, db=f"DB{n}", device_class="hdd") for n, box in enumerate(boxes(4, 2))]
    among[1] = replace(among[1], disks=("S002D1", "NEW"))
    return grown(among, before, pools=(BLOCK,)), fake


def failed_disk() -> tuple[Scene, Fake]:
    """The old one is down already, its PGs are served by others."""
    made, fake = replaced_disk()
    assert fake.state is not None and made.before is not None
    old = next(osd.number for osd in made.before.osds if osd.data.serial == "S002D2")
    osds = tuple(replace(osd, up=False) if osd.number == old else osd for osd in fake.state.osds)
    fake.state = replace(fake.state, osds=osds, pgs=(("active+undersized+degraded", 3), ("active+clean", 9)))
    return made, fake


def letting_go() -> tuple[Scene, Fake]:
    """Somebody wants the disk replaced while its OSD runs; the new one is not there yet."""
    before = databases()[0]
    fake = formed(before)
    osds = tuple(replace(osd, replacing=osd.data.serial == "S002D2") for osd in before.layout.osds)
    return replace(before, layout=replace(before.layout, osds=osds), before=before.layout), fake


def new_disk() -> tuple[Scene, Fake]:
    """And then it is there."""
    waiting, fake = letting_go()
    fake.run(steps_of(waiting, fake.state))
    among = [replace(box, db=f"DB{n}", device_class="hdd") for n, box in enumerate(boxes(4, 2))]
    among[1] = replace(among[1], disks=("S002D1", "NEW"))
    return grown(among, waiting, pools=(BLOCK,)), fake


def added_host() -> tuple[Scene, Fake]:
    before = four_hosts()[0]
    fake = formed(before)
    made = grown(boxes(5, 2, racks=2), before)
    fake.hosts = dict(made.hosts)
    return made, fake


def removed_host() -> tuple[Scene, Fake]:
    """The one with the first monitor."""
    before = scene(boxes(5, 2, racks=3))
    fake = formed(before)
    made = grown(boxes(5, 2, racks=3)[1:], before)
    return replace(made, hosts=before.hosts), fake


def tenants() -> tuple[Scene, Fake]:
    """A namespace more in one pool of two; one pool's data are coded."""
    spaces = ("tenant-a", "tenant-b")
    vms = PoolSpec(name="vms", service=Service.BLOCK, namespaces=spaces[:1])
    bulk = PoolSpec(name="bulk", service=Service.BLOCK, erasure=Erasure(k=2, m=2), namespaces=spaces[:1])
    among = boxes(5, 1)
    before = scene(among, (vms,))
    fake = formed(before)
    return grown(among, before, pools=(replace(vms, namespaces=spaces), bulk)), fake


SCENES: dict[str, Callable[[], tuple[Scene, Fake]]] = {
    "four-hosts": four_hosts,
    "stretch": stretched,
    "stretch-another-tiebreaker": another_tiebreaker,
    "erasure-coded": coded,
    "databases": databases,
    "replace-disk": replaced_disk,
    "replace-failed-disk": failed_disk,
    "let-go-of-a-disk": letting_go,
    "new-disk-in-its-place": new_disk,
    "add-host": added_host,
    "remove-host": removed_host,
    "namespaces": tenants,
}


@pytest.mark.parametrize("name", SCENES)
def test_steps_and_commands(name: str, golden: Golden) -> None:
    made, fake = SCENES[name]()
    golden.check(f"kinds/ceph-{name}.txt", text(made, fake))


@pytest.mark.parametrize("name", SCENES)
def test_nothing_is_left_to_do(name: str) -> None:
    made, fake = SCENES[name]()
    fake.run(steps_of(made, fake.state))
    assert steps_of(replace(made, before=made.layout), fake.state) == ()


# ---------------------------------------------------------------- single rules


def test_a_larger_disk_in_the_place_of_another_gets_its_own_weight() -> None:
    """Ceph itself would leave the old one's: half of the new disk would never be used."""
    waiting, fake = letting_go()
    fake.run(steps_of(waiting, fake.state))
    among = [replace(box, db=f"DB{n}", device_class="hdd") for n, box in enumerate(boxes(4, 2))]
    among[1] = replace(among[1], disks=("S002D1", "NEW"))
    made = grown(among, waiting, pools=(BLOCK,), refs={"NEW": disk("NEW", 16 * GIB)})
    steps = steps_of(made, fake.state)
    (step,) = [step for step in steps if step.key.startswith("ceph-osd/")]
    fake.run(steps)
    assert fake.state is not None and step.ceph is not None
    found = next(osd for osd in fake.state.osds if osd.number == int(step.ceph.daemon))
    assert found.weight == pytest.approx(16 * GIB / (1 << 40))
    assert found.host == "h2"
    assert steps_of(replace(made, before=made.layout), fake.state) == ()


def test_a_host_that_can_not_be_told_anything_gets_no_steps() -> None:
    made, _ = four_hosts()
    without = replace(made, hosts={machine: host for machine, host in made.hosts.items() if host.name != "h4"})
    assert all(step.name != "h4" for step in steps_of(without))


def test_without_a_host_for_a_monitor_nothing_is_done() -> None:
    made, _ = four_hosts()
    assert steps_of(replace(made, hosts={})) == ()


@pytest.mark.parametrize("fate", [DiskFate.KEEP, DiskFate.ERASE])
def test_an_osd_is_only_made_of_assigned_disks(fate: DiskFate) -> None:
    made, _ = four_hosts()
    given = tuple(replace(one, fate=fate) if one.serial == "S002D1" else one for one in made.choices)
    serials = {
        step.ceph.osd.data.serial for step in steps_of(replace(made, choices=given)) if step.ceph and step.ceph.osd
    }
    assert serials == {one.serial for one in made.choices} - {"S002D1"}


def test_a_db_device_must_be_assigned_too() -> None:
    made, _ = databases()
    given = tuple(one for one in made.choices if one.serial != "DB0")
    machines = {step.machine for step in steps_of(replace(made, choices=given)) if step.ceph and step.ceph.osd}
    assert machines == {"m-h2", "m-h3", "m-h4"}


def test_a_number_that_a_stranger_has_is_left_to_it() -> None:
    """The OSD gets the lowest free one; the stranger is not touched."""
    before, _ = four_hosts()
    fake = formed(before)
    made = grown(boxes(5, 2, racks=2), before)
    fake.hosts = dict(made.hosts)
    assert fake.state is not None
    stranger = replace(fake.state.osds[0], number=8, uuid="11111111-2222-4333-8444-555555555555", host="x")
    fake.state = replace(fake.state, osds=(*fake.state.osds, stranger))
    steps = steps_of(made, fake.state)
    assert sorted(step.ceph.osd.number for step in steps if step.ceph and step.ceph.osd) == [9, 10]
    fake.run(steps)
    assert steps_of(replace(made, before=made.layout), fake.state) == ()
    assert fake.state is not None and stranger in fake.state.osds


def test_what_no_plan_made_is_left_alone() -> None:
    made, fake = four_hosts()
    fake.run(steps_of(made))
    assert fake.state is not None
    stranger = replace(fake.state.osds[0], number=99, uuid="11111111-2222-4333-8444-555555555555")
    state = replace(fake.state, osds=(*fake.state.osds, stranger), rules=(*fake.state.rules, "mine"))
    assert steps_of(replace(made, before=made.layout), state) == ()


def test_an_osd_that_is_down_is_no_ones_business() -> None:
    made, fake = four_hosts()
    fake.run(steps_of(made))
    assert fake.state is not None
    down = tuple(replace(osd, up=False, in_=False) for osd in fake.state.osds[:2])
    assert steps_of(replace(made, before=made.layout), replace(fake.state, osds=(*down, *fake.state.osds[2:]))) == ()


def test_a_manager_that_is_silent_makes_no_gateway_missing() -> None:
    made, fake = four_hosts()
    fake.run(steps_of(made))
    assert fake.state is not None
    blind = replace(fake.state, gateways=(), osds=tuple(replace(osd, pgs=None) for osd in fake.state.osds))
    assert steps_of(made, blind) == ()
    assert [step.key for step in steps_of(made, replace(fake.state, gateways=("h2",)))][:2] == [
        "ceph-configure/h3",
        "ceph-rgw/h3",
    ]


def test_an_osd_that_never_started_is_started() -> None:
    """Its disk is written already: no choice has to allow that any more."""
    made, fake = four_hosts()
    fake.run(steps_of(made))
    assert fake.state is not None
    first = replace(fake.state.osds[0], up=False, host="")
    fake.state = replace(fake.state, osds=(first, *fake.state.osds[1:]))
    steps = steps_of(replace(made, choices=()), fake.state)
    assert [step.ceph.daemon for step in steps if step.ceph and step.ceph.verb is CephVerb.OSD] == ["0"]


def test_a_changed_configuration_is_written_everywhere() -> None:
    """Another monitor: every machine's file names it."""
    before, _ = four_hosts()
    fake = formed(before)
    made = grown(RACKED, before)
    services = tuple(one for one in made.layout.services if (one.kind, one.machine) != ("mon", "m-h3"))
    changed = replace(made, layout=replace(made.layout, services=services))
    keys = [step.key for step in steps_of(changed, fake.state)]
    assert keys[:4] == [f"ceph-configure/h{n}" for n in (1, 2, 3, 4)]
    assert keys[4:] == ["ceph-leave/mon/h3", "ceph-clean/mon/h3", "ceph-settle", "ceph-prove"]


def test_a_pool_that_was_changed_by_hand_is_put_right() -> None:
    made, fake = four_hosts()
    fake.run(steps_of(made))
    assert fake.state is not None
    pools = tuple(replace(one, min_size=1) if one.name == "vms" else one for one in fake.state.pools)
    fake.state = replace(fake.state, pools=pools)
    steps = steps_of(made, fake.state)
    assert [step.key for step in steps[:2]] == ["ceph-pool/vms", "ceph-settle"]
    fake.run(steps)
    assert steps_of(made, fake.state) == ()


def test_more_placement_groups_than_planned_are_fine() -> None:
    made, fake = four_hosts()
    fake.run(steps_of(made))
    assert fake.state is not None
    pools = tuple(replace(one, pg_num=one.pg_num * 2) for one in fake.state.pools)
    assert steps_of(made, replace(fake.state, pools=pools)) == ()


def test_grants_name_the_planned_disk() -> None:
    made, fake = databases()
    fake.run(steps_of(made))
    planned = {osd.data.serial: osd for osd in made.layout.osds}
    told = [order.osd for _, _, order in fake.orders if order.action is CephAction.OSD and order.osd]
    assert len(told) == 8
    for order in told:
        osd = planned[order.data.serial]
        assert order.data.fingerprint == osd.data.fingerprint and order.data.osd_uuid == order.uuid
        assert order.db is not None and osd.db is not None and order.db.serial == osd.db.serial
        assert order.db.shared and not order.data.shared and order.data_size == 0


def test_a_disk_that_carries_two_osds_is_shared() -> None:
    made, _ = four_hosts()
    osds = tuple(
        replace(osd, data_size=osd.data.size // 2, part=part, number=2 * osd.number + part)
        for osd in made.layout.osds
        for part in (0, 1)
    )
    layout: CephLayout = replace(made.layout, osds=osds)
    fake = Fake(hosts=dict(made.hosts))
    fake.run([step for step in steps_of(replace(made, layout=layout)) if not step.key.startswith("ceph-pool")][:30])
    told = [order.osd for _, _, order in fake.orders if order.osd]
    assert {order.data.shared for order in told} == {True} and len({order.uuid for order in told}) == len(told)
    assert {order.data_size for order in told} == {4 << 30}


def test_keys_are_those_that_orders_name() -> None:
    made, fake = four_hosts()
    fake.run(steps_of(made))
    named = {one.secret for _, _, order in fake.orders for one in order.secrets}
    named |= {one.secret for _, _, order in fake.orders for one in order.commands if one.secret}
    named |= {order.store.secret for _, _, order in fake.orders if order.store}
    specs = kind.keys(made.layout, made.hosts)
    assert named == {spec.name for spec in specs}
    assert [spec.entity for spec in specs if spec.kind is kind.KeyKind.S3] == ["s3.s3"]


def test_no_order_holds_a_secret_or_the_admins_key_without_need() -> None:
    """Only machines with a monitor get the administrator's keyring."""
    made, fake = four_hosts()
    fake.run(steps_of(made))
    monitors = {one.machine for one in made.layout.services if one.kind == "mon"}
    admins = {machine for _, machine, order in fake.orders for one in order.secrets if one.entity == "client.admin"}
    assert admins == monitors


def test_file_systems_and_objects_alone() -> None:
    for pools in ((FILE,), (OBJECT,), (BLOCK, OBJECT)):
        made = scene(RACKED, pools)
        fake = formed(made)
        assert steps_of(made, fake.state) == ()
        assert fake.checked == [pool.name for pool in pools]


def test_numbers_that_change_hands_destroy_nothing() -> None:
    """Two OSDs whose planned numbers were swapped are live under their old ones: they stay what they are."""
    before, _ = four_hosts()
    fake = formed(before)
    first, second, *rest = before.layout.osds
    swapped = (replace(second, number=first.number), replace(first, number=second.number), *rest)
    made = replace(before, layout=replace(before.layout, osds=swapped), before=before.layout)
    assert steps_of(made, fake.state) == ()


def test_a_number_is_not_taken_from_an_osd_that_stays() -> None:
    before, _ = four_hosts()
    fake = formed(before)
    grown_by = grown(boxes(5, 2, racks=2), before)
    fake.hosts = dict(grown_by.hosts)
    first, *rest = grown_by.layout.osds
    new = next(osd for osd in rest if osd.machine == "m-h5")
    moved = tuple(replace(osd, number=first.number) if osd is new else osd for osd in rest)
    layout = replace(grown_by.layout, osds=(replace(first, number=new.number), *moved))
    made = replace(grown_by, layout=layout)
    fake.run(steps_of(made, fake.state))
    assert fake.state is not None
    live = {osd.uuid: osd.number for osd in fake.state.osds}
    assert len(live) == 10 and live[kind.osd_uuid(layout.fsid, first)] == first.number


# ---------------------------------------------------------------- namespaces


def spaced(*names: str) -> Scene:
    return scene(boxes(4), (replace(BLOCK, namespaces=names),))


def test_each_namespace_has_a_key_for_it_alone() -> None:
    made = spaced("a", "b")
    specs = {one.entity: dict(one.caps) for one in kind.keys(made.layout, made.hosts)}
    assert specs["client.ceph-vms.a"] == {
        "mon": "profile rbd",
        "mgr": "profile rbd pool=vms namespace=a",
        "osd": "profile rbd pool=vms namespace=a",
    }
    assert "client.ceph-vms.b" in specs


def test_coded_data_are_in_the_same_namespace() -> None:
    pool = PoolSpec(name="bulk", service=Service.BLOCK, erasure=Erasure(k=2, m=2), namespaces=("a",))
    made = scene(boxes(5, 1), (pool,))
    specs = {one.entity: dict(one.caps) for one in kind.keys(made.layout, made.hosts)}
    wanted = "profile rbd pool=bulk-metadata namespace=a, profile rbd pool=bulk-data namespace=a"
    assert specs["client.ceph-bulk-metadata.a"]["osd"] == wanted


def test_namespaces_are_made_used_and_seen() -> None:
    made = spaced("a", "b")
    fake = formed(made)
    assert fake.checked == ["vms", "vms/a by client.ceph-vms.a", "vms/b by client.ceph-vms.b"]
    again = replace(made, before=made.layout)
    assert steps_of(again, fake.state) == ()
    assert fake.state is not None
    pools = (replace(one, namespaces=("b",) if one.name == "vms" else None) for one in fake.state.pools)
    steps = {step.key: step for step in steps_of(again, replace(fake.state, pools=tuple(pools)))}
    assert "ceph-namespaces/vms" in steps, "one that somebody removed is made again"
    verify = steps["ceph-verify/vms/namespaces"].ceph
    assert verify is not None and verify.keys == ("a",), "what was there is not tried again"


def test_namespaces_that_nobody_could_look_at_are_taken_for_made_and_never_for_done() -> None:
    made = spaced("a")
    fake = formed(made)
    assert fake.state is not None
    blind = replace(fake.state, pools=tuple(replace(one, namespaces=None) for one in fake.state.pools))
    assert steps_of(replace(made, before=made.layout), blind) == ()
    step = next(step for step in steps_of(made) if step.key == "ceph-namespaces/vms")
    assert kind.done(step, fake.state) and not kind.done(step, blind)
    dark = kind.act(step, replace(blind, pgs=(("down", 1),)))
    assert isinstance(dark, kind.Wait) and "when all PGs can be used" in dark.text


def test_only_pools_with_namespaces_of_ours_are_looked_at() -> None:
    fake = formed(spaced("a"))
    assert fake.state is not None
    assert [one.pool for one in kind.questions(fake.state) if one.pool] == ["vms"]
    assert [one.pool for one in kind.questions(replace(fake.state, pgs=(("incomplete", 1),))) if one.pool] == []
    assert [one.pool for one in kind.questions(replace(fake.state, managers=())) if one.pool] == []
    plain = formed(scene(boxes(4), (BLOCK,)))
    assert plain.state is not None
    assert [one.pool for one in kind.questions(plain.state) if one.pool] == []


def test_half_of_min_size_is_cephs_own_while_a_site_is_lost() -> None:
    """In stretch mode Ceph lowers it by itself when a site is lost: no plan may raise it before that is back."""
    made, fake = stretched()
    fake.run(steps_of(made))
    assert fake.state is not None
    pools = tuple(replace(pool, min_size=1) if pool.name == "vms" else pool for pool in fake.state.pools)
    lost = replace(fake.state, pools=pools, halved=True)
    assert [step.key for step in steps_of(replace(made, before=made.layout), lost)] == []
    back = replace(lost, halved=False)
    assert "ceph-pool/vms" in [step.key for step in steps_of(replace(made, before=made.layout), back)]
