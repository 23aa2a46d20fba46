"""Why a disk, a step, a pool, a cluster or the backbone is planned as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.model.ceph import CephLayout, OsdLayout, PoolLayout
from appliance.model.cluster import Arbiter, ClusterLayout
from appliance.model.plan import DiskChoice, DiskFate, Step, StepKind
from appliance.plan.ceph.texts import step_text
from appliance.plan.diff.ceph import DiskKey, disk_key, host_osds, pool_details, pool_text, rule_of, show_ref
from appliance.plan.diff.drain import drain_of, drained_by, texts
from appliance.plan.diff.layout import cable_text, cluster_lines, place_text, survival_text
from appliance.plan.diff.lines import DiffLine, LineKind, count, grouped, ranges, show_bytes, why
from appliance.plan.explain.known import Known, fact_line, section
from hwprofiles.normal import serial_key
from hwprofiles.values import show_size

STEP_TEXTS = {
    StepKind.INSTALL: "writes the image to the system disk; what was on that disk is gone for good",
    StepKind.FIRST_BOOT: "starts the installed system and waits for its first report; nothing is written",
}


# ---------------------------------------------------------------- disks


def disk_lines(known: Known, key: DiskKey) -> Iterator[DiffLine]:
    """One disk: what happens to it and why, what it carries, what hangs on it."""
    choice, disk, who = known.choices.get(key), known.disks[key], key[0]
    name = known.names.get(who, who)
    shown = choice or disk
    serial = shown.serial.strip() if shown else key[1]
    yield DiffLine(kind=LineKind.HEADING, text=f"disk {serial or key[2]} of {name} ({who})")
    if shown is not None:
        yield fact_line(f"{show_size(shown.size)} {shown.model or 'of unknown model'}, WWN {shown.wwn or 'unknown'}")
    if disk is not None:
        kind = f"{disk.transport or 'unknown transport'}, {'spinning' if disk.rotational else 'flash'}"
        more = [word for word, holds in (("removable", disk.removable), ("read-only", disk.read_only)) if holds]
        yield fact_line(", ".join([f"{kind}, {disk.path} now, on {disk.bus_path or 'an unknown bus'}", *more]))
    else:
        yield DiffLine(kind=LineKind.WAIT, text="the machine does not report it any more")
    yield from section("What happens to it", fate_lines(known, key, choice))
    yield from section("What the layout puts on it", _osd_lines(known, key))
    yield from section("The site file says", _claims(known, key))
    yield from section("Steps that write it", (step_line(known, step) for step in _writers(known, key)))
    yield from section("Waits", known.waits_about(serial, key[1], name, who))
    yield from section("Facts that bind the plan", known.facts_of(f"{who}/disk/{key[1]}/{key[2]}"))


def fate_lines(known: Known, key: DiskKey, choice: DiskChoice | None) -> Iterator[DiffLine]:
    """Fate, content and reason of a disk in three lines."""
    if choice is None:
        machine = known.machines.get(key[0])
        phase = machine.machine.phase if machine else "gone"
        yield fact_line(f"nothing: its machine is {phase}, and this plan does not touch it")
        return
    kinds = {DiskFate.ERASE: LineKind.DESTROY, DiskFate.ASSIGN: LineKind.ASSIGN, DiskFate.KEEP: LineKind.KEEP}
    role = known.roles.get(key, choice.role)
    texts = {
        DiskFate.ERASE: f"erased by this plan, as {choice.role} disk",
        DiskFate.ASSIGN: f"assigned to {role}; erased when its cluster is formed",
        DiskFate.KEEP: f"kept as it is{f' (role {choice.role})' if choice.role else ''}",
    }
    yield DiffLine(kind=kinds[choice.fate], text=texts[choice.fate])
    yield why(f"on it now: {choice.now}")
    yield why(f"why: {choice.why}")


def _osd_lines(known: Known, key: DiskKey) -> Iterator[DiffLine]:
    found = known.osds_on(key)
    for osd in found.data:
        yield fact_line(osd_text(osd))
    for osd in found.db:
        what = f"slot {osd.slot}: DB of osd.{osd.number} ({show_bytes(osd.db_size)})"
        yield fact_line(f"{what}, whose data is on {show_ref(osd.data)}")
    for osd in found.wal:
        what = f"slot {osd.wal_slot}: WAL of osd.{osd.number} ({show_bytes(osd.wal_size)})"
        yield fact_line(f"{what}, whose data is on {show_ref(osd.data)}")
    lost = sorted({osd.number for osd in (*found.data, *found.db, *found.wal)})
    if lost:
        yield why(
            f"it carries {count(len(lost), 'OSD')} of {_total(known)}, which stop when it fails: {ranges(_osds(lost))}"
        )


def _osds(numbers: Iterable[int]) -> list[str]:
    return [f"osd.{number}" for number in numbers]


def _total(known: Known) -> int:
    return len(known.plan.desired.ceph.osds) if known.plan.desired.ceph else 0


def osd_text(osd: OsdLayout) -> str:
    """One OSD: size, class, weight, DB, group."""
    words = [
        f"osd.{osd.number}: {show_bytes(osd.data_size)} of class {osd.device_class}, CRUSH weight {osd.weight:.5f}"
    ]
    words += [f"part {osd.part} of its disk"] if osd.part else []
    if osd.db is not None:
        words.append(f"DB {show_bytes(osd.db_size)} in slot {osd.slot} of {show_ref(osd.db)}")
    else:
        words.append("DB on the same disk")
    if osd.wal is not None:
        words.append(f"WAL {show_bytes(osd.wal_size)} in slot {osd.wal_slot} of {show_ref(osd.wal)}")
    words += ["encrypted"] if osd.encrypted else []
    words += [f"chosen by drive group {osd.group}"] if osd.group else []
    return ", ".join(words)


def _claims(known: Known, key: DiskKey) -> Iterator[DiffLine]:
    for grant in known.site.erase:
        if key[1] and serial_key(grant.serial) == key[1]:
            yield fact_line(f"it may be erased{f': {grant.reason}' if grant.reason else ''}")
    if key[1] and key[1] in {serial_key(serial) for serial in known.site.protect}:
        yield fact_line("it is protected: nothing ever writes it")


def _writers(known: Known, key: DiskKey) -> Iterator[Step]:
    for step in known.plan.steps:
        disk = step.install.disk if step.install else None
        if disk is not None and disk_key(step.machine, disk.serial, disk.wwn) == key:
            yield step


# ---------------------------------------------------------------- steps


def step_line(known: Known, step: Step) -> DiffLine:
    """A step in one line."""
    after = f", after {', '.join(step.after)}" if step.after else ""
    position = known.plan.steps.index(step) + 1
    text = f"{step.key}: step {position} of {len(known.plan.steps)}{after}, {reversible(step)}"
    return DiffLine(kind=LineKind.CREATE if step.reversible else LineKind.DESTROY, text=text, machine=step.machine)


def reversible(step: Step) -> str:
    """The label of a step."""
    return "reversible" if step.reversible else "NOT reversible"


def step_lines(known: Known, step: Step) -> Iterator[DiffLine]:
    """One step: what it does, its order, its limits, its disk and image, the facts it depends on."""
    yield DiffLine(kind=LineKind.HEADING, text=f"step {step.key} ({step.name})")
    yield fact_line(step_text(step.ceph) if step.ceph else STEP_TEXTS.get(step.kind, str(step.kind)))
    yield step_line(known, step)
    following = [other.key for other in known.plan.steps if step.key in other.after]
    if following:
        yield fact_line(f"before {', '.join(following)}")
    yield fact_line(
        f"it has {step.deadline / 60:g} min; then it counts as failed, and applying the plan again resumes it"
    )
    if step.install is not None:
        install, host = step.install, step.install.host
        yield fact_line(f"image {install.image}")
        nics = ", ".join(f"{nic.name} ({nic.mac}) {nic.address or 'by DHCP'}" for nic in host.nics)
        yield fact_line(f"host {host.hostname}.{host.domain}: {nics}")
        disk = install.disk
        key = disk_key(step.machine, disk.serial, disk.wwn)
        title = f"Its disk: {disk.serial.strip() or disk.wwn}, {show_size(disk.size)}"
        yield from section(title, fate_lines(known, key, disk))
    if drained_by(step) is not None and (drain := drain_of(known.plan, known.observed, known.before)) is not None:
        title = f"Until it is empty, with all {count(len(drain.osds), 'OSD')} that this plan drains"
        yield from section(title, (fact_line(text) for text in texts(drain)))
    yield from section("Facts that bind the plan", known.facts_of(f"{step.machine}/"))
    yield from section("Images", known.facts_of("image/") if step.install else ())


# ---------------------------------------------------------------- pools, clusters, backbone


def pool_lines(known: Known, ceph: CephLayout, pool: PoolLayout) -> Iterator[DiffLine]:
    """One pool: protection, rule, what it holds, and what the site file asked for."""
    yield DiffLine(kind=LineKind.HEADING, text=f"pool {pool.name} of ceph {ceph.name}")
    yield fact_line(pool_text(pool))
    yield from pool_details(ceph, pool)
    rule = rule_of(ceph, pool)
    if rule is not None:
        yield from section(f"Rule {rule.name}", (fact_line(step) for step in rule.steps))
    osds = [osd for osd in ceph.osds if not pool.device_class or osd.device_class == pool.device_class]
    hosts = grouped((known.names.get(who, who), text) for who, text in host_osds(osds).items())
    title = f"It lives on {count(len(osds), 'OSD')}, {show_bytes(sum(osd.data_size for osd in osds))}"
    yield from section(title, (fact_line(f"{names}: {text}") for names, text in hosts))
    yield from section("The site file asked for", _asked(known, pool.name))
    yield from section("What it survives", _survival(known, pool.name))
    yield from section("Waits", known.waits_about(pool.name, ceph.name))


def _asked(known: Known, name: str) -> Iterator[DiffLine]:
    spec = next((spec for spec in known.site.ceph.pools if spec.name == name), None) if known.site.ceph else None
    if spec is None:
        yield fact_line("nothing: it is a pool that the planner adds")
        return
    asked: list[tuple[str, object]] = [("service", spec.service), ("class", spec.device_class), ("size", spec.size)]
    asked += [("min_size", spec.min_size), ("domain", spec.domain), ("spread", spec.spread), ("share", spec.share)]
    asked += [("namespaces", ", ".join(spec.namespaces))]
    asked += [("erasure", f"{spec.erasure.k}+{spec.erasure.m}" if spec.erasure else "")]
    yield fact_line(", ".join(f"{word} {value}" for word, value in asked if value) + "; everything else is chosen")


def _survival(known: Known, name: str) -> Iterator[DiffLine]:
    """What the availability report says of a pool or cluster; it calls them ``pool vms`` and ``cluster pve1``."""
    called = (name, f"pool {name}", f"cluster {name}", f"corosync of {name}")
    found = known.plan.desired.availability
    for service in found.services if found else ():
        if service.service in called:
            yield fact_line(f"{service.service}: {survival_text(service)}")
    for gap in found.gaps if found else ():
        if gap.about in called:
            yield DiffLine(kind=LineKind.WAIT, text=f"for tier {gap.tier}: {gap.text}")


def explain_cluster(known: Known, cluster: ClusterLayout) -> Iterator[DiffLine]:
    """One cluster: members with their places, quorum, and how they were chosen."""
    yield DiffLine(kind=LineKind.HEADING, text=f"cluster {cluster.name}")
    yield from (
        line if line.kind is LineKind.WHY else fact_line(line.text) for line in cluster_lines(cluster, known.names)
    )
    yield from section("Members, in the order in which they join", _members(known, cluster))
    yield from section("How they were chosen", _selection(known, cluster))
    yield from section("What it survives", _survival(known, cluster.name))
    yield from section("Waits", known.waits_about(cluster.name, cluster.spec))


def _members(known: Known, cluster: ClusterLayout) -> Iterator[DiffLine]:
    for position, who in enumerate(cluster.members):
        node = known.nodes.get(who)
        place = place_text(node.place) if node else ""
        machine = known.machines.get(who)
        phase = f"{machine.machine.phase} now" if machine else "gone"
        what = "creates the cluster" if position == 0 else f"joins as number {position + 1}"
        yield fact_line(f"{known.names.get(who, who)} {what}; {place or 'its place is not known'}; {phase}")


def _selection(known: Known, cluster: ClusterLayout) -> Iterator[DiffLine]:
    spec = next((spec for spec in known.site.clusters if spec.name == cluster.spec), None)
    if spec is None:
        yield fact_line("the site file does not name this cluster any more")
        return
    if spec.machines:
        yield fact_line(f"the site file names the machines {', '.join(spec.machines)}")
    elif spec.profiles:
        yield fact_line(f"the site file takes every machine of profile {' or '.join(spec.profiles)}")
    else:
        yield fact_line(f"the site file names nobody, so every machine that can run {spec.kind} is in it")
    narrowed = [("racks", spec.racks), ("zones", spec.zones)]
    for word, names in narrowed:
        if names:
            yield fact_line(f"only in {word} {', '.join(names)}")
    if cluster.name != cluster.spec:
        where = f" along the failure domain {cluster.domain}" if cluster.domain else ""
        yield fact_line(f"at most {spec.maximum} nodes each, so it was split{where}")
    if spec.arbiter == Arbiter.AUTO:
        parity = "even, so an arbiter breaks ties" if cluster.arbiter else "odd, so none is needed"
        yield fact_line(f"arbiter: auto; the number of nodes is {parity}")


def backbone_lines(known: Known) -> Iterator[DiffLine]:
    """The backbone: why this shape, and every cable."""
    backbone = known.plan.desired.backbone
    if backbone is None:
        return
    yield DiffLine(kind=LineKind.HEADING, text=f"backbone: {backbone.shape}")
    yield fact_line(
        f"{count(len(backbone.members), 'machine')}: {ranges(known.names.get(m, m) for m in backbone.members)}"
    )
    yield fact_line(f"routed by {backbone.routing}{' with BFD' if backbone.bfd else ''}")
    if backbone.why:
        yield why(f"why: {backbone.why}")
    yield from section("Cables", (fact_line(cable_text(cable, known.names)) for cable in backbone.cables))
    yield from section("Waits", known.waits_about("backbone"))
