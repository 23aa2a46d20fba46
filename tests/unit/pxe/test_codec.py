"""The DHCP codec on packets made by hand: the shapes that the RFCs name, and every way to break one."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from pxe.codec import (
    COOKIE,
    Code,
    Fault,
    MalformedPacketError,
    MessageType,
    Packet,
    PacketTooLargeError,
    decode,
    decode_suboptions,
    encode,
    encode_suboptions,
    size_limit,
)

MAC = bytes.fromhex("525400000001")


def packet(**options: bytes) -> Packet:
    numbered = {int(name[1:]): value for name, value in options.items()}
    return Packet(op=1, xid=7, hardware=MAC, options={Code.MESSAGE_TYPE: b"\x01", **numbered})


def raw(options: bytes, *, op: int = 1, hlen: int = 6, file: bytes = b"", sname: bytes = b"") -> bytes:
    head = bytes((op, 1, hlen, 0)) + b"\0\0\0\x07" + b"\0" * 4 + b"\0" * 16 + MAC.ljust(16, b"\0")
    return head + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + COOKIE + options


def test_a_short_reply_is_padded_to_300_bytes() -> None:
    data = encode(packet())
    assert len(data) == 300
    assert data[240:244] == b"\x35\x01\x01\xff"
    assert decode(data) == packet()


def test_message_type_comes_first_and_relay_agent_last() -> None:
    data = encode(Packet(op=2, xid=1, options={82: b"\x01\x01a", 53: b"\x02", 54: b"\x0a\0\0\1"}))
    assert data[240] == 53
    assert data[-1:] == b"\0" or data.rstrip(b"\0").endswith(b"\x52\x03\x01\x01a\xff")
    assert data.rstrip(b"\0").endswith(b"\x52\x03\x01\x01a\xff")


def test_a_long_option_is_split_and_joined() -> None:
    long = bytes(range(256)) * 2
    data = encode(packet(o43=long), limit=1472)
    assert data.count(b"\x2b\xff") >= 2
    assert decode(data).options[43] == long


def test_options_overflow_into_file_and_sname() -> None:
    wanted = packet(o43=b"v" * 200, o60=b"c" * 100, o224=b"x" * 50)
    data = encode(wanted, limit=548)
    assert len(data) <= 548
    assert decode(data) == wanted
    tight = encode(packet(o43=b"v" * 200, o60=b"c" * 100, o224=b"x" * 50), limit=500)
    assert len(tight) <= 500
    assert decode(tight) == wanted
    assert tight[243:246] == bytes((52, 1, 3)), "option 52 says that file and sname are used, right after option 53"


def test_a_used_file_field_is_never_overloaded() -> None:
    boot = Packet(
        op=2, xid=1, file=b"undionly.kpxe", sname=b"10.0.0.1", options={53: b"\x02", 43: b"v" * 250, 60: b"c" * 60}
    )
    with pytest.raises(PacketTooLargeError, match="option 60"):
        encode(boot, limit=548)
    with pytest.raises(PacketTooLargeError, match="boot file"):
        encode(Packet(op=2, xid=1, file=b"f" * 129, options={53: b"\x02"}))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Fault.SHORT),
        (raw(b"")[:239], Fault.SHORT),
        (raw(b"\x35\1\1\xff", op=3), Fault.OPERATION),
        (raw(b"\x35\1\1\xff", hlen=17), Fault.HARDWARE_LENGTH),
        (raw(b"\x35\1\1\xff").replace(COOKIE, b"\0\0\0\0"), Fault.NO_COOKIE),
        (raw(b"\x35\1\1\x3c"), Fault.OPTION_TRUNCATED),
        (raw(b"\x35\1\1\x3c\x09PXE"), Fault.OPTION_TRUNCATED),
        (raw(b"\x35\2\1\1\xff"), Fault.OPTION_LENGTH),
        (raw(b"\x35\1\1\x32\x03\1\2\3\xff"), Fault.OPTION_LENGTH),
        (raw(b"\x35\1\1\x34\1\4\xff"), Fault.OVERLOAD),
        (raw(b"\x35\1\1\x34\1\1\xff", file=b"\x34\1\1\xff"), Fault.OVERLOAD),
        (raw(b"\x0c\1a\xff"), Fault.NO_MESSAGE_TYPE),
        (raw(b"\x35\1\x09\xff"), Fault.MESSAGE_TYPE),
    ],
)
def test_each_way_to_break_a_packet_has_a_name(data: bytes, reason: Fault) -> None:
    with pytest.raises(MalformedPacketError) as caught:
        decode(data)
    assert caught.value.reason is reason


def test_an_absent_end_is_tolerated_and_overload_is_read() -> None:
    assert decode(raw(b"\0\0\x35\1\3")).message_type is MessageType.REQUEST
    both = decode(raw(b"\x35\1\1\x34\1\3\xff", file=b"\x3c\2ab\xff", sname=b"\x3c\2cd\xff"))
    assert both.options[60] == b"abcd", "joined in the order options, file, sname (RFC 3396)"
    assert both.file == both.sname == b""


def test_size_limit_follows_option_57_within_bounds() -> None:
    assert size_limit(packet()) == 548
    assert size_limit(packet(o57=(300).to_bytes(2, "big"))) == 548
    assert size_limit(packet(o57=(1400).to_bytes(2, "big"))) == 1372
    assert size_limit(packet(o57=(65280).to_bytes(2, "big"))) == 1472


def test_suboptions() -> None:
    data = encode_suboptions({6: b"\x08", 9: b"abc"}, terminated=True)
    assert data == b"\x06\x01\x08\x09\x03abc\xff"
    assert decode_suboptions(b"\0" + data + b"junk", terminated=True) == {6: b"\x08", 9: b"abc"}
    assert decode_suboptions(b"\x01\x02ab\xff\x01x", terminated=False) == {1: b"ab", 255: b"x"}
    assert decode_suboptions(b"\x01\x09ab", terminated=True) == {}


def test_addresses_are_addresses() -> None:
    answer = decode(
        encode(Packet(op=2, xid=1, yiaddr=IPv4Address("10.0.0.9"), options={53: b"\x02", 54: b"\x0a\0\0\1"}))
    )
    assert answer.yiaddr == IPv4Address("10.0.0.9")
    assert answer.address(Code.SERVER_ID) == IPv4Address("10.0.0.1")
    assert answer.address(Code.ROUTER) is None
