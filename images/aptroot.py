"""A private apt: packages of Debian 13 on any Debian, through the host's mirror, without touching the host's own apt.

Everything lives in the cache: configuration, package lists, a status file that says "nothing is installed", downloads.
What is inherited is how the host reaches its mirror: the sources' addresses, proxies, certificates, credentials. The
mirror can be set by ``RACKSEED_MIRROR``. Signatures are checked with the Debian archive keyring.
"""

from __future__ import annotations

import email.utils
import logging
import os
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from images.aptsources import Mirrors, choose_mirrors, parse_config_dump, parse_deb822, parse_one_line
from images.cache import Cache, file_sha256
from images.errors import MirrorError, ToolError
from images.progress import Progress, silent
from images.run import run

SUITE = "trixie"
COMPONENTS = ("main", "non-free-firmware")
KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
LISTS_FRESH = 6 * 3600.0
APT_HELPER = "/usr/lib/apt/apt-helper"
BATCH = 12
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """One version of one package. ``record`` is its stanza of the Packages index, which mmdebstrap is given again."""

    name: str
    version: str
    architecture: str
    url: str
    size: int
    sha256: str
    record: str

    @property
    def file_name(self) -> str:
        """Unique and without characters that a URL would quote."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def host_mirrors(etc: Path = Path("/etc")) -> Mirrors:
    """``RACKSEED_MIRROR``, or the archives in the host's sources. Raises `MirrorError` when there is neither."""
    named = os.environ.get("RACKSEED_MIRROR")
    if named:
        return Mirrors(main=named.rstrip("/"), security=f"{named.rstrip('/')}-security")
    apt = etc / "apt"
    sources = [*parse_one_line(_text(apt / "sources.list"))]
    for path in sorted((apt / "sources.list.d").glob("*")):
        if path.suffix == ".list":
            sources += parse_one_line(_text(path))
        elif path.suffix == ".sources":
            sources += parse_deb822(_text(path))
    release = dict(line.split("=", 1) for line in _text(etc / "os-release").splitlines() if "=" in line)
    mirrors = choose_mirrors(sources, release.get("VERSION_CODENAME", "").strip('"'))
    if mirrors is None:
        raise MirrorError(f"no Debian mirror in {apt}: set RACKSEED_MIRROR to one that has {SUITE}")
    return mirrors


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class AptRoot:
    """The private apt of one cache and architecture."""

    def __init__(self, cache: Cache, architecture: str = "amd64", mirrors: Mirrors | None = None) -> None:
        self.cache = cache
        self.architecture = architecture
        self.mirrors = mirrors or host_mirrors()
        self.path = cache.path / "apt" / f"{SUITE}-{architecture}"
        self.config = self.path / "apt.conf"

    def update(self, progress: Progress = silent) -> None:
        """Fetch the package lists when they are older than some hours. Raises `MirrorError`."""
        stamp = self.path / "updated"
        with self.cache.lock(f"apt-{self.architecture}"):
            self._configure()
            fresh = stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_FRESH
            if fresh and _text(stamp) == str(self.mirrors):
                return
            progress("package lists", 0.0)
            self._write_sources()
            try:
                self._apt("apt-get", "update", "-qq", "--error-on=any")
            except ToolError as error:
                raise MirrorError(f"{self.mirrors.main} could not be read: {error}") from error
            stamp.write_text(str(self.mirrors), encoding="utf-8")
            progress("package lists", 1.0)

    def released(self) -> int:
        """The youngest date of the archive's Release files: seconds since the epoch, a lower bound of the true time."""
        dates = [0.0]
        for path in sorted((self.path / "var/lib/apt/lists").glob("*Release")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("Date:"):
                    dates.append(email.utils.parsedate_to_datetime(line[5:].strip()).timestamp())
                    break
        return int(max(dates))

    def resolve(self, names: Sequence[str], *, dependencies: bool = True) -> tuple[Deb, ...]:
        """The packages, with everything they depend on (never what they recommend) or alone, sorted by name. Names may be
        apt patterns such as ``?essential``. Raises `MirrorError` when the archive lacks one."""
        try:
            pinned = self._dependencies(names) if dependencies else [f"{name}:{self.architecture}" for name in names]
            shown = self._apt("apt-cache", "show", "--no-all-versions", *pinned)
        except ToolError as error:
            raise MirrorError(f"{self.mirrors.main} lacks a package of {SUITE}: {error}") from error
        debs = {deb.name: deb for deb in self._read_records(shown)}
        missing = [name for name in names if not dependencies and name not in debs]
        if missing:
            raise MirrorError(f"{self.mirrors.main} lacks {', '.join(missing)} in {SUITE}")
        return tuple(debs[name] for name in sorted(debs))

    def _dependencies(self, names: Sequence[str]) -> list[str]:
        planned = self._apt("apt-get", "install", "--print-uris", "-qq", "-y", "--no-install-recommends", *names)
        pinned = []
        for line in planned.splitlines():
            words = line.split()
            if len(words) >= 3 and words[0].startswith("'"):
                name, version, architecture = urllib.parse.unquote(words[1]).removesuffix(".deb").split("_")
                own = self.architecture if architecture == "all" else architecture
                pinned.append(f"{name}:{own}={version}")
        return pinned

    def _read_records(self, shown: str) -> Iterable[Deb]:
        for stanza in shown.strip().split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in stanza.splitlines() if line[:1] not in {" ", ""} and ": " in line
            )
            security = fields["Filename"].startswith("pool/updates/") and self.mirrors.security
            base = self.mirrors.security if security else self.mirrors.main
            yield Deb(
                name=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                url=f"{base.rstrip('/')}/{fields['Filename']}",
                size=int(fields["Size"]),
                sha256=fields["SHA256"],
                record=stanza.strip(),
            )

    def download(self, debs: Sequence[Deb], progress: Progress = silent) -> tuple[Path, ...]:
        """Fetch what is not in the cache yet; the path of each, in order. Raises `MirrorError`."""
        folder = self.cache.path / "debs"
        folder.mkdir(parents=True, exist_ok=True)
        with self.cache.lock("debs"):
            missing = [deb for deb in debs if not _is_fetched(folder, deb)]
            total = sum(deb.size for deb in missing) or 1
            done = 0
            for start in range(0, len(missing), BATCH):
                batch = missing[start : start + BATCH]
                progress("download packages", done / total)
                self._fetch(batch, folder)
                done += sum(deb.size for deb in batch)
            progress("download packages", 1.0)
        return tuple(folder / deb.file_name for deb in debs)

    def _fetch(self, batch: Sequence[Deb], folder: Path) -> None:
        with self.cache.scratch() as scratch:
            words: list[str] = []
            for deb in batch:
                words += [deb.url, str(scratch / deb.file_name), f"SHA256:{deb.sha256}"]
            self._configure()
            try:
                self._apt(APT_HELPER, "download-file", *words)
            except ToolError as error:
                raise MirrorError(f"a package could not be fetched: {error}") from error
            for deb in batch:
                path = scratch / deb.file_name
                if file_sha256(path) != deb.sha256:
                    raise MirrorError(f"{deb.url} is not what the signed index says; try another mirror")
                path.replace(folder / deb.file_name)

    def _apt(self, *argv: str) -> str:
        return run(argv, env={"APT_CONFIG": str(self.config), "DEBIAN_FRONTEND": "noninteractive"}).stdout

    def _configure(self) -> None:
        """Write the configuration anew, so that a changed proxy of the host is followed."""
        for name in ("etc/apt/empty", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        (self.path / "var/lib/dpkg/status").touch()
        rows = [
            ("Dir", f"{self.path}/"),
            ("Dir::State::status", f"{self.path}/var/lib/dpkg/status"),
            ("Dir::Etc::parts", "empty"),
            ("Dir::Etc::main", "none"),
            ("Dir::Etc::sourcelist", "none"),
            ("Dir::Etc::sourceparts", "sources.list.d"),
            ("Dir::Etc::preferencesparts", "empty"),
            ("Dir::Etc::trustedparts", "empty"),
            ("Dir::Etc::netrc", "/etc/apt/auth.conf"),
            ("Dir::Etc::netrcparts", "/etc/apt/auth.conf.d"),
            ("APT::Architecture", self.architecture),
            ("APT::Architectures", self.architecture),
            ("APT::Sandbox::User", "root"),
            ("APT::Get::AllowUnauthenticated", "false"),
            ("Acquire::Languages", "none"),
            ("Dir::Bin::dpkg", "/usr/bin/dpkg"),
        ]
        inherited = parse_config_dump(run(["apt-config", "dump"]).stdout)
        lines = [f'{name} "{value}";' for name, value in [*rows, *inherited]]
        temporary = self.path / f"apt.conf.{os.getpid()}"
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        temporary.replace(self.config)

    def _sources_path(self) -> Path:
        return self.path / "etc/apt/sources.list.d" / "private.sources"

    def _write_sources(self) -> None:
        """One stanza for each archive; suites that a mirror does not have (an air-gapped one, often) are left out."""
        wanted = [(self.mirrors.main, SUITE), (self.mirrors.main, f"{SUITE}-updates")]
        if self.mirrors.security:
            wanted.append((self.mirrors.security, f"{SUITE}-security"))
        stanzas = []
        for uri, suite in wanted:
            offered = self._components(uri, suite)
            if suite != SUITE and not offered:
                log.info("mirror=%s step=skip-suite why=it does not have %s", uri, suite)
                continue
            fields = (
                ("Types", "deb"),
                ("URIs", uri),
                ("Suites", suite),
                ("Components", " ".join(name for name in COMPONENTS if not offered or name in offered)),
                ("Signed-By", str(_keyring())),
            )
            stanzas.append("".join(f"{name}: {value}\n" for name, value in fields))
        path = self._sources_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(stanzas), encoding="utf-8")

    def _components(self, uri: str, suite: str) -> tuple[str, ...]:
        """What a mirror says it has of a suite; empty when it does not have the suite (or says nothing)."""
        with self.cache.scratch() as scratch:
            path = scratch / "InRelease"
            try:
                self._apt(APT_HELPER, "download-file", f"{uri.rstrip('/')}/dists/{suite}/InRelease", str(path))
            except ToolError:
                return ()
            for line in _text(path).splitlines():
                if line.startswith("Components:"):
                    return tuple(word.removeprefix("updates/") for word in line.split()[1:])
        return ("main",)


def _keyring() -> Path:
    for path in KEYRINGS:
        if path.exists():
            return path
    raise MirrorError("the Debian archive keyring is missing: install the package debian-archive-keyring")


def _is_fetched(folder: Path, deb: Deb) -> bool:
    path = folder / deb.file_name
    return path.exists() and path.stat().st_size == deb.size and file_sha256(path) == deb.sha256


def unpack(debs: Iterable[Path], tree: Path, progress: Progress = silent) -> None:
    """Unpack packages into a folder, without running their scripts."""
    paths = list(debs)
    tree.mkdir(parents=True, exist_ok=True)
    for index, path in enumerate(paths):
        progress("unpack packages", index / len(paths))
        run(["dpkg-deb", "--extract", path, tree])
    progress("unpack packages", 1.0)
