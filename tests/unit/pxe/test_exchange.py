"""Conversations with the authoritative server, the proxy and the boot server: who gets what, and what is stored."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest

from pxe.codec import MessageType, Packet
from pxe.offer import Route
from pxe.ports import DirectoryError, EventKind

Build = Callable[..., Packet]
SERVER = IPv4Address("10.0.0.1").packed
PXE = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
IPXE = {**PXE, 77: b"iPXE", 175: b"\x13\x01\x01"}


def ip(last: int) -> IPv4Address:
    return IPv4Address(f"10.0.0.{last}")


def take(bench: Any, build: Build, number: int, options: dict[int, bytes] | None = None) -> IPv4Address:
    """DISCOVER and REQUEST; the address that was acknowledged."""
    offer = bench.ask(build(1, number, options))
    assert offer.counter == "offer"
    wanted = offer.reply.yiaddr
    ack = bench.ask(build(3, number, {**(options or {}), 50: wanted.packed, 54: SERVER}))
    assert ack.counter == "ack", ack.why
    assert ack.lease is not None
    assert ack.lease.address == ack.reply.yiaddr == wanted
    return wanted


def test_discover_offers_and_request_stores(bench: Any, request_packet: Build) -> None:
    offer = bench.ask(request_packet(1, options=PXE))
    assert offer.lease is None, "an OFFER is a reservation in memory"
    assert [event.kind for event in offer.events] == [EventKind.DHCP_DISCOVER, EventKind.DHCP_OFFER]
    assert offer.machine == "m1"
    assert take(bench, request_packet, 1, PXE) == ip(10)
    assert bench.ask(request_packet(1, options=IPXE)).reply.file == b"http://10.0.0.1:8080/autoexec.ipxe"


def test_firmware_ipxe_and_system_share_one_address(bench: Any, request_packet: Build) -> None:
    stages: list[dict[int, bytes]] = [{**PXE, 61: b"\0uuid"}, {**IPXE, 61: b"\1\2\0\0\0\0\1"}, {61: b"\xff\0\0\0\1d"}]
    assert {take(bench, request_packet, 1, options) for options in stages} == {ip(10)}


def test_the_offer_of_another_server_frees_the_reservation(bench: Any, request_packet: Build) -> None:
    assert bench.ask(request_packet(1, 1)).reply.yiaddr == ip(10)
    other = bench.ask(request_packet(3, 1, {50: ip(99).packed, 54: bytes((10, 0, 0, 99))}))
    assert (other.counter, other.reply, other.lease) == ("not-chosen", None, None)
    for number, last in ((2, 11), (3, 12), (4, 13), (5, 10)):
        assert bench.ask(request_packet(1, number)).reply.yiaddr == ip(last)


def test_init_reboot(bench: Any, request_packet: Build) -> None:
    take(bench, request_packet, 1)
    assert bench.ask(request_packet(3, 1, {50: ip(10).packed})).counter == "ack"
    assert bench.ask(request_packet(3, 2, {50: ip(10).packed})).counter == "nak", "another client's"
    wrong = bench.ask(request_packet(3, 2, {50: bytes((192, 168, 1, 5))}))
    assert wrong.reply.message_type is MessageType.NAK
    assert "does not belong to 10.0.0.0/24" in wrong.why
    assert bench.ask(request_packet(3, 2, {50: ip(200).packed})).counter == "nak", "outside the range"
    assert bench.ask(request_packet(3, 2)).counter == "no-address"


def test_renewal_is_answered_by_unicast(bench: Any, request_packet: Build) -> None:
    take(bench, request_packet, 1)
    bench.now += 300
    renewed = bench.ask(request_packet(3, 1, ciaddr=ip(10)))
    assert renewed.lease.expires == bench.now + 600
    assert (renewed.to.route, renewed.to.address) == (Route.UNICAST, ip(10))


def test_fixed_addresses_come_from_the_directory(bench: Any, request_packet: Build) -> None:
    bench.directory.fixed["02:00:00:00:00:01"] = ip(77)
    assert take(bench, request_packet, 1) == ip(77)
    assert bench.ask(request_packet(3, 2, {50: ip(77).packed})).counter == "nak"
    assert bench.ask(request_packet(1, 2, {50: ip(77).packed})).reply.yiaddr == ip(10)


def test_decline_and_release(bench: Any, request_packet: Build) -> None:
    take(bench, request_packet, 1)
    assert bench.ask(request_packet(4, 2, {50: ip(10).packed})).counter == "decline-ignored"
    assert bench.ask(request_packet(4, 1, {50: ip(10).packed})).counter == "decline"
    assert bench.directory.forgotten == [ip(10)]
    assert take(bench, request_packet, 1) == ip(11)
    gone = bench.ask(request_packet(7, 1, ciaddr=ip(11)))
    assert gone.lease.expires == bench.now
    assert gone.reply is None


def test_inform(bench: Any, request_packet: Build) -> None:
    told = bench.ask(request_packet(8, 1, ciaddr=ip(200)))
    assert told.reply.message_type is MessageType.ACK
    assert told.lease is None
    assert told.to.address == ip(200)


def test_an_exhausted_pool_is_silent_and_says_so(bench: Any, request_packet: Build) -> None:
    for number in range(1, 5):
        take(bench, request_packet, number)
    full = bench.ask(request_packet(1, 9))
    assert (full.counter, full.reply) == ("exhausted", None)
    assert "10.0.0.10-10.0.0.13" in full.why


def test_a_conflict_found_beforehand_costs_nothing(bench: Any, request_packet: Build) -> None:
    bench.prober.owners[ip(10)] = "02:99:00:00:00:01"
    assert bench.ask(request_packet(1, 1)).reply.yiaddr == ip(11)
    assert bench.directory.forgotten == [ip(10)]
    assert bench.prober.asked == [(ip(11), False)]


def test_a_conflict_found_after_the_offer_is_refused_at_the_request(bench: Any, request_packet: Build) -> None:
    bench.ask(request_packet(1, 1))
    bench.prober.owners[ip(10)] = "02:99:00:00:00:01"
    refused = bench.ask(request_packet(3, 1, {50: ip(10).packed, 54: SERVER}))
    assert (refused.counter, refused.reply.message_type) == ("nak", MessageType.NAK)
    assert "used by another device" in refused.why
    assert take(bench, request_packet, 1) == ip(11)


def test_the_client_itself_is_no_conflict(bench: Any, request_packet: Build) -> None:
    bench.prober.owners[ip(10)] = "02:00:00:00:00:01"
    assert take(bench, request_packet, 1) == ip(10)
    bench.prober.asked.clear()
    bench.ask(request_packet(1, 1))
    assert bench.prober.asked == [], "a live lease is not asked about"


def test_relays(bench: Any, request_packet: Build) -> None:
    relay = IPv4Address("10.7.0.254")
    offer = bench.ask(request_packet(1, 1, {82: b"\x01\x02p7"}, giaddr=relay))
    assert offer.reply.yiaddr == IPv4Address("10.7.0.10")
    assert offer.reply.options[82] == b"\x01\x02p7"
    assert (offer.to.route, offer.to.address, offer.to.port) == (Route.RELAY, relay, 67)
    assert bench.prober.asked == [(IPv4Address("10.7.0.10"), True)]
    assert bench.directory.asked[-1].circuit_id == "p7"
    assert bench.ask(request_packet(1, 2, giaddr=IPv4Address("10.8.0.1"))).counter == "no-pool"
    linked = bench.ask(request_packet(1, 3, {82: b"\x05\x04\x0a\x07\x00\x00"}, giaddr=IPv4Address("10.8.0.1")))
    assert linked.reply.yiaddr == IPv4Address("10.7.0.11"), "RFC 3527: the link that the relay names"


def test_a_store_that_fails_is_never_guessed_around(bench: Any, request_packet: Build) -> None:
    bench.directory.broken = True
    with pytest.raises(DirectoryError, match="disk is full"):
        bench.ask(request_packet(1, 1, PXE))


def test_replies_and_server_messages_are_not_answered(bench: Any, request_packet: Build) -> None:
    assert bench.ask(Packet(op=2, xid=1, options={53: b"\2"})).counter == "not-a-request"
    assert bench.ask(request_packet(5, 1)).counter == "not-a-request"


def test_the_proxy_gives_no_addresses(bench: Any, request_packet: Build) -> None:
    offer = bench.ask_proxy(request_packet(1, 1, PXE))
    assert (offer.counter, offer.lease, str(offer.reply.yiaddr)) == ("proxy-offer", None, "0.0.0.0")
    assert offer.to.route is Route.BROADCAST
    assert bench.ask_proxy(request_packet(1, 1)).counter == "proxy-silent", "an operating system"
    assert bench.ask_proxy(request_packet(3, 1, PXE)).counter == "proxy-silent", "the other server's business"


@pytest.mark.parametrize("mode", ["ask", "ask_proxy"])
def test_the_boot_server_answers_in_both_modes_by_the_same_decision(
    bench: Any, request_packet: Build, mode: str
) -> None:
    reply = getattr(bench, mode)(request_packet(3, 1, PXE, ciaddr=ip(50)), port=4011, source=("10.0.0.50", 4011))
    assert (reply.counter, reply.reply.file) == ("boot-server-ack", b"undionly.kpxe")
    assert (reply.to.address, reply.to.port) == (ip(50), 4011)
    assert reply.reply.message_type is MessageType.ACK
    assert getattr(bench, mode)(request_packet(3, 1, ciaddr=ip(50)), port=4011).counter == "boot-server-silent"
