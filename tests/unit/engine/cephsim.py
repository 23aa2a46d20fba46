"""A Ceph that does what orders and commands say, in memory: just as much of it as steps can see. It checks what a real one
and its machines would not forgive: an OSD made twice, an id given to another disk, a daemon without its key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from agent.cephorder import CephAction, CephOrder, MonAnswer, MonCommand
from appliance.kinds.ceph.names import MANAGER_POOL
from appliance.kinds.ceph.questions import MANAGER_QUESTIONS
from appliance.kinds.ceph.questions import QUESTIONS as MONITOR_QUESTIONS
from appliance.model.ceph import CephHost, CephLayout
from appliance.model.cephstate import BucketState, CephState, FilesystemState, OsdState, PoolState

QUESTIONS = (*MONITOR_QUESTIONS, *MANAGER_QUESTIONS)


@dataclass
class CephSim:
    """``hosts`` by machine id. ``made`` are the uuids of OSDs in the order in which they came to be, ``ids`` what id each
    got; ``configured`` machines; ``checks`` what was written, read and compared, ``proven`` pools by proof."""

    layout: CephLayout
    hosts: dict[str, CephHost]
    monitors: list[str] = field(default_factory=list)
    managers: list[str] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)
    gateways: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    buckets: dict[str, BucketState] = field(default_factory=dict)
    rules: list[str] = field(default_factory=lambda: ["replicated_rule"])
    pools: dict[str, PoolState] = field(default_factory=dict)
    systems: dict[str, FilesystemState] = field(default_factory=dict)
    osds: dict[int, OsdState] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    configured: set[str] = field(default_factory=set)
    checks: list[str] = field(default_factory=list)
    proven: list[tuple[str, ...]] = field(default_factory=list)
    lamps: list[tuple[str, str, bool]] = field(default_factory=list)
    tiebreaker: str = ""
    spaces: dict[str, set[str]] = field(default_factory=dict)

    def state(self, at: float) -> CephState | None:
        """None while there is no monitor."""
        if not self.monitors:
            return None
        return CephState(
            fsid=self.layout.fsid,
            release="reef",
            monitors=tuple(self.monitors),
            quorum=tuple(self.monitors),
            managers=tuple(self.managers),
            osds=tuple(self.osds[number] for number in sorted(self.osds)),
            buckets=tuple(self.buckets.values()),
            rules=tuple(sorted(self.rules)),
            pools=tuple(self._seen(pool) for pool in self.pools.values()),
            filesystems=tuple(replace(one, active=tuple(self.servers[:1])) for one in self.systems.values()),
            gateways=tuple(self.gateways),
            metadata_servers=tuple(self.servers),
            notes=tuple(sorted(self.notes.items())),
            stretch=bool(self.tiebreaker),
            tiebreaker=self.tiebreaker,
            health="HEALTH_OK",
            pgs=(("active+clean", 8),) if self.pools else (),
            at=at,
        )

    def _seen(self, pool: PoolState) -> PoolState:
        looked = f"namespaces/{pool.name}" in self.notes
        return replace(pool, namespaces=tuple(sorted(self.spaces.get(pool.name, ()))) if looked else None)

    def carry(self, machine: str, order: CephOrder) -> tuple[MonAnswer, ...]:
        """What the machine does with an order; asked again it changes nothing."""
        assert order.fsid == self.layout.fsid
        act = getattr(self, f"_{order.action.value}", None)
        assert act is not None, order.action
        if order.action is not CephAction.CONFIGURE:
            asks = order.action in (CephAction.ASK, CephAction.CHECK, CephAction.PROVE, CephAction.MEASURE)
            assert asks or machine in self.configured, f"{machine} is told {order.action} before it is configured"
        return act(machine, order) or ()

    # ------------------------------------------------------------ actions

    def _configure(self, machine: str, _order: CephOrder) -> None:
        self.configured.add(machine)

    def _mon(self, machine: str, order: CephOrder) -> None:
        name = self.hosts[machine].name
        assert order.daemon == name
        assert bool(order.monitors) == bool(set(self.monitors) - {name}), "only the first monitor begins a cluster"
        if name not in self.monitors:
            self.monitors.append(name)
        self.buckets.setdefault("default", BucketState(name="default", level="root", parent=""))

    def _daemon(self, entity: str, there: list[str], name: str) -> None:
        assert f"keys/{entity}" in self.notes, f"{entity} starts without a key that the monitors know"
        if name not in there:
            there.append(name)

    def _mgr(self, _machine: str, order: CephOrder) -> None:
        self._daemon(f"mgr.{order.daemon}", self.managers, order.daemon)
        number = len(self.pools) + 1
        self.pools.setdefault(
            MANAGER_POOL,
            PoolState(number=number, name=MANAGER_POOL, size=3, min_size=2, rule="replicated_rule", pg_num=1),
        )

    def _mds(self, _machine: str, order: CephOrder) -> None:
        self._daemon(f"mds.{order.daemon}", self.servers, order.daemon)

    def _rgw(self, _machine: str, order: CephOrder) -> None:
        self._daemon(f"client.rgw.{order.daemon}", self.gateways, order.daemon)

    def _osd(self, machine: str, order: CephOrder) -> None:
        osd = order.osd
        assert osd is not None
        grants = order.grants
        assert grants and all(grant.machine == machine for grant in grants)
        there = self.osds.get(osd.number)
        assert there is None or there.uuid == osd.uuid or there.destroyed, f"osd.{osd.number} is another one"
        assert all(one.number == osd.number for one in self.osds.values() if one.uuid == osd.uuid), "its id changed"
        if there is None or there.uuid != osd.uuid:
            self.made.append(osd.uuid)
        name = self.hosts[machine].name
        assert name in self.buckets, f"osd.{osd.number} starts before its place in the tree is there"
        self.osds[osd.number] = OsdState(
            number=osd.number,
            uuid=osd.uuid,
            host=name,
            device_class=osd.device_class,
            up=True,
            in_=True,
            weight=1.0,
            pgs=1,
            size=1 << 40,
        )

    def _prove(self, _machine: str, order: CephOrder) -> None:
        assert {law.pool for law in order.laws} <= set(self.pools), "a pool is proven before it is there"
        self.proven.append(tuple(law.pool for law in order.laws))

    def _measure(self, _machine: str, order: CephOrder) -> tuple[MonAnswer, ...]:
        assert order.measure is not None
        assert set(order.measure.pools) <= set(self.pools)
        flow = {"bytes": 100_000_000, "seconds": 10.0}
        said = [{"pool": name, "objects": 24, "write": flow, "read": flow} for name in order.measure.pools]
        return tuple(MonAnswer(code=0, output=json.dumps(one)) for one in said)

    def _stop(self, machine: str, order: CephOrder) -> None:
        found = self.osds[int(order.daemon)]
        assert found.host == self.hosts[machine].name
        assert found.pgs == 0 and not found.in_, f"osd.{found.number} is stopped while it holds data"
        self.osds[found.number] = replace(found, up=False)

    def _remove(self, machine: str, order: CephOrder) -> None:
        assert order.kind == "osd" and self.osds[int(order.daemon)].destroyed, (
            "a folder of an OSD that lives is removed"
        )
        assert all(grant.machine == machine and grant.shared for grant in order.zap)

    def _zap(self, machine: str, order: CephOrder) -> None:
        assert all(grant.machine == machine and grant.shared for grant in order.zap)

    def _locate(self, machine: str, order: CephOrder) -> None:
        assert order.lamp is not None
        self.lamps.append((machine, order.lamp.disk.serial, order.lamp.on))

    def _check(self, _machine: str, order: CephOrder) -> None:
        self.checks.append(f"{order.service}:{order.check}")
        for one in order.namespaces:
            if not one.entity:
                continue
            assert one.name in self.spaces[one.pool] and f"keys/{one.entity}" in self.notes
            self.checks.append(f"namespace:{one.pool}/{one.name}")

    def _ask(self, machine: str, order: CephOrder) -> tuple[MonAnswer, ...]:
        assert self.hosts[machine].name in self.monitors, "commands go through a machine with a monitor"
        answers = tuple(self._command(command) for command in order.commands)
        self.rules += [name for name in (text.split()[1] for text in order.rules) if name not in self.rules]
        for one in order.namespaces:
            assert one.pool in self.pools and not one.secret
            self.spaces.setdefault(one.pool, set()).add(one.name)
        return answers

    def answers(self) -> dict[str, Any]:
        """To the questions, as far as they are read, in the shape of 18.2.7's JSON."""
        state = self.state(0.0)
        assert state is not None
        rules = {name: number for number, name in enumerate(self.rules)}
        pools = {name: number for number, name in enumerate(self.pools, 1)}
        ids = {name: -number for number, name in enumerate(self.buckets, 1)}
        health: dict[str, Any] = {"status": "HEALTH_OK", "checks": {}}
        groups = [{"state_name": name, "count": count} for name, count in state.pgs]
        nodes: list[dict[str, Any]] = []
        for name, bucket in self.buckets.items():
            inside = [ids[other.name] for other in self.buckets.values() if other.parent == name]
            inside += [osd.number for osd in self.osds.values() if osd.host == name]
            nodes.append({"id": ids[name], "name": name, "type": bucket.level, "children": inside})
        nodes += [
            {"id": osd.number, "name": f"osd.{osd.number}", "type": "osd", "device_class": osd.device_class}
            for osd in self.osds.values()
        ]
        info = {str(n): {"name": name, "state": "up:active"} for n, name in enumerate(self.servers[:1])}
        systems = [
            {
                "mdsmap": {
                    "fs_name": one.name,
                    "metadata_pool": pools[one.metadata],
                    "data_pools": [pools[name] for name in one.data],
                    "info": info,
                }
            }
            for one in self.systems.values()
        ]
        return {
            "status": {
                "fsid": state.fsid,
                "quorum_names": self.monitors,
                "mgrmap": {"available": bool(self.managers)},
                "health": health,
                "pgmap": {"pgs_by_state": groups},
            },
            "mon dump": {
                "mons": [{"name": name} for name in self.monitors],
                "stretch_mode": bool(self.tiebreaker),
                "tiebreaker_mon": self.tiebreaker,
            },
            "mgr metadata": [{"name": name} for name in self.managers],
            "osd dump": {
                "osds": [
                    {
                        "osd": osd.number,
                        "uuid": osd.uuid,
                        "up": int(osd.up),
                        "in": int(osd.in_),
                        "weight": float(osd.in_),
                        "state": ["exists", *(["up"] if osd.up else []), *(["destroyed"] if osd.destroyed else [])],
                    }
                    for osd in self.osds.values()
                ],
                "pools": [
                    {
                        "pool": pools[pool.name],
                        "pool_name": pool.name,
                        "size": pool.size,
                        "min_size": pool.min_size,
                        "crush_rule": rules[pool.rule],
                        "pg_num": pool.pg_num,
                        "application_metadata": {name: {} for name in pool.applications},
                        "erasure_code_profile": pool.erasure,
                        "pg_autoscale_mode": pool.autoscale,
                        "options": {"target_size_ratio": pool.share},
                    }
                    for pool in self.pools.values()
                ],
            },
            "osd tree": {"nodes": nodes},
            "osd crush rule dump": [{"rule_id": number, "rule_name": name} for name, number in rules.items()],
            "fs dump": {"filesystems": systems, "standbys": [{"name": name} for name in self.servers[1:]]},
            "service dump": {
                "services": {
                    "rgw": {"daemons": {str(n): {"metadata": {"id": name}} for n, name in enumerate(self.gateways)}}
                }
            },
            "config-key dump": {f"rackseed/{key}": value for key, value in self.notes.items()},
            "osd df": {
                "nodes": [
                    {"id": one.number, "kb": one.size >> 10, "kb_used": one.used >> 10, "pgs": one.pgs or 0}
                    for one in self.osds.values()
                ]
            },
        }

    # ------------------------------------------------------------ commands

    def _command(self, command: MonCommand) -> MonAnswer:
        said = json.loads(command.command)
        prefix = said.pop("prefix")
        said.pop("format", None)
        if command.pool:
            found = {"pool": command.pool, "namespaces": sorted(self.spaces.get(command.pool, ()))}
            return MonAnswer(code=0, output=json.dumps(found))
        if not command.payload and prefix in QUESTIONS:
            return MonAnswer(code=0, output=json.dumps(self.answers()[prefix]))
        name = "on_" + prefix.replace(" ", "_").replace("-", "_")
        act = getattr(self, name, None)
        assert act is not None, f"the simulated Ceph does not know: {prefix} {said}"
        return MonAnswer(code=0, output=json.dumps(act(**said)))

    def on_auth_import(self) -> None:
        pass

    def on_mon_set_election_strategy(self, strategy: str) -> None:
        assert strategy == "connectivity"

    def on_mon_set_location(self, name: str, args: list[str]) -> None:
        assert name in self.monitors and len(args) == 1

    def on_mon_enable_stretch_mode(self, tiebreaker_mon: str, new_crush_rule: str, dividing_bucket: str) -> None:
        assert tiebreaker_mon in self.monitors and new_crush_rule in self.rules and dividing_bucket
        self.tiebreaker = tiebreaker_mon

    def on_config_key_set(self, key: str, val: str) -> None:
        self.notes[key.removeprefix("rackseed/")] = val

    def on_osd_crush_add_bucket(self, name: str, type: str) -> None:
        self.buckets.setdefault(name, BucketState(name=name, level=type, parent=""))

    def on_osd_crush_move(self, name: str, args: list[str]) -> None:
        parent = args[0].partition("=")[2]
        assert parent in self.buckets
        self.buckets[name] = replace(self.buckets[name], parent=parent)

    def on_config_key_rm(self, key: str) -> None:
        self.notes.pop(key.removeprefix("rackseed/"), None)

    def on_osd_out(self, ids: list[str]) -> None:
        """Empty at once: what it held is elsewhere."""
        for number in map(int, ids):
            self.osds[number] = replace(self.osds[number], in_=False, pgs=0, used=0, safe=True)

    def on_osd_safe_to_destroy(self, ids: list[str]) -> dict[str, list[int]]:
        """What is in the map no more is safe to go, too."""
        needed = [number for number in map(int, ids) if number in self.osds and not self.osds[number].safe]
        return {"safe_to_destroy": [int(number) for number in ids if int(number) not in needed], "active": needed}

    def on_osd_in(self, ids: list[str]) -> None:
        for number in map(int, ids):
            self.osds[number] = replace(self.osds[number], in_=True, pgs=1, safe=None)

    def on_osd_purge(self, id: int, **_more: Any) -> None:
        assert not self.osds[id].up, f"osd.{id} is purged while it runs"
        del self.osds[id]

    def on_osd_destroy(self, id: int, **_more: Any) -> None:
        assert not self.osds[id].up, f"osd.{id} runs"
        self.osds[id] = replace(self.osds[id], destroyed=True)

    def on_osd_erasure_code_profile_set(self, name: str, profile: list[str]) -> None:
        assert any(word.startswith("k=") for word in profile), name

    def on_osd_pool_create(self, pool: str, rule: str, pg_num: int, size: int = 0, **more: Any) -> None:
        assert rule in self.rules
        if pool in self.pools:  # Ceph says that it is there, and that this is no error
            return
        self.pools[pool] = PoolState(
            number=len(self.pools) + 1,
            name=pool,
            size=size,
            min_size=0,
            rule=rule,
            pg_num=pg_num,
            erasure=more.get("erasure_code_profile", ""),
            autoscale=more["autoscale_mode"],
        )

    def on_osd_pool_application_enable(self, pool: str, app: str) -> None:
        self.pools[pool] = replace(self.pools[pool], applications=(app,))

    def on_osd_pool_set(self, pool: str, var: str, val: str) -> None:
        names = {"crush_rule": "rule", "pg_autoscale_mode": "autoscale", "target_size_ratio": "share"}
        kinds: dict[str, type] = {"size": int, "min_size": int, "pg_num": int, "target_size_ratio": float}
        name = names.get(var, var)
        if name in PoolState.__slots__:
            self.pools[pool] = replace(self.pools[pool], **{name: kinds.get(var, str)(val)})

    def on_fs_new(self, fs_name: str, metadata: str, data: str) -> None:
        self.systems[fs_name] = FilesystemState(name=fs_name, metadata=metadata, data=(data,))

    def on_fs_add_data_pool(self, fs_name: str, pool: str) -> None:
        found = self.systems[fs_name]
        self.systems[fs_name] = replace(found, data=(*found.data, pool))

    def on_fs_set(self, fs_name: str, var: str, val: str) -> None:
        assert fs_name in self.systems and var and val
