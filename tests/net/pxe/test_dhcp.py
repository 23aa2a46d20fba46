"""The DHCP servers against real clients, relays and other servers."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PXE = "3c" + "20" + b"PXEClient:Arch:00007:UNDI:003016".hex() + "5d020007"
TOP = Path(__file__).resolve().parents[3]


def packet(kind: int, number: int, options: str = "", *, flags: str = "8000", ciaddr: str = "00000000") -> str:
    head = f"01010600{number:08x}0000{flags}{ciaddr}" + "00" * 12
    return head + f"0200000000{number:02x}" + "00" * 202 + f"638253633501{kind:02x}{options}ff"


def test_udhcpc_with_and_without_the_broadcast_flag(served: Any) -> None:
    unicast = served.udhcpc()
    assert unicast["ip"].startswith("10.98.1."), served.log
    assert (unicast["mask"], unicast["router"], unicast["dns"]) == ("16", "10.98.0.1", "10.98.0.1")
    assert (unicast["lease"], unicast["serverid"]) == ("3600", "10.98.0.1")
    assert "boot_file" not in unicast, "an operating system is not offered a boot"
    assert served.udhcpc("-B")["ip"] == unicast["ip"], "the same client gets the same address"
    assert served.udhcpc("-r", "10.98.1.99")["ip"] == unicast["ip"], "its own comes before what it asks for"


def test_dhclient(served: Any, needs: Callable[..., None]) -> None:
    needs("dhclient")
    files = ["-lf", str(served.work / "dhclient.leases"), "-pf", str(served.work / "dhclient.pid")]
    # -n does not exist there: it stays after its lease, in the foreground, until timeout ends it.
    done = served.client(
        "timeout", "5", "dhclient", "-1", "-v", "-d", "-sf", "/bin/true", "-cf", "/dev/null", *files, "eth0"
    )
    assert re.search(r"DHCPACK of 10\.98\.1\.\d+ from 10\.98\.0\.1", done.stderr), done.stderr + served.log
    assert "fixed-address 10.98.1." in (served.work / "dhclient.leases").read_text()


def test_a_pxe_client_gets_its_loader(served: Any) -> None:
    (offer,) = served.ask(packet(1, 0x21, PXE))
    assert (offer["kind"], offer["file"], offer["siaddr"]) == ("OFFER", "snponly.efi", "10.98.0.1")
    assert offer["options"]["43"] == "060108ff"
    (item,) = served.ask(packet(3, 0x21, PXE), port=4011)
    assert (item["kind"], item["file"], item["yiaddr"]) == ("ACK", "snponly.efi", "0.0.0.0")


def test_a_request_for_a_foreign_address_is_refused(served: Any) -> None:
    (nak,) = served.ask(packet(3, 0x22, "3204c0a80105"))
    assert nak["kind"] == "NAK"


def test_malformed_packets_are_counted_and_survived(served: Any) -> None:
    for junk in ("00", "ff" * 600, packet(1, 0x23)[:300], packet(9, 0x23), packet(1, 0x23, "3c09aa")):
        assert served.ask(junk, seconds=0.1) == []
    assert served.udhcpc()["ip"]
    reasons = set(re.findall(r"malformed packet: ([a-z-]+):", served.log))
    assert {"short", "operation", "message-type", "option-truncated"} <= reasons, served.log


def test_only_named_interfaces_are_answered(served: Any) -> None:
    served.ip(
        served.pair.server, "link", "add", "eth9", "type", "veth", "peer", "name", "eth9", "netns", served.pair.client
    )
    served.ip(served.pair.server, "address", "add", "10.99.0.1/24", "dev", "eth9")
    for namespace in (served.pair.server, served.pair.client):
        served.ip(namespace, "link", "set", "eth9", "up")
    try:
        before = served.log.count("step=")
        out = served.client("udhcpc", "-i", "eth9", "-f", "-q", "-n", "-t", "2", "-T", "1", "-s", "/bin/true")
        assert out.returncode != 0
        assert served.log.count("step=") == before
    finally:
        served.ip(served.pair.server, "link", "delete", "eth9")


def test_kill_and_start_again_gives_the_same_address(lab: Any, killer: Callable[..., None]) -> None:
    with lab.server() as process:
        first = lab.udhcpc()["ip"]
        killer(process)
    with lab.server():
        (other,) = lab.ask(packet(1, 0x31))
        assert other["yiaddr"] != first, "the stored lease is not given to another"
        assert lab.udhcpc()["ip"] == first


def test_a_fixed_address(lab: Any) -> None:
    with lab.server("--fixed", "02:00:00:00:00:41=10.98.9.9"):
        (offer,) = lab.ask(packet(1, 0x41))
        assert offer["yiaddr"] == "10.98.9.9"


def test_an_address_in_use_is_not_given_and_no_offer_waits(lab: Any) -> None:
    """A device squats on the first address of the pool; it answers ARP with a MAC of its own."""
    lab.client("sysctl", "-q", "net.ipv4.conf.all.arp_ignore=1")
    lab.ip(lab.pair.client, "link", "add", "squatter", "link", "eth0", "type", "macvlan", "mode", "bridge")
    lab.ip(lab.pair.client, "link", "set", "squatter", "up")
    lab.ip(lab.pair.client, "address", "add", "10.98.1.10/32", "dev", "squatter")
    with lab.server("--fixed", "02:00:00:00:00:52=10.98.1.200"):
        time.sleep(1.5)  # the first look at the next addresses
        (offer,) = lab.ask(packet(1, 0x51))
        assert offer["yiaddr"] == "10.98.1.11", lab.log
        assert offer["delay"] < 0.5
        lab.ip(lab.pair.client, "address", "add", "10.98.1.200/32", "dev", "squatter")
        (asked,) = lab.ask(packet(1, 0x52))
        assert (asked["yiaddr"], asked["delay"] < 0.5) == ("10.98.1.200", True), "offered at once, probed meanwhile"
        time.sleep(0.3)
        (nak,) = lab.ask(packet(3, 0x52, "32040a6201c8" + "36040a620001"))
        assert nak["kind"] == "NAK", lab.log
        assert "used by another device" in lab.log


def test_a_foreign_server_is_found_at_the_start(lab: Any, needs: Callable[..., None], background: Any) -> None:
    needs("dnsmasq")
    argv = ["dnsmasq", "-k", "-C", "/dev/null", "-p", "0", "-u", "root", "-i", "eth0", "-z", "--pid-file="]
    argv += ["--dhcp-range=10.98.7.1,10.98.7.9,255.255.0.0,1h", f"--dhcp-leasefile={lab.work / 'dnsmasq.leases'}"]
    start = [sys.executable, "-m", "bench.boot_server", "eth0", "--pool", "10.98.0.1/16,10.98.1.10,10.98.1.250"]
    start += ["--database", str(lab.work / "db"), "--root", str(lab.root), "--probe", "5"]
    with background(lab.pair.in_client(*argv), lab.work / "dnsmasq.log", ready=0.5):
        done = subprocess.run(
            lab.pair.in_server(*start), capture_output=True, text=True, timeout=40, check=False, cwd=TOP
        )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "another DHCP server answers on eth0: 10.98.0.2 offered 10.98.7." in done.stderr
    assert "--mode proxy" in done.stderr
    assert "Traceback" not in done.stderr
    with lab.server("--probe", "1"):
        assert lab.udhcpc()["ip"], "alone it starts"


def test_proxy_mode_gives_boot_information_and_no_addresses(lab: Any) -> None:
    with lab.server("--mode", "proxy", pools=()):
        (offer,) = lab.ask(packet(1, 0x61, PXE))
        assert (offer["kind"], offer["yiaddr"], offer["file"]) == ("OFFER", "0.0.0.0", "snponly.efi")
        assert lab.udhcpc() == {}, "addresses are the other server's business"
        assert lab.ask(packet(3, 0x61, PXE), port=4011)[0]["file"] == "snponly.efi"


def test_a_relay(lab: Any, needs: Callable[..., None], background: Any) -> None:
    """A network of its own behind ISC's dhcrelay, which adds option 82."""
    needs("dhcrelay")
    far = f"{lab.pair.client}-far"
    subprocess.run(["ip", "netns", "add", far], check=True)
    try:
        lab.ip(lab.pair.client, "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", far)
        lab.ip(lab.pair.client, "address", "add", "10.50.0.1/24", "dev", "eth1")
        lab.ip(lab.pair.client, "link", "set", "eth1", "up")
        lab.ip(far, "link", "set", "eth0", "up")
        lab.ip(lab.pair.server, "route", "add", "10.50.0.0/24", "via", "10.98.0.2")
        relay = [
            "dhcrelay",
            "-d",
            "-4",
            "-a",
            "-pf",
            str(lab.work / "relay.pid"),
            "-id",
            "eth1",
            "-iu",
            "eth0",
            "10.98.0.1",
        ]
        pools = ("10.98.0.1/16,10.98.1.10,10.98.1.250", "10.50.0.1/24,10.50.0.10,10.50.0.20,10.50.0.1")
        with lab.server(pools=pools), background(lab.pair.in_client(*relay), lab.work / "relay.log", ready=1.0):
            given = lab.udhcpc(namespace=far)
            assert given.get("ip") == "10.50.0.10", lab.log + (lab.work / "relay.log").read_text()
            assert (given["mask"], given["router"], given["serverid"]) == ("24", "10.50.0.1", "10.98.0.1")
            assert lab.udhcpc("-B", namespace=far)["ip"] == "10.50.0.10"
    finally:
        subprocess.run(["ip", "netns", "delete", far], check=False)
