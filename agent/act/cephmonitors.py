"""Monitors on this machine: made whole or not at all, started, seen in the quorum, removed."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.act import cephcommands as commands
from agent.act import cephconfigure as configure
from agent.act import cephdaemons as daemons
from agent.act import cephfiles as files
from agent.act import cephkeyrings as keyrings
from agent.act.cephdaemons import Daemons, Tell
from agent.errors import CephError
from agent.run import run
from agent.wire import CephOrder

FIRST_PATIENCE, JOIN_PATIENCE = 180.0, 900.0
"""Seconds until the first answers; until another has copied the store of the others, which may have gigabytes."""
KNOCK = 2.0
MON, V2, V1 = "mon.", 3300, 6789
AS_CEPH = ("--setuser", "ceph", "--setgroup", "ceph")
EMPTY_NAMES = frozenset({"keyring", "kv_backend", "done", "systemd", "sysvinit", "upstart", "external_log_to"})
"""What may lie in a folder that some tool began and that holds no store yet."""


def make(order: CephOrder, secrets: Callable[[str], str], agents: Daemons, tell: Tell) -> str:
    """The very first monitor (``order.monitors`` empty), or one more of a cluster that answers."""
    files.need_programs(("ceph-mon", "monmaptool", "ceph"))
    findings = configure.network_findings(order, ())
    if findings:
        raise CephError("; ".join(findings))
    folder = files.data_folder("mon", order.daemon)
    configure.write(order, secrets, beside=folder)
    was = _state(order, folder, agents)
    if not was and not order.monitors:
        _check_alone(order)
    if not was:
        tell("monitor", 0.2, f"making mon.{order.daemon}")
        _make_store(order, folder, secrets)
    first = not order.monitors
    patience = FIRST_PATIENCE if first else JOIN_PATIENCE
    tell("quorum", 0.6, "")
    daemons.start_and_wait(agents, "mon", order.daemon, ready=lambda: missing(order), tell=tell, seconds=patience)
    return f"mon.{order.daemon} {'was there and ' if was else ''}is in the quorum"


def _state(order: CephOrder, folder: Path, agents: Daemons) -> bool:
    """Whether its store is there. Raises `CephError` when it is another cluster's; what is half made is removed."""
    if agents.running("mon", order.daemon):
        return True  # `missing` compares its cluster
    shutil.rmtree(_making(folder), ignore_errors=True)
    if not folder.is_dir():
        return False
    if not (folder / "store.db").is_dir():
        foreign = sorted({item.name for item in folder.iterdir()} - EMPTY_NAMES)
        if foreign:
            raise CephError(f"{folder} holds {', '.join(foreign)}, but no monitor's store: look at it and move it away")
        shutil.rmtree(folder)
        return False
    found = store_fsid(order.daemon, folder)
    if found != order.fsid:
        raise CephError(
            f"{folder} is a monitor of cluster {found or '(unknown)'}, not {order.fsid}: if that cluster is given up, "
            f"move {folder} away"
        )
    return True


def _check_alone(order: CephOrder) -> None:
    """A very first monitor beside others that answer would be a second cluster of the same name. Raises `CephError`."""
    ports = dict(reversed(hosts_of(configure.settings(order).get("mon_host", ""))))
    for host, port in ports.items():  # the first port of each: a machine that is off costs its time-out
        if host == order.address:
            continue
        try:
            with socket.create_connection((host, port), timeout=KNOCK):
                pass
        except OSError:
            continue
        raise CephError(
            f"{host}:{port} answers: the cluster has monitors already, a first one beside them would be another cluster. "
            f"Is mon.{order.daemon} to join them? plan again"
        )


def hosts_of(text: str) -> list[tuple[str, int]]:
    """Of a ``mon_host``: ``[v2:10.0.0.1:3300,v1:10.0.0.1:6789]`` …, or addresses with commas or spaces between."""
    full = re.findall(r"v[12]:(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d+)", text)
    if full:
        return [(six or four, int(port)) for six, four, port in full]
    words = [word.strip("[]") for word in text.replace(",", " ").split()]
    return [(word, V2) for word in words if word]


def store_fsid(daemon: str, folder: Path) -> str:
    """The cluster of a monitor's store, asked of the store itself (its daemon must be down)."""
    with scratch() as place:
        monmap = place / "monmap"
        base = ["ceph-mon", "-i", daemon, "--mon-data", str(folder), *AS_CEPH]
        done = run([*base, "--extract-monmap", str(monmap)], check=False, timeout=120)
        if done.code != 0 or not monmap.is_file():
            raise CephError(
                f"the store in {folder} can't be read ({done.stderr.strip()[-200:] or done.code}): is a ceph-mon running "
                f"on it that was not started by its unit?"
            )
        found = re.search(r"^fsid ([0-9a-f-]{36})$", run(["monmaptool", "--print", str(monmap)]).stdout, re.MULTILINE)
    return found[1] if found else ""


