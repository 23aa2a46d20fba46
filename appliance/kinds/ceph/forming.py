"""Steps that form: configuration, monitors, managers, tree, OSDs, stretch mode, pools, and what serves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from appliance.kinds.ceph import conf
from appliance.kinds.ceph.keys import BOOTSTRAP, BOOTSTRAP_ENTITY, users
from appliance.kinds.ceph.names import (
    block_pools,
    disk_word,
    filesystems,
    monitor_machines,
    osd_uuid,
    realms,
)
from appliance.kinds.ceph.there import (
    filesystem_made,
    live,
    manager_pool_right,
    manager_rule,
    noted,
    numbered,
    osd_made,
    pool_made,
    runs,
    stretched,
    tree_made,
)
from appliance.model.ceph import CephArgs, CephHost, CephLayout, CephVerb, DiskRef, OsdLayout, PoolLayout, Service
from appliance.model.cephstate import CephState
from appliance.model.plan import DiskChoice, DiskFate, Step, StepKind

SHORT, LONG = 900.0, 3600.0
"""Seconds: something that starts; something that is written."""
SETTLE = 6 * 3600.0
SPEED = 50e6
"""Bytes per second of a disk that is drained or filled beside the users' work: for deadlines only."""


@dataclass(slots=True)
class Former:
    """Collects steps. ``made`` are in order; ``last`` are the keys that whatever comes next has to wait for."""

    layout: CephLayout
    hosts: Mapping[str, CephHost]
    state: CephState | None
    before: CephLayout | None
    networks: Mapping[str, str]
    choices: tuple[DiskChoice, ...]
    made: list[Step] = field(default_factory=list)
    last: tuple[str, ...] = ()
    configured: dict[str, str] = field(default_factory=dict)
    grown: list[str] = field(default_factory=list)

    # ------------------------------------------------------------ parts that all steps share

    def args(self, verb: CephVerb, layout: CephLayout | None = None, **more: object) -> CephArgs:
        of = layout or self.layout
        whole = CephArgs(
            verb=verb,
            name=of.name,
            fsid=of.fsid,
            monitors=tuple(self.hosts[one] for one in monitor_machines(of) if one in self.hosts),
            public_network=self.networks.get(of.public, ""),
            cluster_network=self.networks.get(of.cluster, ""),
        )
        return replace(whole, **more)  # type: ignore[arg-type]

    def add(
        self,
        key: str,
        machine: str,
        args: CephArgs,
        after: Iterable[str] = (),
        *,
        deadline: float = SHORT,
        reversible: bool = True,
    ) -> str:
        host = self.hosts.get(machine)
        step = Step(
            key=key,
            kind=StepKind.CEPH,
            machine=machine,
            name=host.name if host else machine,
            after=tuple(dict.fromkeys(after)),
            deadline=deadline,
            reversible=reversible,
            ceph=args,
        )
        self.made.append(step)
        return key

    @property
    def asker(self) -> str:
        """The machine that steps about the whole cluster are shown at: the first monitor's."""
        return next((one for one in monitor_machines(self.layout) if one in self.hosts), "")

    # ------------------------------------------------------------ in order

    def form(self) -> None:
        """Everything that is added or changed. Without a host for any monitor nothing can be done."""
        if not self.asker:
            return
        self._configure()
        monitors = self._monitors()
        managers = self._daemons("mgr", CephVerb.MGR, monitors)
        ready = self._tree((*monitors, *managers)) or (*monitors, *managers)
        osds = self._osds(ready)
        rules = self._rules((*ready, *osds)) or (*ready, *osds)
        space = self._stretch(rules) or rules
        pools = self._pools(space)
        systems = self._filesystems(pools or space)
        servers = self._daemons("mds", CephVerb.MDS, systems or pools or space)
        gateways = self._gateways(pools or space)
        self.last = (*space, *pools, *systems, *servers, *gateways)
        self.grown += [*osds, *pools, *systems, *gateways]

    def finish(self) -> None:
        """Everything clean again, and the services used once. Only after something changed. Stretch mode gave the manager's
        pool its rule."""
        rules = () if self.layout.stretch else (one.name for one in self.layout.rules)
        rule = manager_rule(rules, self.layout.pools)
        right = manager_pool_right(self.state, rule)
        if not self.asker or (not self.made and (self.state is None or right)):
            return
        args = self.args(CephVerb.SETTLE, service=rule)
        settle = self.add("ceph-settle", self.asker, args, (step.key for step in tuple(self.made)), deadline=SETTLE)
        if self.grown:
            self._verify(settle)

    def _configure(self) -> None:
        for machine, kinds in self._daemons_of(self.layout).items():
            if machine not in self.hosts or not self._changed(machine, kinds):
                continue
            host = self.hosts[machine]
            args = self.configuration(self.layout, machine, kinds)
            self.configured[machine] = self.add(f"ceph-configure/{host.name}", machine, args, deadline=LONG)

    def own(self, machine: str) -> tuple[str, ...]:
        """What a daemon of this machine waits for there."""
        return (self.configured[machine],) if machine in self.configured else ()

    def configuration(self, layout: CephLayout, machine: str, kinds: tuple[str, ...]) -> CephArgs:
        memory = {budget.machine: budget.memory_target for budget in layout.budgets}
        realm = next(iter(realms(layout.pools)), "")
        return self.args(
            CephVerb.CONFIGURE,
            layout,
            host=self.hosts[machine],
            daemons=kinds,
            memory_target=memory.get(machine, 0) if "osd" in kinds else 0,
            realm=realm if "rgw" in kinds else "",
        )

    def _daemons_of(self, layout: CephLayout) -> dict[str, tuple[str, ...]]:
        """Kinds of daemons by machine."""
        kinds: dict[str, list[str]] = {}
        for service in layout.services:
            kinds.setdefault(service.machine, []).append(service.kind)
        for osd in layout.osds:
            there = kinds.setdefault(osd.machine, [])
            if "osd" not in there:
                there.append("osd")
        order = ("mon", "mgr", "osd", "mds", "rgw")
        return {machine: tuple(sorted(found, key=order.index)) for machine, found in kinds.items()}

    def _changed(self, machine: str, kinds: tuple[str, ...]) -> bool:
        """Whether a daemon of the machine is still to be made, or its file would be another one."""
        name, before = self.hosts[machine].name, self.before
        if self.state is None:
            return True
        if any(not runs(self.state, kind, name) for kind in kinds if kind != "osd"):
            return True
        if any(osd.machine == machine and not self._made(osd) for osd in self.layout.osds):
            return True
        if before is None:
            return False
        old = self._daemons_of(before).get(machine, ())
        return conf.text(self.configuration(before, machine, old)) != conf.text(
            self.configuration(self.layout, machine, kinds)
        )

    def _made(self, osd: OsdLayout) -> bool:
        host = self.hosts.get(osd.machine)
        return host is not None and osd_made(self.state, self.layout.fsid, osd, host.name)

    def _monitors(self) -> tuple[str, ...]:
        """One by one: each waits for the one before it to be in the quorum."""
        found: list[str] = []
        for machine in monitor_machines(self.layout):
            if machine not in self.hosts or self._runs("mon", machine):
                continue
            host = self.hosts[machine]
            args = self.args(CephVerb.MON, host=host, daemon=host.name, service="mon")
            found.append(self.add(f"ceph-mon/{host.name}", machine, args, (*self.own(machine), *found[-1:])))
        return tuple(found)

    def _runs(self, kind: str, machine: str) -> bool:
        return runs(self.state, kind, self.hosts[machine].name)

    def _daemons(self, kind: str, verb: CephVerb, after: tuple[str, ...], realm: str = "") -> tuple[str, ...]:
        found = []
        for service in self.layout.services:
            if service.kind != kind or service.machine not in self.hosts or self._runs(kind, service.machine):
                continue
            host = self.hosts[service.machine]
            args = self.args(verb, host=host, daemon=host.name, service=kind, realm=realm)
            key = f"ceph-{kind}/{host.name}"
            found.append(self.add(key, service.machine, args, (*self.own(service.machine), *after)))
        return tuple(found)

    def _tree(self, after: tuple[str, ...]) -> tuple[str, ...]:
        """Buckets, and keys of those who use Ceph; before the first OSD starts, so that none ever hangs elsewhere."""
        layout = self.layout
        told = {BOOTSTRAP_ENTITY: BOOTSTRAP} | users(layout)
        known = all(noted(self.state, entity, caps) for entity, caps in told.items())
        if known and tree_made(self.state, layout.buckets, ()):
            return ()
        args = self.args(CephVerb.TREE, buckets=layout.buckets, keys=tuple(self._key_words()))
        return (self.add("ceph-tree", self.asker, args, after),)

    def _rules(self, after: tuple[str, ...]) -> tuple[str, ...]:
        """After the OSDs: a rule can't name a device class before an OSD of it is there. Before the pools that name them."""
        rules = self.layout.rules
        if tree_made(self.state, (), (rule.name for rule in rules)):
            return ()
        return (self.add("ceph-rules", self.asker, self.args(CephVerb.TREE, rules=rules), after),)

    def _key_words(self) -> Iterable[str]:
        """``block:vms``, ``block:vms-metadata:vms-data``, ``file:fs``: what users' keys are for."""
        for name, data in block_pools(self.layout.pools).items():
            yield ":".join(word for word in ("block", name, data) if word)
        for name in filesystems(self.layout.pools):
            yield f"file:{name}"

    def _osds(self, after: tuple[str, ...]) -> tuple[str, ...]:
        """OSDs of one machine one after the other (they may share a DB device), machines beside each other."""
        found: list[str] = []
        previous: dict[str, str] = {}
        for osd in self.layout.osds:
            host = self.hosts.get(osd.machine)
            if host is None or self._made(osd) or not (self._lives(osd) or self._granted(osd)):
                continue
            old = self._old(osd)
            waits = (*self.own(osd.machine), *after, *([previous[osd.machine]] if osd.machine in previous else []))
            if old is not None:
                waits = (*waits, *self.free(old, waits))
            planned = self._number(osd, old)
            key = f"ceph-osd/{host.name}/{disk_word(osd.data)}" + (f".{osd.part}" if osd.part else "")
            args = self.args(CephVerb.OSD, host=host, daemon=str(planned.number), osd=planned, old=old)
            previous[osd.machine] = self.add(key, osd.machine, args, waits, deadline=LONG, reversible=False)
            found.append(key)
        return tuple(found)

    def _lives(self, osd: OsdLayout) -> bool:
        """Its disk carries it already: nothing is written any more, so no choice has to allow it."""
        return live(self.state, osd_uuid(self.layout.fsid, osd)) is not None

    def _granted(self, osd: OsdLayout) -> bool:
        """Whether the plan's choices give all of its disks to Ceph. With what content they may be erased is in the OSD's own
        references; the agent compares."""
        given = {_identity(one) for one in self.choices if one.machine == osd.machine and one.fate is DiskFate.ASSIGN}
        return all(_identity(disk) in given for disk in (osd.data, osd.db, osd.wal) if disk is not None)

    def _old(self, osd: OsdLayout) -> OsdLayout | None:
        """The OSD of an earlier plan whose number and place this one takes over; None when there is none."""
        if self.before is None:
            return None
        old = next((one for one in self.before.osds if one.number == osd.number), None)
        if old is None or osd_uuid(self.layout.fsid, old) == osd_uuid(self.layout.fsid, osd):
            return None
        return old

    def free(self, old: OsdLayout, after: Iterable[str]) -> tuple[str, ...]:
        """Drain (when it still works) and destroy an OSD whose number stays."""
        found = live(self.state, osd_uuid(self.layout.fsid, old))
        if found is None:
            return ()
        host = self.hosts.get(old.machine)
        keys: tuple[str, ...] = ()
        if found.up:
            keys = (self.drain(old, after),)
        args = self.args(CephVerb.DESTROY, host=host, daemon=str(found.number), old=replace(old, number=found.number))
        key = f"ceph-destroy/osd.{found.number}"
        gone = self.add(key, old.machine, args, (*after, *keys), deadline=LONG, reversible=False)
        return (*keys, gone, *self.clean(replace(old, number=found.number), (gone,)))

    def clean(self, old: OsdLayout, after: tuple[str, ...]) -> tuple[str, ...]:
        """What is left of a destroyed OSD on its machine: the folder, then its slots on shared devices."""
        host = self.hosts.get(old.machine)
        if host is None:
            return ()
        args = self.args(CephVerb.LEAVE, host=host, daemon=str(old.number), daemons=("osd",), old=old)
        key = self.add(f"ceph-clean/osd/{old.number}", old.machine, args, after, reversible=False)
        return (key, *self.zap(old, (key,)))

    def zap(self, old: OsdLayout, after: tuple[str, ...]) -> tuple[str, ...]:
        """Free its slots on devices that planned OSDs of the machine still use."""
        host = self.hosts.get(old.machine)
        used = {
            _identity(d) for o in self.layout.osds if o.machine == old.machine for d in (o.db, o.wal) if d is not None
        }
        db, wal = (disk if disk is not None and _identity(disk) in used else None for disk in (old.db, old.wal))
        if host is None or (db is None and wal is None):
            return ()
        args = self.args(CephVerb.ZAP, host=host, daemon=str(old.number), old=replace(old, db=db, wal=wal))
        return (self.add(f"ceph-zap/osd.{old.number}", old.machine, args, after, deadline=LONG, reversible=False),)

    def drain(self, old: OsdLayout, after: Iterable[str]) -> str:
        """The deadline is by the size of its disk: a plan's hash must not change with every write."""
        found = live(self.state, osd_uuid(self.layout.fsid, old))
        number = found.number if found else old.number
        args = self.args(
            CephVerb.OUT, host=self.hosts.get(old.machine), daemon=str(number), old=replace(old, number=number)
        )
        deadline = max(LONG, old.data_size / SPEED)
        return self.add(f"ceph-out/osd.{number}", old.machine, args, after, deadline=deadline)

    def _number(self, osd: OsdLayout, old: OsdLayout | None) -> OsdLayout:
        """The planned number where it is free (or its own, or that of the one it replaces); else the lowest free one."""
        found = numbered(self.state, osd.number)
        mine = osd_uuid(self.layout.fsid, osd)
        lives = live(self.state, mine)
        if lives is not None:
            return replace(osd, number=lives.number)
        if found is None or found.destroyed or old is not None:
            return osd
        taken = {one.number for one in (self.state.osds if self.state else ())}
        taken |= {one.number for one in self.layout.osds}
        taken |= {int(step.ceph.daemon) for step in self.made if step.ceph and step.ceph.verb is CephVerb.OSD}
        return replace(osd, number=next(n for n in range(len(taken) + 1) if n not in taken))

    def _stretch(self, after: tuple[str, ...]) -> tuple[str, ...]:
        """Two sites and a tiebreaker. It needs OSDs, for Ceph compares the weights; before the pools, for it changes the
        rule of every pool that is there."""
        pool = next((one for one in self.layout.pools if one.per_domain > 1), None)
        if stretched(self.layout, self.state) or pool is None:
            return ()
        sites = []
        for service in self.layout.services:
            host = self.hosts.get(service.machine)
            if service.kind == "mon" and host is not None:
                inside = dict(host.location).get(pool.domain.value)
                sites.append((host.name, pool.domain.value, inside or service.bucket or host.name))
        inside_first = sorted(sites, key=lambda one: sum(one[2] == other[2] for other in sites) == 1)
        args = self.args(CephVerb.STRETCH, service=pool.rule, sites=tuple(inside_first))
        return (self.add("ceph-stretch", self.asker, args, after),)

    def _pools(self, after: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            self.add(f"ceph-pool/{pool.name}", self.asker, self.args(CephVerb.POOL, pool=pool), after)
            for pool in self.layout.pools
            if not pool_made(self.state, pool)
        )

    def _filesystems(self, after: tuple[str, ...]) -> tuple[str, ...]:
        found = []
        for name, (_, data, _coded) in filesystems(self.layout.pools).items():
            if filesystem_made(self.state, name, self.layout.pools):
                continue
            pool = next(one for one in self.layout.pools if one.name == data)
            standby = sum(service.kind == "mds" for service in self.layout.services) - 1
            parts = filesystems(self.layout.pools)[name]
            args = self.args(CephVerb.FILESYSTEM, service=name, pool=pool, keys=parts, daemon=str(max(0, standby)))
            found.append(self.add(f"ceph-fs/{name}", self.asker, args, after))
        return tuple(found)

    def _gateways(self, after: tuple[str, ...]) -> tuple[str, ...]:
        """All of one realm, the first object service's."""
        realm = next(iter(realms(self.layout.pools)), "")
        return self._daemons("rgw", CephVerb.RGW, after, realm) if realm else ()

    def _verify(self, settle: str) -> None:
        layout = self.layout
        for name in block_pools(layout.pools):
            self._check(Service.BLOCK, name, name, settle)
        for name, (_, data, _coded) in filesystems(layout.pools).items():
            self._check(Service.FILE, name, data, settle)
        gateway = next((s.machine for s in layout.services if s.kind == "rgw" and s.machine in self.hosts), "")
        realm = next(iter(realms(layout.pools)), "")
        if realm and gateway:
            self._check(Service.OBJECT, realm, f"{realm}.rgw.buckets.data", settle, gateway)

    def _check(self, service: Service, name: str, pool: str, settle: str, gateway: str = "") -> None:
        """From a machine with a monitor, which has what a client needs."""
        layout: PoolLayout | None = next((one for one in self.layout.pools if one.name == pool), None)
        host = self.hosts.get(gateway or self.asker)
        args = self.args(
            CephVerb.VERIFY, host=host, daemon=name, service=service.value, pool=layout, realm=name if gateway else ""
        )
        self.add(f"ceph-verify/{name}", self.asker, args, (settle,), deadline=LONG)


def _identity(disk: DiskChoice | DiskRef) -> tuple[str, str, str, int]:
    return disk.serial, disk.wwn, disk.model, disk.size
