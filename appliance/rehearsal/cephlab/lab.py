"""`CephLab`: hosts in namespaces, as a context manager. Everything is gone at its end, also when its owner is killed.

with CephLab(even(4, 2, racks=2)) as lab:
    lab.host("h1").run(["ceph", "--version"])
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.document import decode, encode
from appliance.rehearsal.cephlab.daemons import ENABLED
from appliance.rehearsal.cephlab.description import APPLIANCE, LabDescription, LabDisk, LabHost
from appliance.rehearsal.cephlab.disks import Attached, attach, detach
from appliance.rehearsal.cephlab.host import AGENT, Host
from appliance.rehearsal.cephlab.network import Plane, Switches
from appliance.rehearsal.cephlab.settings import SMALL, arguments
from appliance.rehearsal.cephlab.space import Space
from appliance.rehearsal.errors import MachineError, PrerequisiteError
from images.cache import Cache
from images.cephroot import ceph_root
from images.errors import ImageBuildError

AIO_LIMIT = Path("/proc/sys/fs/aio-max-nr")
AIO_USED = Path("/proc/sys/fs/aio-nr")
AIO_SMALL, AIO_FULL = 2 * 64 + 64, 2 * 1024 + 64
"""Requests that an OSD reserves at its start: two queues of ``bdev_aio_max_queue_depth``, and a little."""


@dataclass(slots=True, kw_only=True)
class CephLab:
    """A lab, made by ``with`` (or `open`, `close`). ``image`` is the root that hosts run from, by default built on first use
    and cached; ``agent`` the folder of the agent's code, by default this checkout's."""

    description: LabDescription
    image: Path | None = None
    agent: Path = AGENT
    hosts: dict[str, Host] = field(default_factory=dict)
    _space: Space | None = None
    _switches: Switches | None = None

    @property
    def space(self) -> Space:
        """Raises `MachineError` while the lab is not open."""
        if self._space is None:
            raise MachineError("the Ceph lab is not open: use it in a `with`")
        return self._space

    @property
    def folder(self) -> Path:
        return self.space.folder

    @property
    def switches(self) -> Switches:
        if self._switches is None:
            raise MachineError("the Ceph lab is not open: use it in a `with`")
        return self._switches

    @property
    def appliance(self) -> Host:
        """The appliance's place: it reaches the public network, and its programs are those of the hosts."""
        return self.hosts[APPLIANCE]

    def host(self, name: str) -> Host:
        """By name; KeyError."""
        return self.hosts[name]

    def open(self) -> None:
        """Make namespaces, switches, disks and hosts; nothing of Ceph runs yet. Raises `RehearsalError`."""
        check_requests(sum(len(host.disks) for host in self.description.hosts), small=self.description.small)
        if self.image is None:
            try:
                self.image = ceph_root(Cache()).image
            except ImageBuildError as error:
                raise PrerequisiteError(f"the hosts' root can't be had: {error}") from error
        self._space = Space.create(self.image)
        try:
            self._switches = Switches(space=self.space, description=self.description)
            self._switches.make()
            for host in (*self.description.hosts, LabHost(name=APPLIANCE)):
                self._add(host)
            self._save()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything and delete it. Safe to call twice."""
        if self._space is not None and self._space.remove():
            for host in self.hosts.values():
                host.reap()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, description: LabHost) -> Host:
        settings = arguments(SMALL) if self.description.small else ""
        host = Host(space=self.space, description=description, settings=settings, agent=self.agent)
        self.hosts[host.name] = host
        for disk in description.disks:
            host.disks[disk.serial] = attach(self.folder, disk)
        self.boot(host.name)
        return host

    def boot(self, name: str) -> Host:
        """Start a host that is off, with its ports and the daemons that belong to it."""
        host = self.host(name)
        if host.off:
            host.boot()
            self.switches.plug(name, host.pid)
            if (host.folder / "upper" / ENABLED.relative_to("/")).is_dir():
                host.daemon("boot")
        return host

    def add_host(self, description: LabHost) -> Host:
        """One more host: rack it, plug it in, switch it on."""
        if description.name in self.hosts:
            raise MachineError(f"the lab has a host {description.name} already")
        self.description = replace(self.description, hosts=(*self.description.hosts, description))
        self.switches.description = self.description
        host = self._add(description)
        self._save()
        return host

    def add_disk(self, name: str, disk: LabDisk) -> Attached:
        """Push a disk into a running host."""
        host = self.host(name)
        host.disks[disk.serial] = attach(self.folder, disk)
        if not host.off:
            host.show(host.disks[disk.serial])
        self._save()
        return host.disks[disk.serial]

    def pull_disk(self, name: str, serial: str) -> LabDisk:
        """Pull a disk out of a host, with what is on it: nobody gets it back."""
        host = self.host(name)
        attached = host.disks.pop(serial)
        if not host.off:
            host.hide(attached)
        detach(self.folder, attached, forget=True)
        self._save()
        return attached.disk

    def readdress(self, name: str, plane: Plane, addresses: tuple[str, ...]) -> None:
        """Give a host the addresses (with prefix length) that a plan allocated to it."""
        self.switches.readdress(self.host(name).pid, plane, addresses)

    # ------------------------------------------------------------ for other processes

    def _save(self) -> None:
        """What `attach` reads: the description with all disks, and the loop devices."""
        nodes = {serial: item.node for host in self.hosts.values() for serial, item in host.disks.items()}
        state = LabState(description=self._with_disks(), nodes=tuple(sorted(nodes.items())))
        path = self.folder / "lab.json"
        temporary = path.with_suffix(".new")
        temporary.write_bytes(encode(state))
        temporary.replace(path)

    def _with_disks(self) -> LabDescription:
        hosts = tuple(
            replace(host, disks=tuple(item.disk for item in self.hosts[host.name].disks.values()))
            for host in self.description.hosts
            if host.name in self.hosts
        )
        return replace(self.description, hosts=hosts)

    @classmethod
    def attach(cls, folder: Path) -> CephLab:
        """The lab of another process, as it is now: run things in it, give it orders. It is not ended from here.
        Raises `NamespaceError` when it is gone."""
        space = Space.attach(folder)
        state = decode(LabState, (folder / "lab.json").read_bytes())
        lab = cls(description=state.description)
        lab._space = space
        lab._switches = Switches(space=space, description=state.description)
        nodes = dict(state.nodes)
        settings = arguments(SMALL) if state.description.small else ""
        for described in (*state.description.hosts, LabHost(name=APPLIANCE)):
            host = Host(space=space, description=described, settings=settings)
            host.disks = {
                disk.serial: Attached(disk=disk, file=folder / "disks" / disk.serial, node=nodes[disk.serial])
                for disk in described.disks
            }
            with contextlib.suppress(OSError, ValueError):
                host.pid = int((host.folder / "pid").read_text(encoding="ascii"))
            lab.hosts[host.name] = host
        return lab


@dataclass(frozen=True, slots=True, kw_only=True)
class LabState:
    """What another process must know of a lab. ``nodes``: serial → loop device."""

    description: LabDescription
    nodes: tuple[tuple[str, str], ...]


def check_requests(osds: int, *, small: bool, used: Path = AIO_USED, limit: Path = AIO_LIMIT) -> None:
    """Refuse when asynchronous I/O requests would run out: the OSD that is one too many dies at its start, and says so
    only in its log. Raises `PrerequisiteError`."""
    need = osds * (AIO_SMALL if small else AIO_FULL)
    left = int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii"))
    if need > left:
        raise PrerequisiteError(
            f"{osds} OSDs reserve {need} asynchronous I/O requests, {left} are left of fs.aio-max-nr: "
            f"sysctl fs.aio-max-nr=1048576"
        )
