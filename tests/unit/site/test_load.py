"""The site file: small ones load with sane defaults, broken ones say everything that is wrong at once."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from appliance.site.checks import host_addresses
from appliance.site.example import example
from appliance.site.load import SiteError, default_pool, load_site, load_text, operating_systems

SYSTEMS = ("debian-13",)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFEx2Hn9y0YqHjJjJ5xkVb0h0tq6Wc3m8k4Jf1q2s3T4 admin@desk"

SMALL = """\
site: edge-1
networks:
  provisioning: {cidr: 192.168.90.0/24}
machines:
  n1: {serial: A0000001}
  n2: {serial: A0000002}
  n3: {mac: 3C-EC-EF-00-00-03, profile: epyc-compute, address: 192.168.90.13}
approve:
  - expected: true
"""

GOOD = f"""\
schema: 1
site: Edge-1
domain: Edge.Example.
networks:
  provisioning:
    cidr: 10.20.0.0/22
    appliance: 10.20.0.2
    pool: 10.20.3.0-200
    hosts: 10.20.1.0-10.20.1.255
    mode: authoritative
    gateway: 10.20.0.1
    dns: [10.20.0.1, 9.9.9.9]
    interfaces: eth1
  storage: {{cidr: 10.30.0.0/24, vlan: 30}}
machines:
  - {{name: n1, serial: a0000001, uuid: 969ebc00-fc71-11e9-8000-ac1f6bdc19c2}}
hostname_prefix: edge
operating_system: debian-13
approve:
  - {{serial: a0000001, mac: 3cec.ef00.0001}}
erase:
  - {{serial: wd-1, reason: old database}}
