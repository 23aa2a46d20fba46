"""Streaming and unpacking the root image from a server that corrupts, breaks off and disappears."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.act.image import Download, unpack
from agent.errors import ImageError
from agent.patience import Patience
from agent.wire import ImageRef

CHUNK = 1000


class Server:
    """Serves one blob; ``spoil`` may change each answer: (offset, rest of the file) → bytes that are really sent."""

    def __init__(self, *, ranges: bool = True) -> None:
        self.requests: list[int] = []
        self.spoil: Callable[[int, bytes], bytes] = lambda _offset, data: data
        self.ranges = ranges
        self.status = 0

    def __call__(self, handler: Any, blob: bytes) -> None:
        wanted = handler.headers.get("Range", "bytes=0-")
        offset = int(wanted.removeprefix("bytes=").rstrip("-")) if self.ranges else 0
        self.requests.append(offset)
        if self.status:
            handler.send_response(self.status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        data = blob[offset:]
        handler.send_response(206 if self.ranges else 200)
        if self.ranges:
            handler.send_header("Content-Range", f"bytes {offset}-{len(blob) - 1}/{len(blob)}")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(self.spoil(offset, data))


def reference(appliance: Any, blob: bytes, server: Server) -> ImageRef:
    appliance.blobs["root.tar.zst"] = blob
    appliance.serve_blob = server
    return ImageRef(
        name="root.tar.zst",
        url=f"{appliance.public_url}/artefacts/x/root.tar.zst",
        size=len(blob),
        sha256=hashlib.sha256(blob).hexdigest(),
        chunk_size=CHUNK,
        chunks=tuple(hashlib.sha256(blob[at : at + CHUNK]).hexdigest() for at in range(0, len(blob), CHUNK)),
        unpacked=1,
    )


def download(image: ImageRef, told: list[int] | None = None) -> Download:
    return Download(image=image, patience=Patience(scale=0.001), progress=(told if told is not None else []).append)


BLOB = bytes(range(256)) * 18 + b"end"  # 4611 bytes: five chunks, the last one short


def test_all_chunks_in_one_request(appliance: Any) -> None:
    server, told = Server(), list[int]()
    assert b"".join(download(reference(appliance, BLOB, server), told).chunks()) == BLOB
    assert server.requests == [0]
    assert told == [1000, 2000, 3000, 4000, len(BLOB)]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_answer_is_resumed_at_the_chunk(appliance: Any, ranges: bool) -> None:
    server = Server(ranges=ranges)
    lengths = iter([1500, 700, 10_000, 10_000, 10_000])
    server.spoil = lambda _offset, data: data[: next(lengths)] if ranges else data[: 1500 * len(server.requests)]
    assert b"".join(download(reference(appliance, BLOB, server)).chunks()) == BLOB
    assert server.requests == ([0, 1000, 1000] if ranges else [0, 0, 0, 0])


def test_corruption_on_the_way_is_fetched_again_and_never_passed_on(appliance: Any) -> None:
    server = Server()
    server.spoil = lambda _o, data: data[:2100] + b"?" + data[2101:] if len(server.requests) == 1 else data
    assert list(download(reference(appliance, BLOB, server)).chunks()) == [
        BLOB[at : at + CHUNK] for at in range(0, len(BLOB), CHUNK)
    ]
    assert server.requests == [0, 2000]


def test_lasting_corruption_names_the_chunk(appliance: Any) -> None:
    server = Server()
    image = reference(appliance, BLOB, server)
    changed = bytearray(BLOB)
    changed[3500] ^= 1
    appliance.blobs["root.tar.zst"] = bytes(changed)
    passed: list[bytes] = []
    with pytest.raises(ImageError, match=r"chunk 4 of 5 of root.tar.zst is corrupt, 3 times"):
        passed.extend(download(image).chunks())
    stream = download(image).chunks()
    assert [next(stream) for _ in range(3)] == [BLOB[at : at + CHUNK] for at in (0, 1000, 2000)]


def test_whole_hash_is_checked(appliance: Any) -> None:
    image = replace(reference(appliance, BLOB, Server()), sha256="0" * 64)
    with pytest.raises(ImageError, match="not the image of the order"):
        list(download(image).chunks())


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_image_is_not_waited_for(appliance: Any, status: int) -> None:
    server = Server()
    server.status = status
    with pytest.raises(ImageError, match=str(status)):
        list(download(reference(appliance, BLOB, server)).chunks())
    assert len(server.requests) == 1


def test_another_size_is_refused(appliance: Any) -> None:
    image = reference(appliance, BLOB, Server())
    appliance.blobs["root.tar.zst"] = BLOB + b"x"
    with pytest.raises(ImageError, match="asked for bytes"):
        list(download(image).chunks())


def test_unavailable_server_is_given_up_at_last(appliance: Any) -> None:
    server = Server()
    server.status = 503
    with pytest.raises(ImageError, match=r"chunk 1 of 5 of root\.tar\.zst could not be fetched"):
        list(download(reference(appliance, BLOB, server)).chunks())
    assert len(server.requests) == 60


@pytest.mark.parametrize("change", [{"chunks": ()}, {"chunk_size": 0}, {"size": 999}])
def test_chunks_that_do_not_add_up(appliance: Any, change: dict[str, Any]) -> None:
    image = replace(reference(appliance, BLOB, Server()), **change)
    with pytest.raises(ImageError, match="do not add up"):
        list(download(image).chunks())


def archive(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data in files.items():
            item = tarfile.TarInfo(name)
            item.size, item.mode = len(data), 0o640
            tar.addfile(item, io.BytesIO(data))
    return raw.getvalue()


def compressed(data: bytes) -> bytes:
    if shutil.which("zstd") is None or shutil.which("tar") is None:
        pytest.skip("needs zstd and tar")
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


def test_unpack(appliance: Any, tmp_path: Path) -> None:
    blob = compressed(archive({"./etc/hostname": b"n1\n", "./big": bytes(50_000)}))
    unpack(download(reference(appliance, blob, Server())), tmp_path)
    assert (tmp_path / "etc/hostname").read_bytes() == b"n1\n"
    assert (tmp_path / "big").stat().st_size == 50_000
    assert (tmp_path / "big").stat().st_mode & 0o777 == 0o640


def test_too_big_for_the_partition_is_said_before(appliance: Any, tmp_path: Path) -> None:
    server = Server()
    image = replace(reference(appliance, BLOB, server), unpacked=2**62)
    with pytest.raises(ImageError, match="needs 4611686018427387904"):
        unpack(download(image), tmp_path)
    assert server.requests == []


def test_rubbish_with_right_hashes_names_the_tool(appliance: Any, tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("needs zstd")
    with pytest.raises(ImageError, match=r"unpacking root\.tar\.zst failed: `tar"):
        unpack(download(reference(appliance, BLOB, Server())), tmp_path)


def test_full_disk_is_named(appliance: Any, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], check=False).returncode != 0:
        pytest.skip("needs root to mount a small tmpfs")
    try:
        blob = compressed(archive({"./big": bytes(1_000_000)}))
        with pytest.raises(ImageError, match="the root partition is full"):
            unpack(download(reference(appliance, blob, Server())), mount)
    finally:
        subprocess.run(["umount", mount], check=True)