def _make_store(order: CephOrder, folder: Path, secrets: Callable[[str], str]) -> None:
    """`ceph-mon --mkfs` beside its place, then a rename: a power cut leaves no half monitor that looks like one."""
    ceph, making = files.owner_of("ceph"), _making(folder)
    sections = keyrings.fetch(order.secrets, secrets)
    if MON not in sections:
        raise CephError("the order brings no key of mon.: a monitor can't be made without it")
    with scratch() as place:
        keyring, monmap = place / "keyring", place / "monmap"
        files.write(keyring, "".join(sections.values()), mode=0o600, owner=ceph)
        if order.monitors:
            _fetch_map(order, keyring, monmap)
        else:
            where = [order.daemon, vector(order.address)]
            run(["monmaptool", "--create", "--fsid", order.fsid, "--addv", *where, str(monmap)])
        os.chown(monmap, ceph.uid, ceph.gid)
        files.make_folder(folder.parent, ceph)
        making.mkdir(mode=0o750)
        os.chown(making, ceph.uid, ceph.gid)
        where = ["--mon-data", str(making), "--monmap", str(monmap), "--keyring", str(keyring)]
        done = run(
            ["ceph-mon", "--mkfs", "-i", order.daemon, "--fsid", order.fsid, *where, *AS_CEPH], check=False, timeout=300
        )
    if done.code != 0 or not (making / "store.db").is_dir():
        said = done.stderr.strip()[-400:] or f"it ended with {done.code} without a word"
        raise CephError(f"`ceph-mon --mkfs` made no store: {said}; does {order.address} fit public_network?")
    os.sync()
    making.rename(folder)
    files.sync_folder(folder.parent)


def _fetch_map(order: CephOrder, keyring: Path, monmap: Path) -> None:
    hosts = ",".join(vector(item) for item in order.monitors)
    commands.fetch_monmap(monmap, entity=MON, keyring=keyring, hosts=hosts)
    found = re.search(r"^fsid (\S+)$", run(["monmaptool", "--print", str(monmap)]).stdout, re.MULTILINE)
    if not found or found[1] != order.fsid:
        raise CephError(f"the monitors at {', '.join(order.monitors)} are of cluster {found[1] if found else '?'}")


def vector(address: str) -> str:
    """Both protocols of one monitor; IPv6 in its own brackets."""
    host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    return f"[v2:{host}:{V2},v1:{host}:{V1}]"


def missing(order: CephOrder) -> str:
    """What is still missing until the monitor is one of the quorum, at the planned address. Raises `CephError`."""
    said = daemons.answer("mon", order.daemon, "mon_status")
    if said is None:
        return "it does not answer on its admin socket"
    monmap = dict(said.get("monmap", {}))
    if monmap.get("fsid") != order.fsid:
        raise CephError(
            f"mon.{order.daemon} is of cluster {monmap.get('fsid')}, not {order.fsid}: stop it, move it away"
        )
    mine = [item for item in monmap.get("mons", []) if item.get("name") == order.daemon]
    if not mine or said.get("rank") not in said.get("quorum", []):
        others = ", ".join(order.monitors) or "itself"
        return f"it is {said.get('state', 'silent')}, not in the quorum; can it reach {others}?"
    shown = str(mine[0].get("public_addr", mine[0].get("addr", "")))
    if order.address and host_of(shown) != ipaddress.ip_address(order.address):
        raise CephError(
            f"mon.{order.daemon} announces {shown}, the plan says {order.address}: set `public_addr` in [mon.{order.daemon}]"
        )
    return ""


def host_of(shown: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Of Ceph's ``10.0.0.1:6789/0`` or ``[fd00::1]:6789/0``."""
    try:
        return ipaddress.ip_address(shown.partition("/")[0].rpartition(":")[0].strip("[]"))
    except ValueError:
        return None


def check_left(order: CephOrder) -> None:
    """Before its data are removed: the others must have let it go. Raises `CephError`."""
    said = daemons.answer("mon", order.daemon, "mon_status")
    fsid = dict(said.get("monmap", {})).get("fsid") if said is not None else None
    if fsid not in (None, order.fsid):
        raise CephError(f"mon.{order.daemon} is of cluster {fsid}, not {order.fsid}: it is left alone")
    if said is not None and said.get("rank") in said.get("quorum", []):
        raise CephError(f"mon.{order.daemon} is in the quorum: `mon remove` it first")


def check_own_store(order: CephOrder, folder: Path) -> None:
    """Before the folder of a monitor that is stopped is removed. Raises `CephError` when its store is another cluster's, or
    can't be read."""
    found = store_fsid(order.daemon, folder) if (folder / "store.db").is_dir() else order.fsid
    if found != order.fsid:
        raise CephError(f"{folder} is a monitor of cluster {found or '(unknown)'}, not {order.fsid}: it is left alone")


def _making(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.making")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory for keys and maps, for root and ceph only; gone afterwards."""
    ceph = files.owner_of("ceph")
    files.make_folder(files.RUN, ceph, 0o770)
    place = Path(tempfile.mkdtemp(prefix="rackseed-", dir=files.RUN))
    try:
        os.chown(place, ceph.uid, ceph.gid)
        yield place
    finally:
        shutil.rmtree(place)
