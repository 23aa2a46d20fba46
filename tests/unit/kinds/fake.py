"""A Ceph of the mind: it takes orders as a real one would and says what became of it. For steps, ends and acts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.cephorder import CephAction, CephOrder, MonCommand
from appliance.kinds import ceph as kind
from appliance.kinds.ceph import Act
from appliance.model.ceph import CephHost
from appliance.model.cephstate import BucketState, CephState, FilesystemState, OsdState, PoolState
from appliance.model.plan import Step
from tests.unit.kinds.scenes import GIB

NONE = "00000000-0000-0000-0000-000000000000"
ROOT = BucketState(name="default", level="root", parent="")


class StuckError(AssertionError):
    """Steps do not come to their end."""


@dataclass(slots=True)
class Fake:
    """``orders`` are all that were carried out, with the machine. An OSD hangs itself into the tree below its host."""

    hosts: dict[str, CephHost]
    state: CephState | None = None
    orders: list[tuple[str, str, CephOrder]] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    profiles: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self, steps: Sequence[Step], *, look: Callable[[Step], None] | None = None) -> None:
        """Carry out steps in their order, each to its end."""
        for step in steps:
            self.finish(step)
            if look is not None:
                look(step)

    def finish(self, step: Step, limit: int = 12) -> None:
        """As the engine does: done? → act → carry out. Raises `StuckError`."""
        for _ in range(limit):
            if not kind.by_order(step) and kind.done(step, self.state):
                return
            told = kind.act(step, self.state)
            if isinstance(told, Act):
                self.carry(step.key, told)
                if kind.by_order(step):
                    return
            else:
                self.pass_time()
        raise StuckError(f"{step.key} does not end: {kind.act(step, self.state)}")

    def pass_time(self) -> None:
        """What is out becomes empty; when everything runs, everything becomes clean."""
        if self.state is not None:
            self._osds(lambda osd: not osd.in_, pgs=0, used=0, safe=True)
            if all(osd.up for osd in self.state.osds if not osd.destroyed):
                self._set(pgs=(("active+clean", 1),))

    def carry(self, key: str, told: Act) -> None:
        order = told.order
        self.orders.append((key, told.machine, order))
        match order.action:
            case CephAction.MON:
                self._monitor(order)
            case CephAction.MGR:
                self._set(managers=(*self._now.managers, order.daemon))
            case CephAction.MDS:
                self._set(metadata_servers=(*self._now.metadata_servers, order.daemon))
                self._serve()
            case CephAction.RGW:
                self._set(gateways=(*self._now.gateways, order.daemon))
            case CephAction.OSD:
                self._osd(order, told.machine)
            case CephAction.STOP:
                self._osds(lambda osd: osd.number == int(order.daemon), up=False)
            case CephAction.REMOVE:
                self._remove(order)
            case CephAction.ASK:
                for command in order.commands:
                    self._command(command)
                names = (re.match(r"rule (\S+) \{", text) for text in order.rules)
                self._set(rules=(*self._now.rules, *(found[1] for found in names if found)))
                for one in order.namespaces:
                    self._space(one.pool, one.name)
            case CephAction.CHECK:
                self._check(order)

    def _check(self, order: CephOrder) -> None:
        tried = [one for one in order.namespaces if one.entity]
        self.checked += [f"{one.pool}/{one.name} by {one.entity}" for one in tried] or [order.check]
        for one in tried:
            pool = next(pool for pool in self._now.pools if pool.name == one.pool)
            assert one.name in (pool.namespaces or ()) and one.secret.endswith(one.entity)
            assert f"keys/{one.entity}" in dict(self._now.notes)

    def _space(self, pool: str, name: str) -> None:
        """A namespace; that of a pool without a note is not looked for."""
        assert f"namespaces/{pool}" in dict(self._now.notes)
        there = next(one.namespaces or () for one in self._now.pools if one.name == pool)
        self._pool(pool, namespaces=tuple(sorted({*there, name})))

    # ------------------------------------------------------------ state

    @property
    def _now(self) -> CephState:
        assert self.state is not None, "no monitor answers"
        return self.state

    def _set(self, **fields: Any) -> None:
        self.state = replace(self._now, **fields)

    def _osds(self, which: Callable[[OsdState], bool], **fields: Any) -> None:
        self._set(osds=tuple(replace(osd, **fields) if which(osd) else osd for osd in self._now.osds))

    def _monitor(self, order: CephOrder) -> None:
        if self.state is None:
            assert not order.monitors
            self.state = CephState(
                fsid=order.fsid, buckets=(ROOT,), rules=("replicated_rule",), health="HEALTH_OK", release="reef"
            )
        assert not self._now.stretch or order.daemon in self._now.monitors, "nobody knows where it stands"
        names = (*(name for name in self._now.monitors if name != order.daemon), order.daemon)
        self._set(monitors=names, quorum=tuple(dict.fromkeys((*self._now.quorum, order.daemon))))

    def _osd(self, order: CephOrder, machine: str) -> None:
        osd = order.osd
        assert osd is not None and osd.data.machine == machine
        others = [one for one in self._now.osds if one.number != osd.number]
        clash = [one for one in self._now.osds if one.number == osd.number and one.uuid != osd.uuid]
        assert all(one.destroyed for one in clash), f"osd.{osd.number} is another one"
        made = OsdState(
            number=osd.number,
            uuid=osd.uuid,
            host=self.hosts[machine].name,
            device_class=osd.device_class,
            up=True,
            in_=True,
            weight=clash[0].weight if clash else osd.data.size / (1 << 40),  # as create-or-move keeps it
            size=osd.data.size,
            used=GIB,
            pgs=40,
        )
        self._set(osds=tuple(sorted((*others, made), key=lambda one: one.number)))
        self._grow(".mgr", rule="replicated_rule", size=3, min_size=2, applications=("mgr",), pg_num=1)

    def _grow(self, name: str, **fields: Any) -> None:
        if all(pool.name != name for pool in self._now.pools):
            pool = PoolState(number=len(self._now.pools) + 1, name=name, autoscale="on", **fields)
            self._set(pools=(*self._now.pools, pool))

    def _serve(self) -> None:
        """Metadata servers take file systems, one each."""
        waiting, systems = list(self._now.metadata_servers), []
        for one in self._now.filesystems:
            systems.append(replace(one, active=tuple(waiting[:1])))
            waiting = waiting[1:]
        self._set(filesystems=tuple(replace(one, standby=len(waiting)) for one in systems))

    def _remove(self, order: CephOrder) -> None:
        names = {"mgr": "managers", "mds": "metadata_servers", "rgw": "gateways"}
        if order.kind in names:
            held = names[order.kind]
            self._set(**{held: tuple(name for name in getattr(self._now, held) if name != order.daemon)})
            self._serve()
        elif order.kind == "osd":
            named = {grant.osd_uuid for grant in order.zap}
            assert named and all(grant.shared for grant in order.zap), "names the OSD, and no whole disk"
            assert all(osd.uuid not in named for osd in self._now.osds), "it is still in the map"
        else:
            assert order.kind == "mon" and order.daemon not in self._now.monitors, "it is in the map"

    # ------------------------------------------------------------ commands

    def _command(self, command: MonCommand) -> None:
        said = json.loads(command.command)
        prefix = said.pop("prefix")
        said.pop("format")
        name = "_" + re.sub(r"[^a-z]+", "_", prefix)
        getattr(self, name)(**{("kind" if key == "class" else key): value for key, value in said.items()})

    def _auth_import(self) -> None:
        """Keys are not seen."""

    def _auth_rm(self, entity: str) -> None:
        """Keys are not seen."""

    def _config_key_set(self, key: str, val: str) -> None:
        notes = {**dict(self._now.notes), key.removeprefix("rackseed/"): val}
        self._set(notes=tuple(sorted(notes.items())))

    def _config_key_rm(self, key: str) -> None:
        self._set(notes=tuple(pair for pair in self._now.notes if pair[0] != key.removeprefix("rackseed/")))

    def _osd_crush_add_bucket(self, name: str, type: str) -> None:
        if all(one.name != name for one in self._now.buckets):
            self._set(buckets=(*self._now.buckets, BucketState(name=name, level=type, parent="")))

    def _osd_crush_move(self, name: str, args: list[str]) -> None:
        ((level, parent),) = (arg.split("=") for arg in args)
        levels = {one.name: one.level for one in self._now.buckets}
        assert levels[parent] == level, "a bucket is below one that is there"
        moved = (replace(one, parent=parent) if one.name == name else one for one in self._now.buckets)
        self._set(buckets=tuple(moved))

    def _osd_crush_rm(self, name: str) -> None:
        assert all(one.parent != name for one in self._now.buckets) and all(o.host != name for o in self._now.osds)
        self._set(buckets=tuple(one for one in self._now.buckets if one.name != name))

    def _osd_crush_set(self, id: int, weight: float, args: list[str]) -> None:
        host = next(arg.removeprefix("host=") for arg in args if arg.startswith("host="))
        self._osds(lambda osd: osd.number == id, host=host, weight=weight)

    def _osd_crush_rm_device_class(self, ids: list[str]) -> None:
        self._osds(lambda osd: str(osd.number) in ids, device_class="")

    def _osd_crush_set_device_class(self, kind: str, ids: list[str]) -> None:
        self._osds(lambda osd: str(osd.number) in ids, device_class=kind)

    def _osd_in(self, ids: list[str]) -> None:
        self._osds(lambda osd: str(osd.number) in ids, in_=True, safe=None)

    def _osd_out(self, ids: list[str]) -> None:
        self._osds(lambda osd: str(osd.number) in ids, in_=False, safe=False)

    def _osd_destroy(self, id: int, force: bool, yes_i_really_mean_it: bool) -> None:
        assert yes_i_really_mean_it and not next(osd for osd in self._now.osds if osd.number == id).up
        self._osds(lambda osd: osd.number == id, destroyed=True, uuid=NONE)

    def _osd_purge(self, id: int, force: bool, yes_i_really_mean_it: bool) -> None:
        assert yes_i_really_mean_it and not next(osd for osd in self._now.osds if osd.number == id).up
        self._set(osds=tuple(osd for osd in self._now.osds if osd.number != id))

    def _osd_erasure_code_profile_set(self, name: str, profile: list[str]) -> None:
        self.profiles[name] = dict(word.split("=") for word in profile)

    def _osd_pool_create(self, pool: str, rule: str, pg_num: int, **fields: Any) -> None:
        assert rule in self._now.rules, f"there is no rule {rule}"
        assert not pool.startswith(".") or fields.get("yes_i_really_mean_it"), "made without a word of error"
        erasure, share = fields.get("erasure_code_profile", ""), fields.get("target_size_ratio", 0.0)
        code = self.profiles.get(erasure, {})
        size = int(code["k"]) + int(code["m"]) if code else fields["size"]
        self._grow(pool, rule=rule, pg_num=pg_num, size=size, min_size=size - 1, erasure=erasure, share=share)

    def _osd_pool_application_enable(self, pool: str, app: str) -> None:
        self._pool(pool, applications=(app,))

    def _pool(self, pool: str, **fields: Any) -> None:
        assert any(one.name == pool for one in self._now.pools), f"there is no pool {pool}"
        self._set(pools=tuple(replace(one, **fields) if one.name == pool else one for one in self._now.pools))

    def _osd_pool_set(self, pool: str, var: str, val: str) -> None:
        fields: dict[str, tuple[str, Callable[[str], Any]]] = {
            "crush_rule": ("rule", str),
            "size": ("size", int),
            "min_size": ("min_size", int),
            "pg_num": ("pg_num", int),
            "pg_autoscale_mode": ("autoscale", str),
            "target_size_ratio": ("share", float),
        }
        if var in fields:
            name, read = fields[var]
            self._pool(pool, **{name: read(val)})

    def _fs_new(self, fs_name: str, metadata: str, data: str) -> None:
        if all(one.name != fs_name for one in self._now.filesystems):
            made = FilesystemState(name=fs_name, metadata=metadata, data=(data,))
            self._set(filesystems=(*self._now.filesystems, made))
            self._serve()

    def _fs_add_data_pool(self, fs_name: str, pool: str) -> None:
        systems = (
            replace(one, data=tuple(dict.fromkeys((*one.data, pool)))) if one.name == fs_name else one
            for one in self._now.filesystems
        )
        self._set(filesystems=tuple(systems))

    def _fs_set(self, fs_name: str, var: str, val: str) -> None:
        assert var == "standby_count_wanted" and int(val) >= 0

    def _mon_remove(self, name: str) -> None:
        assert name != self._now.tiebreaker, "stretch mode keeps its tiebreaker"
        left = tuple(one for one in self._now.monitors if one != name)
        assert left
        self._set(monitors=left, quorum=tuple(one for one in self._now.quorum if one != name))

    def _mon_set_election_strategy(self, strategy: str) -> None:
        assert strategy == "connectivity"

    def _mon_set_location(self, name: str, args: list[str]) -> None:
        assert name in self._now.monitors and len(args) == 1

    def _mon_enable_stretch_mode(self, tiebreaker_mon: str, new_crush_rule: str, dividing_bucket: str) -> None:
        assert tiebreaker_mon in self._now.monitors and new_crush_rule in self._now.rules
        self._set(stretch=True, tiebreaker=tiebreaker_mon)

    def _mon_add(self, name: str, addr: str, location: list[str]) -> None:
        assert self._now.stretch and name not in self._now.monitors and addr and len(location) == 1
        places = {f"{bucket.level}={bucket.name}" for bucket in self._now.buckets}
        assert location[0] in places, "until it is in the quorum, the other monitors end (Ceph 18)"
        self._set(monitors=(*self._now.monitors, name))

    def _mon_set_new_tiebreaker(self, name: str) -> None:
        assert self._now.stretch and name in self._now.quorum
        self._set(tiebreaker=name)
