"""The archive writer against cpio(1), the program whose format it is."""

from __future__ import annotations

import io
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from agent import wire
from images.cpio import Node, cpio_archive, tree_nodes, write_newc
from images.site import SITE_PATH, site_cpio

needs_cpio = pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")


def cpio(*arguments: str, archive: bytes, folder: Path | None = None) -> str:
    argv = ["cpio", "--quiet", *arguments]
    return subprocess.run(argv, input=archive, cwd=folder, capture_output=True, check=True).stdout.decode()


@needs_cpio
def test_cpio_lists_what_was_written() -> None:
    files = {"/etc/rackseed/a.json": (0o600, b"{}"), "/init": (0o755, b"#!/bin/sh\n"), "/empty": (0o644, b"")}
    listed = cpio("-itv", archive=cpio_archive(files)).splitlines()
    rows = [(line.split()[0], line.split()[2:4], line.split()[4], line.split()[-1]) for line in listed]
    root = ["root", "root"]
    assert rows == [
        ("-rw-r--r--", root, "0", "empty"),
        ("drwxr-xr-x", root, "0", "etc"),
        ("drwxr-xr-x", root, "0", "etc/rackseed"),
        ("-rw-------", root, "2", "etc/rackseed/a.json"),
        ("-rwxr-xr-x", root, "10", "init"),
    ]


@needs_cpio
def test_cpio_extracts_a_tree_as_it_was(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "usr/bin").mkdir(parents=True)
    target.mkdir()
    (source / "usr/bin/tool").write_bytes(bytes(range(256)) * 5)
    (source / "usr/bin/tool").chmod(0o4711)
    (source / "data").write_bytes(b"x" * 4097)
    (source / "bin").symlink_to("usr/bin")
    out = io.BytesIO()
    length = write_newc(out, tree_nodes(source))
    assert length == len(out.getvalue()) and length % 512 == 0
    cpio("-id", archive=out.getvalue(), folder=target)
    assert (target / "bin").readlink() == Path("usr/bin")
    assert (target / "bin/tool").read_bytes() == (source / "usr/bin/tool").read_bytes()
    assert (target / "data").read_bytes() == b"x" * 4097
    assert stat.S_IMODE((target / "usr/bin/tool").stat().st_mode) == 0o755, "set-id bits are dropped"


def test_equal_input_gives_equal_bytes() -> None:
    first = cpio_archive({"/b": (0o644, b"2"), "/a": (0o644, b"1")})
    assert first == cpio_archive({"/a": (0o644, b"1"), "/b": (0o644, b"2")})
    assert first != cpio_archive({"/a": (0o600, b"1"), "/b": (0o644, b"2")})


@pytest.mark.parametrize("name", ["", "/a", "a\0b"])
def test_refuses_names(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        write_newc(io.BytesIO(), [Node(name=name, mode=stat.S_IFREG | 0o644)])


@needs_cpio
def test_site_archive_carries_the_bundle(tmp_path: Path) -> None:
    bundle = wire.SiteBundle(
        enrol_url="https://192.0.2.1:8443", agent_url="https://192.0.2.1:8444", public_url="http://192.0.2.1", ca="PEM"
    )
    cpio("-id", archive=site_cpio(bundle), folder=tmp_path)
    assert wire.decode(wire.SiteBundle, (tmp_path / SITE_PATH.lstrip("/")).read_bytes()) == bundle
