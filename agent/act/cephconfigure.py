"""Making a machine ready for Ceph: folders, files, keyrings, the kernel's limits; and what speaks against it."""

from __future__ import annotations

import configparser
import ipaddress
from collections.abc import Callable, Iterable
from pathlib import Path

from agent.act import cephfiles as files
from agent.act import cephkeyrings as keyrings
from agent.errors import CephError
from agent.run import run
from agent.wire import CephOrder, ConfigFile

AIO_MAX = 1_048_576
AIO_PATH = Path("/proc/sys/fs/aio-max-nr")
"""65536, the kernel's default, is used up by the 33rd OSD (measured); Debian's ceph-osd asks for as much as we do."""
SYSCTL = Path("/etc/sysctl.d/90-rackseed-ceph.conf")
SMALLEST_MEMORY = 2**30
"""Below it, neither a mon nor an OSD stays up. What a machine needs to be good is the planner's business (`ceph.md` §4)."""

PROGRAMS = {
    "": ("ceph", "ceph-authtool"),
    "mon": ("ceph-mon", "monmaptool"),
    "mgr": ("ceph-mgr",),
    "mds": ("ceph-mds",),
    "osd": ("ceph-osd", "ceph-bluestore-tool"),
    "rgw": ("radosgw", "radosgw-admin"),
}
Settings = dict[str, str]


def configure(order: CephOrder, secrets: Callable[[str], str]) -> str:
    """Everything that does not need a cluster. Raises `CephError` with all findings at once, before anything is written."""
    kinds = order.kind.split()
    unknown = sorted(set(kinds) - set(PROGRAMS))
    if unknown:
        raise CephError(f"{', '.join(unknown)}: not a daemon of Ceph")
    files.need_programs(name for kind in ("", *kinds) for name in PROGRAMS[kind])
    findings = [*leftovers(order.fsid), *network_findings(order, kinds), *memory_findings(kinds)]
    if findings:
        raise CephError("; ".join(findings))
    ceph = files.owner_of("ceph")
    files.make_folder(files.ETC, files.Owner(uid=0, gid=0), 0o755)
    files.make_folder(files.LIB, ceph)
    for name in files.FOLDERS:
        files.make_folder(files.LIB / name, ceph)
    files.make_folder(files.RUN, ceph, 0o770)
    written = write(order, secrets)
    raised = raise_limits() if "osd" in kinds else ""
    return f"ready for Ceph: {', '.join(written) or 'no file'} written{raised}"


def write(order: CephOrder, secrets: Callable[[str], str], *, beside: Path | None = None) -> list[str]:
    """The order's files and keyrings, where they are not so already; keyrings below ``beside`` are left out. Returns the
    paths that were written."""
    written = [item.path for item in order.files if _write_file(item)]
    if order.secrets:
        sections = keyrings.fetch([item for item in order.secrets if item.path], secrets)
        written += keyrings.write([item for item in order.secrets if item.path], sections, beside=beside)
    return written


def _write_file(item: ConfigFile) -> bool:
    path = Path(item.path)
    keyrings.check_path(path)
    return files.write(path, item.content, mode=item.mode & 0o777)


def parse(text: str) -> Settings:
    """The ``[global]`` settings of a ceph.conf, names with underscores. Raises `CephError`."""
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=("#", ";"), default_section="-")
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise CephError(f"{files.CONF} can't be read: {error}") from error
    found = parser["global"] if parser.has_section("global") else {}
    return {name.strip().replace(" ", "_").replace("-", "_"): value.strip() for name, value in found.items()}


def settings(order: CephOrder) -> Settings:
    """Of the ceph.conf in the order, else of the one that is here."""
    for item in order.files:
        if Path(item.path) == files.CONF:
            return parse(item.content)
    try:
        return parse(files.CONF.read_text("utf-8"))
    except OSError:
        return {}


def network_findings(order: CephOrder, kinds: Iterable[str]) -> list[str]:
    """`ceph-mon --mkfs` and OSDs end without a word when no address lies in the networks of the configuration."""
    conf, own = settings(order), addresses()
    found = []
    if order.address:
        wanted = _address(order.address)
        if wanted not in own:
            found.append(f"the address {wanted} is not on this machine (it has {_listed(own)}): is its network up?")
        public = networks(conf.get("public_network", ""))
        if public and not any(wanted in network for network in public):
            found.append(f"the address {wanted} is not in the public network {conf['public_network']}")
    cluster = networks(conf.get("cluster_network", ""))
    if "osd" in kinds and cluster and not any(address in network for network in cluster for address in own):
        found.append(f"no address of this machine is in the cluster network {conf['cluster_network']}: is it up?")
    return found


def networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Raises `CephError`."""
    try:
        return [ipaddress.ip_network(word, strict=False) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise CephError(f"{files.CONF}: {error}") from error


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise CephError(f"the order's address {text!r} is none") from error


def addresses() -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Of all ports of this machine (of this network namespace)."""
    import psutil  # noqa: PLC0415 - only in installed systems

    found = set()
    for items in psutil.net_if_addrs().values():
        for item in items:
            try:
                found.add(ipaddress.ip_address(item.address.partition("%")[0]))
            except ValueError:
                continue  # a MAC
    return found


def _listed(own: set[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> str:
    shown = sorted(str(item) for item in own if not item.is_loopback and not item.is_link_local)
    return ", ".join(shown) or "none"


def memory_findings(kinds: Iterable[str]) -> list[str]:
    import psutil  # noqa: PLC0415 - only in installed systems

    total = psutil.virtual_memory().total
    if total < SMALLEST_MEMORY and {"osd", "mon"} & set(kinds):
        return [f"this machine has {total >> 20} MiB of memory: a mon or an OSD needs {SMALLEST_MEMORY >> 20}"]
    return []


def leftovers(fsid: str) -> list[str]:
    """What of another cluster is here, each with what to do."""
    found = []
    try:
        other = parse(files.CONF.read_text("utf-8")).get("fsid", "")
    except OSError:
        other = ""
    if other and other != fsid:
        found.append(
            f"{files.CONF} is of cluster {other}, not {fsid}: if it is given up, remove {files.ETC} and {files.LIB}"
        )
    osds = sorted((files.LIB / "osd").glob("*/ceph_fsid")) if (files.LIB / "osd").is_dir() else []
    for path in osds:
        was = path.read_text("ascii", "replace").strip()
        if was and was != fsid:
            found.append(
                f"{path.parent} is an OSD of cluster {was}, not {fsid}: stop it and remove it, or use its cluster"
            )
    return found


def raise_limits() -> str:
    """Returns what to add to the message."""
    try:
        now = int(AIO_PATH.read_text())
        if now >= AIO_MAX:
            return ""
        files.write(
            SYSCTL, f"# Written by rackseed: OSDs use up the default at 33.\nfs.aio-max-nr = {AIO_MAX}\n", mode=0o644
        )
        run(["sysctl", "-q", "-p", str(SYSCTL)])
    except (OSError, ValueError) as error:
        raise CephError(f"fs.aio-max-nr can't be raised to {AIO_MAX}: {error}; set it in /etc/sysctl.d") from error
    return f"; fs.aio-max-nr raised from {now} to {AIO_MAX}"
