"""Laws of the DHCP codec over random data, with scapy as an independent reader and writer of the same format."""

from __future__ import annotations

import warnings
from ipaddress import IPv4Address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pxe.classify import classify, lease_key
from pxe.codec import (
    MalformedPacketError,
    Packet,
    PacketTooLargeError,
    decode,
    decode_suboptions,
    encode,
    encode_suboptions,
)
from pxe.offer import Terms, destination, lease_reply, proxy_reply
from pxe.ports import Action, Decision, Pool, Transport

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    scapy = pytest.importorskip("scapy.layers.dhcp", reason="scapy is not installed")

RULES = settings(derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
codes = st.integers(1, 254).filter(lambda code: code not in (50, 51, 52, 53, 54, 57))
option_maps = st.dictionaries(codes, st.binary(min_size=1, max_size=300), max_size=6)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    options = {53: bytes((draw(st.integers(1, 8)),)), **draw(option_maps)}
    if draw(st.booleans()):
        options[54] = draw(addresses).packed
    field = st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"a"))
    return Packet(
        op=draw(st.sampled_from((1, 2))),
        xid=draw(st.integers(0, 2**32 - 1)),
        hops=draw(st.integers(0, 255)),
        secs=draw(st.integers(0, 65535)),
        flags=draw(st.sampled_from((0, 0x8000))),
        ciaddr=draw(addresses),
        yiaddr=draw(addresses),
        siaddr=draw(addresses),
        giaddr=draw(addresses),
        hardware=draw(st.binary(min_size=6, max_size=6)),
        sname=draw(field),
        file=draw(field),
        options=options,
    )


@RULES
@given(packets())
def test_what_is_written_is_read_back(packet: Packet) -> None:
    assert decode(encode(packet, limit=4000)) == packet


@RULES
@given(packets(), st.integers(548, 1472))
def test_the_limit_holds_and_overload_changes_nothing(packet: Packet, limit: int) -> None:
    try:
        data = encode(packet, limit=limit)
    except PacketTooLargeError:
        return
    assert 300 <= len(data) <= limit
    assert decode(data) == packet


POOL_TEXT = ("10.0.0.1/24", "10.0.0.10", "10.0.0.20")


def everything(data: bytes) -> None:
    """Decode, classify and answer: only `MalformedPacketError` may come out."""
    from ipaddress import IPv4Interface  # noqa: PLC0415

    try:
        packet = decode(data)
    except MalformedPacketError as error:
        assert error.reason
        return
    server = IPv4Address("10.0.0.1")
    pool = Pool(subnet=IPv4Interface(POOL_TEXT[0]), first=IPv4Address(POOL_TEXT[1]), last=IPv4Address(POOL_TEXT[2]))
    decision = Decision(action=Action.LOADER, reason="r", file="f")
    for transport in Transport:
        client = classify(packet, transport=transport, server=server)
        assert lease_key(packet)
        terms = Terms(address=IPv4Address("10.0.0.10"), pool=pool, server=server)
        for reply in (
            lease_reply(packet.message_type, packet, client, terms, decision),
            proxy_reply(packet.message_type, packet, client, server, decision),
        ):
            destination(packet, reply)
            try:
                encode(reply, limit=1472)
            except PacketTooLargeError:
                continue


@RULES
@given(st.binary(max_size=700))
def test_random_bytes_never_crash(data: bytes) -> None:
    everything(data)
    everything(bytes(236) + b"\x63\x82\x53\x63" + data)
    everything(b"\x01\x01\x06" + bytes(233) + b"\x63\x82\x53\x63\x35\x01\x01" + data)


@RULES
@given(packets(), st.data())
def test_mutations_never_crash(packet: Packet, data: st.DataObject) -> None:
    raw = bytearray(encode(packet, limit=4000))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    everything(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    everything(bytes(raw))


@RULES
@given(st.dictionaries(st.integers(1, 254), st.binary(max_size=40), max_size=5))
def test_suboptions_round_trip(options: dict[int, bytes]) -> None:
    for terminated in (True, False):
        assert decode_suboptions(encode_suboptions(options, terminated=terminated), terminated=terminated) == options


short_maps = st.dictionaries(
    st.integers(128, 254).filter(lambda code: code not in (152, 153, 154, 155, 156, 157, 158, 159)),
    st.binary(min_size=1, max_size=60),
    max_size=4,
)


@RULES
@given(packets(), short_maps)
def test_scapy_reads_what_we_write(packet: Packet, options: dict[int, bytes]) -> None:
    import dataclasses  # noqa: PLC0415

    packet = dataclasses.replace(packet, options={53: b"\x01", 54: b"\x0a\0\0\1", **options})
    read = scapy.BOOTP(encode(packet, limit=1472))
    assert (read.op, read.xid, read.secs, int(read.flags)) == (packet.op, packet.xid, packet.secs, packet.flags)
    assert [read.ciaddr, read.yiaddr, read.siaddr, read.giaddr] == [
        str(address) for address in (packet.ciaddr, packet.yiaddr, packet.siaddr, packet.giaddr)
    ]
    assert read.chaddr[:6] == packet.hardware
    assert read.file.rstrip(b"\0") == packet.file
    found = {entry[0]: entry[1] for entry in read[scapy.DHCP].options if isinstance(entry, tuple)}
    assert found["message-type"] == 1
    assert found["server_id"] == "10.0.0.1"
    for code, value in options.items():
        name = scapy.DHCPOptions.get(code, code)
        name = name if isinstance(name, str | int) else name.name
        if name in found and isinstance(found[name], bytes):
            assert found[name] == value


@RULES
@given(
    st.sampled_from(["discover", "request", "inform", "release"]), addresses, st.text("abc-", min_size=1, max_size=20)
)
def test_we_read_what_scapy_writes(kind: str, wanted: IPv4Address, name: str) -> None:
    written = scapy.BOOTP(chaddr=b"\x02\0\0\0\0\1", xid=5, flags=0x8000) / scapy.DHCP(
        options=[("message-type", kind), ("requested_addr", str(wanted)), ("hostname", name), "end"]
    )
    read = decode(bytes(written))
    assert read.message_type.name.lower() == kind
    assert read.options[50] == wanted.packed
    assert read.options[12] == name.encode()
    assert read.hardware == b"\x02\0\0\0\0\1"
