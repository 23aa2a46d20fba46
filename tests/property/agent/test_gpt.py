"""GPT: what is written is read back, for every disk and layout that fits; broken tables are never believed."""

from __future__ import annotations

import itertools
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.act import gpt
from agent.errors import InstallError
from agent.probe.device import Device
from agent.probe.table import gpt_header, read_table
from agent.wire import PartitionSpec

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=30)

MIB = 2**20
guids = st.uuids(version=4).map(str)


@contextmanager
def sparse(size: int, sector: int) -> Iterator[Device]:
    with tempfile.TemporaryFile() as stream:
        stream.truncate(size)
        yield Device.of(stream.fileno(), sector)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[str, tuple[PartitionSpec, ...], int, int]:
    sector = draw(st.sampled_from([512, 4096]))
    count = draw(st.integers(1, 5))
    ids = draw(st.lists(guids, min_size=count + 1, max_size=count + 1, unique=True))
    numbers = draw(st.lists(st.integers(1, 128), min_size=count, max_size=count, unique=True))
    sizes = draw(st.lists(st.integers(1, 40 * MIB), min_size=count, max_size=count))
    if draw(st.booleans()):
        sizes[-1] = 0
    specs = tuple(
        PartitionSpec(
            number=number,
            role=draw(st.sampled_from(["bios-boot", "esp", "root"])),
            size=size,
            guid=guid,
            label=draw(st.sampled_from(["", "root", "ä€𝄞" * 20])),
        )
        for number, size, guid in zip(numbers, sizes, ids[1:], strict=True)
    )
    room = sum(-(-size // MIB) * MIB for size in sizes)
    size = room + draw(st.integers(4, 64)) * MIB + draw(st.integers(0, 255)) * 4096
    return ids[0], specs, size, sector


@REPEATABLE
@given(layouts())
def test_written_tables_are_read_back(case: tuple[str, tuple[PartitionSpec, ...], int, int]) -> None:
    permit, specs, size, sector = case
    layout = gpt.lay_out(permit, specs, size=size, sector=sector)
    with sparse(size, sector) as device:
        gpt.write(device, layout)
        gpt.check(device, layout)
        table = read_table(device)
        assert (table.kind, table.id) == ("gpt", permit)
        assert {(row.number, row.guid) for row in table.rows} == {(spec.number, spec.guid) for spec in specs}
        spans = sorted((row.start, row.start + row.size) for row in table.rows)
        assert all(start % MIB == 0 for start, _ in spans)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
        assert spans[-1][1] <= (layout.last_usable + 1) * sector
        for spec in specs:
            row = next(row for row in table.rows if row.number == spec.number)
            assert row.size >= spec.size
        os.pwrite(device.fd, b"\0" * sector, sector)
        assert read_table(device) == table, "the backup says the same"


@REPEATABLE
@given(layouts(), st.integers(0, 91), st.integers(0, 7))
def test_a_flipped_bit_in_the_header_is_noticed(
    case: tuple[str, tuple[PartitionSpec, ...], int, int], byte: int, bit: int
) -> None:
    permit, specs, size, sector = case
    layout = gpt.lay_out(permit, specs, size=size, sector=sector)
    header = bytearray(gpt.header(layout, backup=False))
    header[byte] ^= 1 << bit
    with sparse(size, sector) as device:
        os.pwrite(device.fd, header, sector)
        assert gpt_header(device, 1) is None or 20 <= byte < 24  # the reserved word is covered by the checksum too
        if 20 <= byte < 24:
            assert gpt_header(device, 1) is None


@REPEATABLE
@given(layouts(), st.integers(0, 12))
def test_every_cut_after_the_first_sector_keeps_the_marker(
    case: tuple[str, tuple[PartitionSpec, ...], int, int], cut: int
) -> None:
    """The power may go after any write: from the first one on, the disk says whose install it is."""
    permit, specs, size, sector = case
    layout = gpt.lay_out(permit, specs, size=size, sector=sector)
    with sparse(size, sector) as device, pytest.MonkeyPatch.context() as patch:
        writes = 0
        pwrite = os.pwrite

        def limited(fd: int, data: bytes, offset: int) -> int:
            nonlocal writes
            if writes > cut:
                raise OSError(5, "power cut")
            writes += 1
            return pwrite(fd, data, offset)

        patch.setattr(os, "pwrite", limited)
        with suppress(OSError):
            gpt.write(device, layout)
        assert read_table(device).id == permit


@REPEATABLE
@given(st.binary(max_size=4096), st.sampled_from([512, 4096]))
def test_rubbish_is_no_table_and_no_crash(rubbish: bytes, sector: int) -> None:
    with sparse(4 * MIB, sector) as device:
        os.pwrite(device.fd, rubbish, 0)
        os.pwrite(device.fd, b"\x55\xaa", 510)
        table = read_table(device)
        assert table.kind in {"", "mbr"}
        assert all(row.start < 2**32 * sector for row in table.rows)


def spec(number: int = 1, **changes: object) -> PartitionSpec:
    facts: dict[str, object] = {"number": number, "role": "root", "size": 0, "guid": str(uuid.uuid4()), **changes}
    return PartitionSpec(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ((spec(size=100 * MIB),), "does not fit"),
        ((spec(1), spec(2)), "does not fit"),
        ((spec(1, size=MIB), spec(1, size=MIB)), "used twice"),
        ((spec(129, size=MIB),), "does not know"),
        ((spec(1, size=-1),), "does not know"),
        ((spec(1, role="swap"),), "unknown role 'swap'"),
        ((spec(1, guid="x"),), "no GUID"),
    ],
)
def test_impossible_layouts(specs: tuple[PartitionSpec, ...], message: str) -> None:
    with pytest.raises(InstallError, match=message):
        gpt.lay_out("6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11", specs, size=64 * MIB, sector=512)
