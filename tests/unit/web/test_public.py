"""What the plain HTTP listener serves, and what it tells the timeline."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from agent import wire
from appliance.operations import artefacts, events
from appliance.operations.context import SYSTEM, Appliance
from appliance.serve.cached import CachedArtefact, of_root, read, register_all, remember
from images.cache import Cache
from images.root import RootImage, RootManifest
from pxe.ports import EventKind
from tests.unit.operations.lab import Box


@pytest.fixture
def registered(app: Appliance, artefact_file: Path) -> str:
    """The hash of a registered kernel."""
    digest = hashlib.sha256(artefact_file.read_bytes()).hexdigest()
    artefacts.register(
        app, "agent-kernel", "kernel", artefact_file, sha256=digest, size=artefact_file.stat().st_size, actor=SYSTEM
    )
    return digest


def test_a_file_whole_and_in_pieces(public_web: Flask, registered: str, artefact_file: Path) -> None:
    client, path = public_web.test_client(), f"/artefacts/{registered}/kernel"
    content = artefact_file.read_bytes()
    whole = client.get(path, buffered=True)
    assert whole.data == content
    assert whole.headers["ETag"] == f'"{registered}"'
    assert "immutable" in whole.headers["Cache-Control"]
    part = client.get(path, headers={"Range": "bytes=1000-1999"}, buffered=True)
    assert (part.status_code, part.data) == (206, content[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(content)}"
    rest = client.get(path, headers={"Range": "bytes=1048000-", "If-Range": f'"{registered}"'}, buffered=True)
    assert rest.data == content[1048000:]
    assert client.get(path, headers={"Range": f"bytes={len(content)}-"}, buffered=True).status_code == 416
    assert client.get(path, headers={"If-None-Match": f'"{registered}"'}, buffered=True).status_code == 304
    head = client.head(path, buffered=True)
    assert head.headers["Content-Length"] == str(len(content))
    assert head.data == b""


@pytest.mark.parametrize(
    "path",
    [
        "/artefacts/" + "0" * 64 + "/kernel",
        "/artefacts/../../etc/passwd",
        "/loaders/..%2f..%2fetc%2fpasswd",
        "/loaders/x",
    ],
)
def test_nothing_else(public_web: Flask, registered: str, path: str) -> None:
    assert public_web.test_client().get(path).status_code == 404


def test_a_file_that_left_the_cache(public_web: Flask, registered: str, artefact_file: Path) -> None:
    artefact_file.unlink()
    answer = public_web.test_client().get(f"/artefacts/{registered}/kernel")
    assert answer.status_code == 404
    assert "rackseed image" in answer.text


def test_nothing_is_taken(public_web: Flask) -> None:
    for path in ("/autoexec.ipxe", "/loaders/autoexec.ipxe", "/site.cpio", "/healthz"):
        assert public_web.test_client().post(path, data=b"x").status_code == 405


def test_downloads_reach_the_timeline(
    app: Appliance, public_web: Flask, registered: str, box: Callable[..., Box]
) -> None:
    """Once per download: not for HEAD, not for a resumed rest."""
    client, path = public_web.test_client(), f"/artefacts/{registered}/kernel"
    mac = box(1).inventory.boot_mac
    asked = client.get(
        f"/boot/script.ipxe?mac={mac}&platform=efi&arch=x86_64", environ_base={"REMOTE_ADDR": "10.20.0.130"}
    )
    assert asked.text.startswith("#!ipxe")
    for method, headers in (
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Range": "bytes=10-"}),
        ("GET", {"Range": "bytes=0-9"}),
    ):
        client.open(path, method=method, headers=headers, environ_base={"REMOTE_ADDR": "10.20.0.130"}).close()
    public_web.extensions["rackseed-recorder"].flush()
    found = [row for row in events.events_since(app, SYSTEM, 0) if row.kind == EventKind.HTTP_FILE]
    assert len(found) == 2
    assert "kernel" in found[0].text
    assert str(found[0].data.get("address", "10.20.0.130")) == "10.20.0.130"


def test_the_site_archive_says_how_to_reach_us(app: Appliance, public_web: Flask) -> None:
    archive = public_web.test_client().get("/site.cpio").data
    assert archive.startswith(b"070701")
    begin = archive.index(b'{"agent_url"')
    bundle = wire.decode(wire.SiteBundle, archive[begin : archive.index(b"}", begin) + 1])
    assert bundle.enrol_url == "https://10.20.0.1:8443"
    assert bundle.ca == app.authority.ca_pem
    assert b"PRIVATE" not in archive


def test_a_script_needs_a_mac(public_web: Flask) -> None:
    answer = public_web.test_client().get("/boot/script.ipxe?mac=nonsense")
    assert answer.status_code == 422
    assert "MAC" in answer.text


def test_health(public_web: Flask) -> None:
    assert public_web.test_client().get("/healthz").data == b"ok\n"


def test_the_cache_is_remembered_and_registered(app: Appliance, artefact_file: Path) -> None:
    cache = Cache(app.settings.cache)
    digest = hashlib.sha256(artefact_file.read_bytes()).hexdigest()
    size = artefact_file.stat().st_size
    kernel = CachedArtefact(kind="agent-kernel", name="kernel", path=str(artefact_file), sha256=digest, size=size)
    gone = CachedArtefact(kind="loader", name="x.efi", path="/nowhere/x.efi", sha256="1" * 64, size=1)
    remember(cache, [kernel])
    remember(cache, [gone])
    assert read(cache.path) == (kernel,), "a file that is gone is left out"
    missing = register_all(app)
    assert artefacts.current(app, "agent-kernel") is not None
    assert [text.rsplit(" ", 1)[1] for text in missing] == ["boot", "root"]
    for number in range(2):
        manifest = RootManifest(
            name=f"debian-13-{number:012x}.tar.zst",
            size=size,
            sha256=digest,
            chunk_size=4 << 20,
            chunks=(digest,),
            unpacked=size,
            packages=(("base-files", "13.8"),),
            built=number,
        )
        remember(cache, of_root(RootImage(path=artefact_file, manifest=manifest)))
    assert [item.document["built"] for item in read(cache.path) if item.kind == "os-image"] == [1], "the newer replaces"
    (cache.path / "current.json").write_text("{nonsense")
    assert read(cache.path) == ()
