"""Steps that form: configuration, monitors, managers, tree, OSDs, stretch mode, pools, and what serves them."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.kinds.ceph import conf
from appliance.kinds.ceph.draft import LONG, SETTLE, Draft
from appliance.kinds.ceph.keys import BOOTSTRAP, BOOTSTRAP_ENTITY, of_daemon, users
from appliance.kinds.ceph.names import block_pools, data_pool, filesystems, monitor_machines, realms
from appliance.kinds.ceph.osds import osds
from appliance.kinds.ceph.there import (
    filesystem_made,
    known,
    manager_known,
    manager_pool_right,
    manager_rule,
    namespaces_made,
    noted,
    pool_made,
    pool_of,
    runs,
    stretched,
    tree_made,
)
from appliance.model.ceph import CephArgs, CephLayout, CephVerb, PoolLayout, Service


class Former(Draft):
    """Makes the steps of what is added or changed."""

    __slots__ = ()

    def form(self) -> None:
        """Everything that is added or changed. Without a host for any monitor nothing can be done."""
        if not self.asker:
            return
        self._configure()
        monitors = self._monitors()
        managers = self._daemons("mgr", CephVerb.MGR, monitors)
        ready = self._tree((*monitors, *managers)) or (*monitors, *managers)
        made = osds(self, ready)
        rules = self._rules((*ready, *made)) or (*ready, *made)
        space = self._stretch(rules) or rules
        pools = self._pools(space)
        spaces = self._namespaces(pools or space)
        systems = self._filesystems(pools or space)
        servers = self._daemons("mds", CephVerb.MDS, systems or pools or space)
        gateways = self._gateways(pools or space)
        self.last = (*space, *pools, *spaces, *systems, *servers, *gateways)
        self.grown += [*made, *pools, *spaces, *systems, *gateways]

    def finish(self) -> None:
        """Everything clean again, every rule proven on the live map, and the services used once. Only after something
        changed: a lamp changes nothing, and is lit for an OSD without which perhaps nothing becomes clean. Stretch mode gave
        the manager's pool its rule."""
        rules = () if self.layout.stretch else (one.name for one in self.layout.rules)
        rule = manager_rule(rules, self.layout.pools)
        right = manager_pool_right(self.state, rule)
        changed = any(step.ceph and step.ceph.verb is not CephVerb.LOCATE for step in self.made)
        if not self.asker or (not changed and (self.state is None or right)):
            return
        args = self.args(CephVerb.SETTLE, service=rule)
        settle = self.add("ceph-settle", self.asker, args, (step.key for step in tuple(self.made)), deadline=SETTLE)
        if self.layout.pools:
            proof = self.args(CephVerb.PROVE, pools=self.layout.pools)
            self.add("ceph-prove", self.asker, proof, (settle,), deadline=LONG)
        if self.grown:
            self._verify(settle)

    def _configure(self) -> None:
        for machine, kinds in self._daemons_of(self.layout).items():
            if machine not in self.hosts or not self._changed(machine, kinds):
                continue
            host = self.hosts[machine]
            args = self.configuration(self.layout, machine, kinds)
            self.configured[machine] = self.add(f"ceph-configure/{host.name}", machine, args, deadline=LONG)

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
        before = self.before
        if self.state is None:
            return True
        if any(not self._runs(kind, machine) for kind in kinds if kind != "osd"):
            return True
        if any(osd.machine == machine and not osd.replacing and not self.has(osd) for osd in self.layout.osds):
            return True
        if before is None:
            return False
        old = self._daemons_of(before).get(machine, ())
        return conf.text(self.configuration(before, machine, old)) != conf.text(
            self.configuration(self.layout, machine, kinds)
        )

    def _monitors(self) -> tuple[str, ...]:
        """One by one: each waits for the one before it to be in the quorum."""
        found: list[str] = []
        for machine in monitor_machines(self.layout):
            if machine not in self.hosts or self._runs("mon", machine):
                continue
            host = self.hosts[machine]
            args = self.args(CephVerb.MON, host=host, daemon=host.name, service="mon", sites=self._sites())
            found.append(self.add(f"ceph-mon/{host.name}", machine, args, (*self.own(machine), *found[-1:])))
        return tuple(found)

    def _runs(self, kind: str, machine: str) -> bool:
        """A gateway that nobody could ask about is taken for one that runs when it was made once."""
        name = self.hosts[machine].name
        if kind == "rgw" and not manager_known(self.state):
            return known(self.state, of_daemon(kind, name)[0])
        return runs(self.state, kind, name)

    def _daemons(self, kind: str, verb: CephVerb, after: tuple[str, ...], realm: str = "") -> tuple[str, ...]:
        found: list[str] = []
        for service in self.layout.services:
            if service.kind != kind or service.machine not in self.hosts or self._runs(kind, service.machine):
                continue
            host = self.hosts[service.machine]
            args = self.args(verb, host=host, daemon=host.name, service=kind, realm=realm)
            key = f"ceph-{kind}/{host.name}"
            before = found[:1] if realm else ()
            found.append(self.add(key, service.machine, args, (*self.own(service.machine), *after, *before)))
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

    def _stretch(self, after: tuple[str, ...]) -> tuple[str, ...]:
        """Two sites and a tiebreaker. It needs OSDs, for Ceph compares the weights; before the pools, for it changes the
        rule of every pool that is there. Or another tiebreaker, before the old one leaves."""
        pool, sites = self._stretched_pool(), self._sites()
        if pool is None or not sites or stretched(self.layout, self.state, sites[-1][0]):
            return ()
        args = self.args(CephVerb.STRETCH, service=pool.rule, sites=sites)
        return (self.add("ceph-stretch", self.asker, args, after),)

    def _stretched_pool(self) -> PoolLayout | None:
        return next((one for one in self.layout.pools if one.per_domain > 1), None)

    def _sites(self) -> tuple[tuple[str, str, str], ...]:
        """Where each monitor stands (see `CephArgs`); nothing while there is no stretch mode, or its tiebreaker is not
        there."""
        pool, sites = self._stretched_pool(), []
        if pool is None or not self.layout.stretch:
            return ()
        for service in self.layout.services:
            host = self.hosts.get(service.machine)
            if service.kind == "mon" and host is not None:
                inside = dict(host.location).get(pool.domain.value)
                sites.append((host.name, pool.domain.value, inside or service.bucket or host.name))
        last = [one for one in sites if sum(one[2] == other[2] for other in sites) == 1]
        return (*(one for one in sites if one not in last), *last) if len(last) == 1 else ()

    def _pools(self, after: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            self.add(f"ceph-pool/{pool.name}", self.asker, self.args(CephVerb.POOL, pool=pool), after)
            for pool in self.layout.pools
            if not pool_made(self.state, pool)
        )

    def _namespaces(self, after: tuple[str, ...]) -> tuple[str, ...]:
        """One step for those of a pool."""
        found = []
        for pool in self.layout.pools:
            data = data_pool(self.layout.pools, pool.name)
            if not pool.namespaces or namespaces_made(self.state, self.layout.name, pool, data):
                continue
            args = self.args(CephVerb.NAMESPACES, pool=pool, service=data)
            found.append(self.add(f"ceph-namespaces/{pool.name}", self.asker, args, after))
        return tuple(found)

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
        """All of one realm, the first object service's. The first gateway makes it, so the others come after it."""
        realm = next(iter(realms(self.layout.pools)), "")
        return self._daemons("rgw", CephVerb.RGW, after, realm) if realm else ()

    def _verify(self, settle: str) -> None:
        layout = self.layout
        for name in block_pools(layout.pools):
            self._check(Service.BLOCK, name, name, settle)
        for pool in layout.pools:
            if f"ceph-namespaces/{pool.name}" in self.grown:
                self._check_namespaces(pool, settle)
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

    def _check_namespaces(self, pool: PoolLayout, settle: str) -> None:
        """With their own keys, those that were not there before."""
        there = pool_of(self.state, pool.name)
        new = [name for name in pool.namespaces if name not in ((there.namespaces or ()) if there else ())]
        args = self.args(
            CephVerb.VERIFY,
            host=self.hosts.get(self.asker),
            daemon=pool.name,
            service=Service.BLOCK.value,
            pool=pool,
            keys=tuple(new),
        )
        self.add(f"ceph-verify/{pool.name}/namespaces", self.asker, args, (settle,), deadline=LONG)
