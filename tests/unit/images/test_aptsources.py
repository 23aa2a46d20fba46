"""The host's sources, in both formats, as real hosts have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.aptroot import host_mirrors
from images.aptsources import Mirrors, Source, choose_mirrors, parse_config_dump, parse_deb822, parse_one_line
from images.errors import MirrorError

BOOKWORM_LIST = """\
# See sources.list(5)
deb http://mirror.example/debian bookworm main contrib # the usual
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] https://apt.example/stuff bookworm main

deb\thttp://mirror.example/debian-security\tbookworm-security main
deb cdrom:[Debian 12]/ bookworm main
"""
TRIXIE_SOURCES = """\
Types: deb deb-src
URIs: https://mirror.example/debian/
Suites: trixie trixie-updates
Components: main
 non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

# security
Types: deb
URIs: https://security.example/debian-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Enabled: no
Types: deb
URIs: https://off.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: https://source.example/debian
Suites: trixie
Components: main
"""


def test_one_line_format() -> None:
    sources = parse_one_line(BOOKWORM_LIST)
    assert [source.uri for source in sources][:3] == [
        "http://mirror.example/debian",
        "https://apt.example/stuff",
        "http://mirror.example/debian-security",
    ]
    assert sources[0] == Source(
        uri="http://mirror.example/debian", suites=("bookworm",), components=("main", "contrib")
    )
    assert sources[1].signed_by == "/usr/share/keyrings/x.gpg"


def test_deb822_format() -> None:
    sources = parse_deb822(TRIXIE_SOURCES)
    assert [source.uri for source in sources] == [
        "https://mirror.example/debian/",
        "https://security.example/debian-security",
    ]
    assert sources[0].components == ("main", "non-free-firmware")
    assert sources[0].suites == ("trixie", "trixie-updates")


def test_chooses_debian_among_strangers() -> None:
    stranger = Source(uri="https://apt.example/stuff", suites=("bookworm",), components=("main",), signed_by="/x.gpg")
    found = choose_mirrors([stranger, *parse_one_line(BOOKWORM_LIST)], "bookworm")
    assert found == Mirrors(main="http://mirror.example/debian", security="http://mirror.example/debian-security")


def test_strangers_alone_are_no_mirror() -> None:
    nodes = Source(uri="https://deb.example/node", suites=("nodistro",), components=("main",))
    docker = Source(uri="https://docker.example/debian", suites=("bookworm",), components=("stable",))
    assert choose_mirrors([nodes, docker], "bookworm") is None


def host(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in {"os-release": 'ID=debian\nVERSION_CODENAME="trixie"\n', **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_reads_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RACKSEED_MIRROR", raising=False)
    etc = host(tmp_path, {"apt/sources.list": "", "apt/sources.list.d/debian.sources": TRIXIE_SOURCES})
    assert host_mirrors(etc).main == "https://mirror.example/debian/"


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACKSEED_MIRROR", "http://own.example/debian/")
    mirrors = host_mirrors(tmp_path)
    assert mirrors == Mirrors(main="http://own.example/debian", security="http://own.example/debian-security")


def test_a_host_without_debian_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RACKSEED_MIRROR", raising=False)
    with pytest.raises(MirrorError, match="set RACKSEED_MIRROR"):
        host_mirrors(host(tmp_path, {"apt/sources.list": "deb http://x.example/ubuntu noble main\n"}))


def test_how_the_host_reaches_its_mirror_is_inherited() -> None:
    dump = """\
APT::Architecture "amd64";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CAInfo "/etc/ssl/own.pem";
Acquire::Check-Date "false";
Acquire::Retries "3";
Acquire::IndexTargets::deb::Packages::MetaKey "x";
Acquire::GzipIndexes "true";
Acquire::AllowInsecureRepositories "1";
Dir::State "var/lib/apt";
"""
    assert parse_config_dump(dump) == (
        ("Acquire::http::Proxy", "http://proxy.example:3128"),
        ("Acquire::https::CAInfo", "/etc/ssl/own.pem"),
        ("Acquire::Check-Date", "false"),
        ("Acquire::Retries", "3"),
    )
