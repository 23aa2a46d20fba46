"""Files of one installed system, as text. Pure: data in, `wire.FileSpec` out.

Every value is checked before it gets near a template: a line break in a host name or a quote in a kernel argument must
not become a line of a file that root reads. Templates are in ``os/<name>/files``, else in those of the system that it is
based on, and fail on anything undefined.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any, Protocol

import jinja2

from agent.wire import FileSpec, PartitionSpec
from images.errors import RecipeError, RenderError
from images.recipe import os_recipe

PUBLIC, SECRET = 0o644, 0o600
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_NIC_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9._-]{0,14}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9A-F]{4}-[0-9A-F]{4}")
_ARGUMENT = re.compile(r"[A-Za-z0-9_.,:;=/@%+~!*?\[\]^-]+")
_CONSOLE = re.compile(r"(?P<device>tty[A-Za-z]*)(?P<unit>[0-9]+)(,(?P<speed>[0-9]{3,7})[neo]?[5-8]?r?)?")
_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]{16,}={0,3}( [\x20-\x7e]*)?"
)


class Nic(Protocol):
    """One port; see ``appliance.model.plan.NicConfig``."""

    @property
    def mac(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def gateway(self) -> str: ...
    @property
    def dns(self) -> tuple[str, ...]: ...


class Host(Protocol):
    """One machine; see ``appliance.model.plan.HostConfig``."""

    @property
    def hostname(self) -> str: ...
    @property
    def domain(self) -> str: ...
    @property
    def nics(self) -> Sequence[Nic]: ...
    @property
    def ssh_keys(self) -> tuple[str, ...]: ...
    @property
    def time_servers(self) -> tuple[str, ...]: ...
    @property
    def console(self) -> str: ...
    @property
    def kernel_arguments(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of fstab. ``order`` is fsck's: 1 for the root, 2 for others."""

    uuid: str
    place: str
    filesystem: str
    options: str
    order: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """A serial line as GRUB numbers it."""

    unit: int
    speed: int


def render(os_name: str, host: Host, partitions: Sequence[PartitionSpec]) -> tuple[FileSpec, ...]:
    """The files of ``host``, sorted by path. Raises `RenderError` naming the first value that can't be used."""
    _check(host)
    template = functools.partial(_render, _environment(os_name))
    names = f"{host.hostname}.{host.domain} {host.hostname}" if host.domain else host.hostname
    addresses = [nic.address.partition("/")[0] for nic in host.nics if nic.address][:1]
    files = [
        _file("/etc/hostname", template("hostname", host=host)),
        _file("/etc/hosts", template("hosts", own_addresses=addresses, names=names)),
        _file("/etc/fstab", template("fstab", mounts=_mounts(partitions))),
        _file("/root/.ssh/authorized_keys", template("authorized_keys", host=host), SECRET),
        _file(
            "/etc/default/grub.d/rackseed.cfg",
            template("grub.cfg", arguments=_arguments(host), serial=_serial(host.console)),
        ),
    ]
    for index, nic in enumerate(host.nics):
        stem = f"/etc/systemd/network/10-rackseed-{nic.name}"
        files.append(_file(f"{stem}.link", template("port.link", nic=nic)))
        files.append(_file(f"{stem}.network", template("port.network", nic=nic, host=host, first=index == 0)))
    if host.time_servers:
        files.append(_file("/etc/systemd/timesyncd.conf.d/rackseed.conf", template("timesyncd.conf", host=host)))
    return tuple(sorted(files, key=lambda file: file.path))


def _file(path: str, content: str, mode: int = PUBLIC) -> FileSpec:
    return FileSpec(path=path, mode=mode, content=content)


@functools.cache
def _environment(os_name: str) -> jinja2.Environment:
    try:
        folders = os_recipe(os_name).find("files")
    except RecipeError as error:
        raise RenderError("os", f"there are no templates for {os_name!r}: {error}") from error
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - configuration files, not HTML; every value is checked above
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _render(environment: jinja2.Environment, name: str, **values: Any) -> str:
    return environment.get_template(f"{name}.j2").render(**values)


