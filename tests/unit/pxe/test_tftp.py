"""TFTP without sockets: requests, options, and the window over a file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxe.tftp import ErrorCode, RefusedRequestError, Terms, Transfer, clean_name, negotiate, oack, parse_request


def rrq(name: bytes, mode: bytes = b"octet", *options: bytes) -> bytes:
    return b"\0\1" + b"\0".join((name, mode, *options)) + b"\0"


def test_a_request_with_options() -> None:
    request = parse_request(rrq(b"/boot\\snponly.efi", b"OcTeT", b"BLKSIZE", b"1468", b"tsize", b"0"))
    assert request.name == "boot/snponly.efi"
    assert request.options == {"blksize": "1468", "tsize": "0"}
    assert parse_request(rrq(b"undionly.kpxe\xff")).name == "undionly.kpxe"


@pytest.mark.parametrize(
    ("data", "code", "counter"),
    [
        (b"", ErrorCode.ILLEGAL, "malformed"),
        (b"\0\1a", ErrorCode.ILLEGAL, "malformed"),
        (b"\0\1name-without-end", ErrorCode.ILLEGAL, "malformed"),
        (b"\0\3\0\1data", ErrorCode.ILLEGAL, "malformed"),
        (b"\0\2f\0octet\0", ErrorCode.ACCESS, "write"),
        (rrq(b"f", b"netascii"), ErrorCode.ILLEGAL, "mode"),
        (rrq(b"f", b"mail"), ErrorCode.ILLEGAL, "mode"),
        (rrq(b"../etc/passwd"), ErrorCode.ACCESS, "traversal"),
        (rrq(b"a/../../b"), ErrorCode.ACCESS, "traversal"),
        (rrq(b"..\\boot.ini"), ErrorCode.ACCESS, "traversal"),
        (rrq(b"/"), ErrorCode.NOT_FOUND, "name"),
        (rrq(b"a\nb"), ErrorCode.NOT_FOUND, "name"),
        (rrq(b"\xfe\xfd"), ErrorCode.NOT_FOUND, "name"),
        (rrq(b"x" * 600), ErrorCode.NOT_FOUND, "name"),
    ],
)
def test_refusals(data: bytes, code: ErrorCode, counter: str) -> None:
    with pytest.raises(RefusedRequestError) as caught:
        parse_request(data)
    assert (caught.value.code, caught.value.counter) == (code, counter)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.binary(max_size=120))
def test_no_name_leaves_the_folder_and_nothing_crashes(data: bytes, name: bytes) -> None:
    for attempt in (lambda: parse_request(data).name, lambda: parse_request(rrq(name)).name, lambda: clean_name(name)):
        try:
            found = attempt()
        except RefusedRequestError:
            continue
        assert not found.startswith("/")
        assert ".." not in found.split("/")
        assert "\\" not in found
        assert found


def test_negotiation() -> None:
    asked = {"tsize": "0", "blksize": "65464", "windowsize": "500", "timeout": "3", "multicast": "", "utimeout": "9"}
    terms = negotiate(asked, size=1000, mtu=1500)
    assert (terms.block, terms.window, terms.timeout) == (1468, 64, 3.0)
    assert terms.accepted == (("tsize", "1000"), ("blksize", "1468"), ("windowsize", "64"), ("timeout", "3"))
    assert oack(terms) == b"\0\6tsize\x001000\0blksize\x001468\0windowsize\x0064\0timeout\x003\0"
    assert negotiate({}, size=1, mtu=1500) == Terms()
    for wrong in (
        {"blksize": "7"},
        {"blksize": "x"},
        {"blksize": "-1"},
        {"windowsize": "0"},
        {"timeout": "0"},
        {"timeout": "256"},
    ):
        assert negotiate(wrong, size=1, mtu=1500) == Terms()
    assert negotiate({"blksize": "65464"}, size=1, mtu=9000).block == 8968, "jumbo frames are used where they are"


def test_lock_step() -> None:
    transfer = Transfer(1024, Terms())
    assert transfer.blocks == 3, "a full last block is followed by an empty one"
    assert list(transfer.upcoming()) == [1]
    transfer.advance(1)
    assert not transfer.acknowledge(0), "a duplicate is ignored: no sorcerer's apprentice"
    assert not transfer.acknowledge(2), "not sent yet"
    assert transfer.acknowledge(1)
    assert list(transfer.upcoming()) == [2]
    transfer.advance(2)
    transfer.rewind()
    assert list(transfer.upcoming()) == [2]
    transfer.advance(2)
    assert transfer.acknowledge(2)
    transfer.advance(3)
    assert not transfer.acknowledge(3)
    assert transfer.done


def test_an_oack_waits_for_ack_0() -> None:
    transfer = Transfer(10, Terms(accepted=(("tsize", "10"),)))
    assert not transfer.acknowledge(1)
    assert transfer.acknowledge(0)
    assert list(transfer.upcoming()) == [1]


def test_a_window_goes_back_to_the_lost_block_once() -> None:
    transfer = Transfer(512 * 100, Terms(window=8))
    assert list(transfer.upcoming()) == list(range(1, 9))
    transfer.advance(8)
    assert transfer.acknowledge(3), "block 4 was lost"
    assert list(transfer.upcoming()) == list(range(4, 12))
    transfer.advance(11)
    assert not transfer.acknowledge(3), "said twice"
    transfer.rewind()
    transfer.advance(11)
    assert transfer.acknowledge(3), "after a timeout it may be said again"
    transfer.advance(11)
    assert transfer.acknowledge(11)
    assert list(transfer.upcoming()) == list(range(12, 20))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    size=st.integers(0, 200_000),
    block=st.sampled_from([8, 512, 1468]),
    window=st.sampled_from([1, 4, 16, 64]),
    losses=st.sets(st.integers(0, 400)),
)
def test_every_block_arrives_in_order_whatever_is_lost(size: int, block: int, window: int, losses: set[int]) -> None:
    """A strict RFC 7440 receiver on a wire that loses some of the datagrams; block numbers roll over at 65535."""
    transfer = Transfer(size, Terms(block=block, window=window))
    expected, sends, idle = 1, 0, 0
    while not transfer.done:
        got, last = 0, 0
        for number in transfer.upcoming():
            transfer.advance(number)
            sends += 1
            if sends in losses:
                continue
            if number == expected:
                expected += 1
            last, got = number, got + 1
        if got and last:
            before = transfer.acked
            transfer.acknowledge((expected - 1) & 0xFFFF)
            idle = 0 if transfer.acked > before else idle + 1
        else:
            idle += 1
        if idle:
            transfer.rewind()
        assert idle < 500, "no progress"
        assert sends < 4 * transfer.blocks + 3000
    assert expected == transfer.blocks + 1


def test_block_numbers_roll_over() -> None:
    transfer = Transfer(8 * 70_000, Terms(block=8))
    for number in range(1, transfer.blocks + 1):
        assert list(transfer.upcoming()) == [number]
        transfer.advance(number)
        assert transfer.acknowledge(number & 0xFFFF) == (number < transfer.blocks)
    assert transfer.done
