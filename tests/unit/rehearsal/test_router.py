"""The rack's router advertisement, read by another implementation."""

from __future__ import annotations

from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo

from appliance.rehearsal.router import advertisement


def test_it_configures_addresses_and_routes_nothing() -> None:
    sent = ICMPv6ND_RA(advertisement())
    assert (sent.type, sent.M, sent.O, sent.routerlifetime) == (134, 0, 0, 0)
    prefix = sent[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.A, prefix.L) == ("fd77::", 64, 1, 1)