def _mounts(partitions: Iterable[PartitionSpec]) -> tuple[Mount, ...]:
    places = {"root": ("/", "errors=remount-ro", 1), "esp": ("/boot/efi", "umask=0077,nofail", 2)}
    found = []
    for index, part in enumerate(partitions):
        if part.role not in places:
            continue
        _match(_UUID, part.uuid, f"partitions[{index}].uuid", "a filesystem UUID")
        if part.filesystem not in {"ext4", "vfat"}:
            raise RenderError(f"partitions[{index}].filesystem", f"{part.filesystem!r} can't be mounted by fstab")
        place, options, order = places[part.role]
        found.append(Mount(uuid=part.uuid, place=place, filesystem=part.filesystem, options=options, order=order))
    if not any(mount.place == "/" for mount in found):
        raise RenderError("partitions", "there is no root partition")
    return tuple(sorted(found, key=lambda mount: mount.order))


def _arguments(host: Host) -> list[str]:
    """A screen first, the serial line last: /dev/console is the last one named."""
    consoles = ["console=tty0", f"console={host.console}"] if host.console else []
    return [*(word for word in consoles if word not in host.kernel_arguments), *host.kernel_arguments]


def _serial(console: str) -> Serial | None:
    match = _CONSOLE.fullmatch(console)
    if match is None or match["device"] != "ttyS":
        return None
    return Serial(unit=int(match["unit"]), speed=int(match["speed"] or 9600))


def _check(host: Host) -> None:
    _match(_LABEL, host.hostname, "hostname", "a host name of lower case letters, digits and hyphens (RFC 1123)")
    for label in host.domain.split(".") if host.domain else []:
        _match(_LABEL, label, "domain", "a domain name in lower case")
    for index, nic in enumerate(host.nics):
        _check_nic(nic, f"nics[{index}]")
    for field, values in (("name", [nic.name for nic in host.nics]), ("mac", [nic.mac for nic in host.nics])):
        if len(set(values)) != len(values):
            raise RenderError("nics", f"two ports have the same {field}")
    for index, key in enumerate(host.ssh_keys):
        _match(_KEY, key, f"ssh_keys[{index}]", "one public key as in a .pub file, without options")
    for index, server in enumerate(host.time_servers):
        if not _is_address(server):
            for label in server.lower().split("."):
                _match(_LABEL, label, f"time_servers[{index}]", "an address or a host name")
    if host.console:
        _match(_CONSOLE, host.console, "console", "a value of the kernel's console=, such as ttyS0,115200n8")
    for index, argument in enumerate(host.kernel_arguments):
        _match(_ARGUMENT, argument, f"kernel_arguments[{index}]", "one kernel argument without spaces and quotes")


def _check_nic(nic: Nic, where: str) -> None:
    _match(_MAC, nic.mac, f"{where}.mac", "a MAC address in lower case with colons")
    _match(_NIC_NAME, nic.name, f"{where}.name", "an interface name of at most 15 letters, digits, '.', '_' and '-'")
    if nic.address:
        try:
            ip_interface(nic.address)
        except ValueError as error:
            raise RenderError(f"{where}.address", f"{nic.address!r} is not an address with prefix length") from error
        if "/" not in nic.address:
            raise RenderError(f"{where}.address", f"{nic.address!r} has no prefix length")
    for index, server in enumerate(nic.dns):
        if not _is_address(server):
            raise RenderError(f"{where}.dns[{index}]", f"{server!r} is not an address")
    if nic.gateway and not (nic.address and _is_address(nic.gateway)):
        raise RenderError(f"{where}.gateway", f"{nic.gateway!r} is not an address, or the port has none itself")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _match(pattern: re.Pattern[str], value: str, where: str, expected: str) -> None:
    if pattern.fullmatch(value) is None:
        raise RenderError(where, f"{value!r} is not {expected}")
