"""Streaming the root image: nothing that was not verified reaches the decompressor."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ImageError, RefusedError, TransportError, UnavailableError
from agent.http import Http
from agent.patience import Patience
from agent.run import CommandError, Pipeline
from agent.wire import ImageRef

ATTEMPTS_PER_CHUNK = 60
"""With pauses of up to 30 s: about half an hour of an absent appliance."""

CORRUPTIONS_PER_CHUNK = 3
READ_SIZE = 2**18
OK, PARTIAL = 200, 206

UNPACK = (
    "tar",
    "--extract",
    "--file=-",
    "--numeric-owner",
    "--same-owner",
    "--preserve-permissions",
    "--xattrs",
    "--xattrs-include=*",
)


@dataclass(slots=True, kw_only=True)
class Download:
    """One image. ``progress`` is told the bytes that were verified so far."""

    image: ImageRef
    patience: Patience
    progress: Callable[[int], None]
    timeout: float = 30.0

    def chunks(self) -> Iterator[bytes]:
        """Verified chunks in order; the whole file's hash is checked after the last one. Raises `ImageError`."""
        self._check_reference()
        whole, index, attempts, corrupt = hashlib.sha256(), 0, 0, 0
        while index < len(self.image.chunks):
            try:
                for data in self._stream(index):
                    if hashlib.sha256(data).hexdigest() != self.image.chunks[index]:
                        corrupt += 1
                        if corrupt >= CORRUPTIONS_PER_CHUNK:
                            raise ImageError(f"{self._chunk(index)} is corrupt, {corrupt} times in a row")
                        break
                    whole.update(data)
                    yield data
                    index, attempts, corrupt = index + 1, 0, 0
                    self.progress(min(index * self.image.chunk_size, self.image.size))
            except RefusedError as error:
                raise ImageError(f"the appliance does not give {self.image.url}: {error}") from error
            except TransportError as error:
                attempts += 1
                if attempts >= ATTEMPTS_PER_CHUNK:
                    raise ImageError(f"{self._chunk(index)} could not be fetched: {error}") from error
                self.patience.back_off()
            else:
                self.patience.reset()
        if whole.hexdigest() != self.image.sha256:
            raise ImageError(f"{self.image.name} is not the image of the order: its SHA-256 is {whole.hexdigest()}")

    def _check_reference(self) -> None:
        image = self.image
        if image.chunk_size <= 0 or len(image.chunks) != -(-image.size // image.chunk_size) or not image.chunks:
            raise ImageError(f"the order's chunks do not add up to the {image.size} bytes of {image.name}")

    def _chunk(self, index: int) -> str:
        return f"chunk {index + 1} of {len(self.image.chunks)} of {self.image.name}"

    def _stream(self, index: int) -> Iterator[bytes]:
        """Chunks from ``index`` on, in one request, until it ends or breaks. Raises `TransportError`."""
        image, offset = self.image, index * self.image.chunk_size
        parts = urllib.parse.urlsplit(image.url)
        server = Http(base_url=f"{parts.scheme}://{parts.netloc}", timeout=self.timeout)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Range": f"bytes={offset}-", "Accept-Encoding": "identity", "Connection": "close"}
        with server.open("GET", path, None, headers) as response:
            self._begin(response, offset)
            for number in range(index, len(image.chunks)):
                yield _exactly(response, min(image.chunk_size, image.size - number * image.chunk_size))

    def _begin(self, response: http.client.HTTPResponse, offset: int) -> None:
        """Accepts 206 at our offset, or 200 (skipping what we have)."""
        status = response.status
        if status == PARTIAL:
            unit = response.headers.get("Content-Range", "")
            if not unit.startswith(f"bytes {offset}-") or not unit.endswith(f"/{self.image.size}"):
                raise RefusedError(status, f"asked for bytes {offset}- of {self.image.size}, got {unit or 'no range'}")
        elif status == OK:
            length = response.headers.get("Content-Length")
            if length is not None and int(length) != self.image.size:
                raise RefusedError(status, f"the file has {length} bytes, the order says {self.image.size}")
            left = offset
            while left:
                left -= len(_exactly(response, min(left, READ_SIZE)))
        elif 400 <= status < 500:
            raise RefusedError(status, http.client.responses.get(status, "no reason given"))
        else:
            raise UnavailableError(f"answered {status}")


def _exactly(response: http.client.HTTPResponse, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = response.read(min(READ_SIZE, size - len(data)))
        if not part:
            raise UnavailableError(f"the answer ended {size - len(data)} bytes early")
        data += part
    return bytes(data)


def unpack(download: Download, target: Path) -> None:
    """Stream the image into an empty, mounted file system. Raises `ImageError`; what is in ``target`` then is rubbish."""
    space = os.statvfs(target)
    free = space.f_bavail * space.f_frsize
    if download.image.unpacked > free:
        raise ImageError(f"the root partition has {free} bytes, {download.image.name} needs {download.image.unpacked}")
    try:
        with Pipeline(("zstd", "--decompress", "--stdout"), (*UNPACK, f"--directory={target}")) as pipeline:
            for data in download.chunks():
                pipeline.feed(data)
            pipeline.close()
    except CommandError as error:
        if _full(target, str(error)):
            raise ImageError(
                f"the root partition is full before {download.image.name} is unpacked: enlarge it"
            ) from error
        raise ImageError(f"unpacking {download.image.name} failed: {error}") from error


def _full(target: Path, said: str) -> bool:
    """tar says "Wrote only 4608 of 10240 bytes" for the write that filled the disk, without the word."""
    space = os.statvfs(target)
    return "No space left on device" in said or "Wrote only" in said or space.f_bavail == 0 or space.f_favail == 0
