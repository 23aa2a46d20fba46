"""What steps are collected in, and the parts that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from appliance.kinds.ceph.names import monitor_machines, osd_uuid
from appliance.kinds.ceph.rates import drain_rate
from appliance.kinds.ceph.there import noted_leaving, osd_fits
from appliance.model.ceph import CephArgs, CephHost, CephLayout, CephVerb, OsdLayout
from appliance.model.cephstate import CephState, OsdState
from appliance.model.plan import DiskChoice, Step, StepKind

SHORT, LONG = 900.0, 3600.0
"""Seconds: something that starts; something that is written."""
SETTLE = 6 * 3600.0
SPEED = 50e6
"""Bytes per second of a disk that is drained or filled beside the users' work: for deadlines only."""


@dataclass(slots=True)
class Draft:
    """Collects steps: what `steps` is asked with, and those that are ``made``, in order. ``last`` are the keys that what
    leaves has to wait for, ``configured`` those that write a machine's configuration, ``grown`` those after which services
    are tried. ``drained`` are numbers of OSDs that have to become empty, ``rate`` what one of them has of the whole,
    bytes per second (0: not known)."""

    layout: CephLayout
    hosts: Mapping[str, CephHost]
    state: CephState | None
    before: CephLayout | None
    networks: Mapping[str, str]
    choices: tuple[DiskChoice, ...]
    remove: frozenset[int] = frozenset()
    made: list[Step] = field(default_factory=list)
    last: tuple[str, ...] = ()
    configured: dict[str, str] = field(default_factory=dict)
    grown: list[str] = field(default_factory=list)
    alive: dict[str, OsdState] = field(init=False)
    left: dict[str, OsdLayout] = field(init=False)
    formed: tuple[OsdLayout, ...] = field(init=False)
    drained: tuple[str, ...] = field(init=False)
    rate: int = field(init=False)

    def __post_init__(self) -> None:
        self.alive = {osd.uuid: osd for osd in (self.state.osds if self.state else ()) if not osd.destroyed}
        self.left = {self.uuid(osd): osd for osd in noted_leaving(self.state)}
        stay = {self.uuid(osd) for osd in self.layout.osds}
        found = {**self.left, **{self.uuid(osd): osd for osd in (self.before.osds if self.before else ())}}
        self.formed = tuple(osd for uuid, osd in found.items() if uuid not in stay)
        going = (*self.formed, *(osd for osd in self.layout.osds if osd.replacing))
        drained = {seen.number: osd for osd in going if (seen := self.live(osd)) is not None and seen.up}
        rate = drain_rate(self.layout, self.before, drained.values())
        self.rate = rate.expected // len(drained) if rate else 0
        self.drained = tuple(str(number) for number in sorted(drained))

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

    def own(self, machine: str) -> tuple[str, ...]:
        """What a daemon of this machine waits for there."""
        return (self.configured[machine],) if machine in self.configured else ()

    def has(self, osd: OsdLayout) -> bool:
        """Whether it is made; one that was on its way out and stays after all has to be taken in again."""
        host, found = self.hosts.get(osd.machine), self.live(osd)
        if host is None or found is None or (not found.in_ and found.uuid in self.left):
            return False
        return osd_fits(found, osd, host.name)

    def live(self, osd: OsdLayout) -> OsdState | None:
        return self.alive.get(self.uuid(osd))

    def uuid(self, osd: OsdLayout) -> str:
        return osd_uuid(self.layout.fsid, osd)