protect: [keep1]
ssh_keys: [{KEY}]
time_servers: [pool.ntp.org, 10.20.0.1]
console: console=ttyS1,115200n8
kernel_arguments: [no_timer_check]
"""


def load(text: str) -> Any:
    return load_text(text, "site.yaml", systems=SYSTEMS)


def test_small_file_has_sane_defaults() -> None:
    site = load(SMALL)
    assert len(SMALL.splitlines()) <= 20
    assert site.provisioning.appliance == IPv4Address("192.168.90.1")
    assert site.provisioning.first == IPv4Address("192.168.90.128")
    assert site.provisioning.last == IPv4Address("192.168.90.254")
    assert site.domain == "internal"
    assert site.machines[2].mac == "3c:ec:ef:00:00:03"
    assert site.machines[2].address == IPv4Address("192.168.90.13")
    assert site.approve[0].expected


def test_everything_is_normalised() -> None:
    site = load(GOOD)
    network = site.provisioning
    assert (site.name, site.domain) == ("edge-1", "edge.example")
    assert (network.first, network.last) == (IPv4Address("10.20.3.0"), IPv4Address("10.20.3.200"))
    assert network.interfaces == ("eth1",)
    assert site.machines[0].serial == "A0000001"
    assert site.approve[0].mac == "3c:ec:ef:00:00:01"
    assert site.erase[0].serial == "WD-1"
    assert site.protect == ("KEEP1",)
    assert site.console == "ttyS1,115200n8"
    assert site.networks[0].vlan == 30
    addresses = list(host_addresses(network))
    assert (addresses[0], addresses[-1], len(addresses)) == (IPv4Address("10.20.1.0"), IPv4Address("10.20.1.255"), 256)


def test_example_loads() -> None:
    site = load(example("berlin-1"))
    assert site.name == "berlin-1"
    assert len(site.machines) == 3
    head, *rest = example("x").splitlines()
    told = [line.replace("# ", "", 1) if line.strip().startswith("# ") else line for line in rest]
    with pytest.raises(SiteError) as caught:
        load("\n".join([head, *told]))
    assert {problem.where for problem in caught.value.problems} == {"ssh_keys[0]"}, "all but the shortened key is valid"


def test_machines_as_list_or_mapping_are_the_same() -> None:
    as_list = SMALL.replace("  n1: {", "  - {name: n1, ").replace("  n2: {", "  - {name: n2, ")
    as_list = as_list.replace("  n3: {", "  - {name: n3, ")
    assert load(as_list) == load(SMALL)


@pytest.mark.parametrize(
    ("network", "first", "last"),
    [
        ("192.168.90.0/24", "192.168.90.128", "192.168.90.254"),
        ("10.0.0.0/16", "10.0.251.255", "10.0.255.254"),
        ("10.0.0.0/30", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.0/29", "10.0.0.4", "10.0.0.6"),
    ],
)
def test_default_pool(network: str, first: str, last: str) -> None:
    cidr = IPv4Network(network)
    pool = default_pool(cidr, {cidr.network_address + 1})
    assert (str(pool.first), str(pool.last)) == (first, last)


def test_default_pool_avoids_the_appliance() -> None:
    cidr = IPv4Network("10.0.0.0/24")
    for last in (128, 200, 254):
        appliance = IPv4Address(f"10.0.0.{last}")
        pool = default_pool(cidr, {appliance})
        assert not pool.first <= appliance <= pool.last


def test_default_pool_avoids_the_gateway() -> None:
    """Many networks have their router at the end."""
    site = load(SMALL.replace("90.0/24}", "90.0/24, gateway: 192.168.90.254, dns: [192.168.90.130]}"))
    assert str(site.provisioning.first) == "192.168.90.131"
    assert str(site.provisioning.last) == "192.168.90.253"


def test_hosts_without_a_range_are_what_the_pool_leaves() -> None:
    site = load(
        SMALL.replace("90.0/24}", "90.0/28, pool: 192.168.90.4-8, dns: [192.168.90.2]}").replace("90.13", "90.14")
    )
    assert [int(address) & 255 for address in host_addresses(site.provisioning)] == [3, 9, 10, 11, 12, 13, 14]


def test_missing_file_and_shipped_systems(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="can't be read"):
        load_site(tmp_path / "none.yaml")
    assert all((Path("images/os") / name / "os.yaml").is_file() for name in operating_systems())


def site(lines: str, *, drop: str = "") -> str:
    """A correct file with some lines added, and one top key left out."""
    keep = [
        line for line in ("site: s", "networks: {provisioning: {cidr: 10.0.0.0/24}}") if not drop or drop not in line
    ]
    return "\n".join([*keep, lines]) + "\n"


def provisioning(keys: str, lines: str = "") -> str:
    return f"site: s\nnetworks:\n  provisioning: {{{keys}}}\n{lines}\n"


BROKEN = {
    "unknown key": site("machnes: {}"),
    "unknown profile": site("machines:\n  n1: {serial: A1, profile: epyc-copmute}"),
    "unknown profile, beginning of a name": site("machines:\n  n1: {serial: A1, profile: epyc}"),
    "unknown operating system": site("operating_system: debian13"),
    "site is missing": site("", drop="site"),
    "networks are missing": site("", drop="networks"),
    "provisioning is missing": site("networks: {storage: {cidr: 10.9.0.0/24}}", drop="networks"),
    "schema of the future": site("schema: 7"),
    "overlapping networks": site(
        "networks:\n  provisioning: {cidr: 10.0.0.0/24}\n  a: {cidr: 10.0.0.128/25}\n  b: {cidr: 10.0.0.0/16}",
        drop="networks",
    ),
    "network with host bits": provisioning("cidr: 10.0.0.7/24"),
    "network without prefix": provisioning("cidr: 10.0.0.0"),
    "network is no network": provisioning("cidr: 10.0.0.0/33"),
    "network too small": provisioning("cidr: 10.0.0.0/31"),
    "IPv6": provisioning("cidr: 2001:db8::/64"),
    "IPv6 address": provisioning("cidr: 10.0.0.0/24, appliance: 2001:db8::1"),
    "bad address": provisioning("cidr: 10.0.0.0/24, appliance: 10.0.0.256"),
    "appliance outside": provisioning("cidr: 10.0.0.0/24, appliance: 10.0.1.1"),
    "appliance is the network's address": provisioning("cidr: 10.0.0.0/24, appliance: 10.0.0.0"),
    "appliance in the pool": provisioning("cidr: 10.0.0.0/24, appliance: 10.0.0.50, pool: 10.0.0.10-99"),
    "gateway is the appliance": provisioning("cidr: 10.0.0.0/24, gateway: 10.0.0.1"),
    "gateway in the pool": provisioning("cidr: 10.0.0.0/24, gateway: 10.0.0.200, pool: 10.0.0.100-200"),
    "pool backwards": provisioning("cidr: 10.0.0.0/24, pool: 10.0.0.99-10.0.0.10"),
    "pool outside": provisioning("cidr: 10.0.0.0/24, pool: 10.0.1.10-10.0.1.20"),
    "pool is no range": provisioning("cidr: 10.0.0.0/24, pool: 10.0.0.10/28"),
    "hosts in the pool": provisioning("cidr: 10.0.0.0/24, pool: 10.0.0.10-99, hosts: 10.0.0.90-10.0.0.120"),
    "pool too small": provisioning(
        "cidr: 10.0.0.0/24, pool: 10.0.0.10-11", "machines: {a: {serial: A1}, b: {serial: B1}, c: {serial: C1}}"
    ),
    "hosts too few": provisioning(
        "cidr: 10.0.0.0/24, hosts: 10.0.0.10-11",
        "machines: {a: {serial: A1}, b: {serial: B1}, c: {serial: C1}, d: {serial: D1, address: 10.0.0.10}}",
    ),
    "network full": provisioning("cidr: 10.0.0.0/30, pool: 10.0.0.2-2", "machines: {a: {serial: A1}}"),
    "unknown mode": provisioning("cidr: 10.0.0.0/24, mode: authorative"),
    "interface name": provisioning("cidr: 10.0.0.0/24, interfaces: [enp129s0f0np0v12]"),
    "keys of provisioning elsewhere": site(
        "networks:\n  provisioning: {cidr: 10.0.0.0/24}\n  x: {cidr: 10.1.0.0/24, pool: 10.1.0.5-9, mode: proxy}",
        drop="networks",
    ),
    "VLANs": site(
        "networks:\n  provisioning: {cidr: 10.0.0.0/24}\n  x: {cidr: 10.1.0.0/24, vlan: 4095}\n"
        "  y: {cidr: 10.2.0.0/24, vlan: 7}\n  z: {cidr: 10.3.0.0/24, vlan: 7}",
        drop="networks",
    ),
    "address outside": site("machines:\n  n1: {serial: A1, address: 10.0.1.5}"),
    "address in the pool": site("machines:\n  n1: {serial: A1, address: 10.0.0.200}"),
    "address of the appliance": site("machines:\n  n1: {serial: A1, address: 10.0.0.1}"),
    "two machines with one serial": site("machines:\n  n1: {serial: AX1}\n  n2: {serial: ' ax1 '}"),
    "two machines with one MAC": site(
        "machines:\n  n1: {mac: '3c:ec:ef:0:0:1'}\n  n2: {mac: 3CECEF000001}\n  n3: {mac: 3c:ec:ef:00:00:01}"
    ),
    "two machines with one UUID": site(
        "machines:\n  n1: {uuid: 969ebc00-fc71-11e9-8000-ac1f6bdc19c2}\n"
        "  n2: {uuid: 00BC9E96-71FC-E911-8000-AC1F6BDC19C2}"
    ),
    "two machines with one name": site("machines:\n  - {name: n1, serial: A1}\n  - {name: N1, serial: B1}"),
    "two machines with one name as keys": site("machines:\n  n1: {serial: A1}\n  n1: {serial: B1}"),
    "two machines with one address": site(
        "machines:\n  n1: {serial: A1, address: 10.0.0.5}\n  n2: {serial: B1, address: 10.0.0.5}"
    ),
    "nothing identifies a machine": site("machines:\n  n1: {address: 10.0.0.5}\n  n2:"),
    "placeholder as serial": site("machines:\n  n1: {serial: To be filled by O.E.M.}"),
    "constant as UUID": site("machines:\n  n1: {uuid: 03000200-0400-0500-0006-000700080009}"),
    "host names": site(
        "machines:\n  n_1: {serial: A1}\n  n2.example: {serial: B1}\n  -n3: {serial: C1}\n  '42': {serial: D1}\n"
        f"  {'x' * 64}: {{serial: E1}}"
    ),
    "bad MACs": site("machines:\n  n1: {mac: 3c:ec:ef:12:34}\n  n2: {mac: '01:00:5e:00:00:01'}\n  n3: {mac: hello}"),
    "empty rule": site("approve:\n  - {}\n  -"),
    "unknown rule": site("approve:\n  - {switch_port: 7}\n  - {expectd: true}"),
    "rule any with others": site("approve:\n  - {any: true, serial: A1}"),
    "rule expected without machines": site("approve:\n  - expected: true"),
    "rule says yes": site("approve:\n  - any: yes"),
    "grant without serial": site("erase:\n  - {reason: old}"),
    "two grants for a serial": site("erase:\n  - {serial: WD1}\n  - {serial: wd1}"),
    "granted and protected": site("erase:\n  - {serial: WD1}\nprotect: [WD2, wd1]"),
    "protected twice": site("protect: [WD1, wd1]"),
    "keys": site(
        "ssh_keys:\n  - ssh-ed25519\n  - ssh-dss AAAA\n  - ssh-ed25519 AAAAC3NzaC1lZDI1\n"
        "  - ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIFEx2Hn9y0YqHjJjJ5xkVb0h0tq6Wc3m8k4Jf1q2s3T4\n"
        "  - '-----BEGIN OPENSSH PRIVATE KEY-----'"
    ),
    "domain": site("domain: -bad-.example"),
    "time servers": site("time_servers: [ntp_1]"),
    "console": site("console: serial"),
    "kernel arguments": site("kernel_arguments: [quiet splash, 'a\"b']"),
    "prefix": site("hostname_prefix: 9x"),
    "much at once": (
        "sitee: x\nnetworks:\n  provisioning: {cidr: 10.0.0.0/24, poool: 1}\n  extra: {cidr: 10.0.0.0/25}\n"
        "machines:\n  n1: {seral: A1}\n  n2: {serial: B1, profile: nope}\n  n3: {serial: b1, address: 10.0.9.9}\n"
        "approve:\n  - {}\nerase:\n  - serial: Default string\nprotect: B2\nssh_keys: nothing\n"
    ),
}


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 50


def test_error_texts(golden: Any) -> None:
    """Every broken file with all that is said about it; each of them is refused."""
    told = []
    for name, text in BROKEN.items():
        with pytest.raises(SiteError) as caught:
            load(text)
        told.append(f"# {name}\n{caught.value}\n")
    golden.check("site/errors.txt", "\n".join(told))


def test_problems_have_places() -> None:
    with pytest.raises(SiteError) as caught:
        load(BROKEN["much at once"])
    problems = caught.value.problems
    assert len(problems) >= 10
    assert [(p.line, p.column) for p in problems] == sorted((p.line, p.column) for p in problems)
    assert all(p.file == "site.yaml" and p.line >= 1 for p in problems)
