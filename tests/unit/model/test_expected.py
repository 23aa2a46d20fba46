"""Which entry of the site file a machine is, by what the file gives; and counts."""

from __future__ import annotations

import pytest

from agent.wire import Inventory, Neighbour, Nic
from appliance.model.expected import Expectations, Shortage, approving_rule, expected_entry, shortages, switch_ports
from appliance.model.identity import Evidence, EvidenceKind, of_packet
from appliance.model.site import ApprovalRule, ExpectedCount, ExpectedMachine, Site
from tests.unit.plan.floor import inventory, site

MAC = "3c:ec:ef:00:00:07"
UUID = "4c4c4544-0042-3510-8052-b4c04f4e4a31"
SWAPPED = "44454c4c-4200-1035-8052-b4c04f4e4a31"


def found(where: Site, evidence: frozenset[Evidence], report: Inventory | None = None) -> str:
    """The name by both ways of asking, which always agree."""
    entry = expected_entry(where, evidence, report)
    assert Expectations(where).entry(evidence, report) is entry
    return entry.name if entry else ""


def serial(text: str) -> frozenset[Evidence]:
    return frozenset({Evidence(EvidenceKind.SYSTEM_SERIAL, text)})


def heard(system: str, port: str, chassis: str = "", description: str = "") -> Inventory:
    neighbour = Neighbour(chassis=chassis, port=port, system=system, port_description=description)
    return inventory(nics=(Nic(name="eth0", mac=MAC, neighbours=(neighbour,)),))


def test_by_serial_mac_and_uuid_in_either_order() -> None:
    where = site(
        machines=(
            ExpectedMachine(name="s", serial=" sn1 "),
            ExpectedMachine(name="m", mac=MAC.upper()),
            ExpectedMachine(name="u", uuid=UUID),
        )
    )
    assert found(where, serial("SN1")) == "s"
    assert found(where, of_packet(MAC)) == "m"
    assert found(where, of_packet("", (UUID,))) == found(where, of_packet("", (SWAPPED,))) == "u"
    assert found(where, serial("SN2")) == ""


def test_all_given_fields_must_fit() -> None:
    where = site(machines=(ExpectedMachine(name="n", serial="SN1", mac=MAC),))
    assert found(where, serial("SN1")) == ""
    assert found(where, serial("SN1") | of_packet(MAC)) == "n"


def test_two_that_fit_are_none() -> None:
    where = site(machines=(ExpectedMachine(name="a", serial="SN1"), ExpectedMachine(name="b", mac=MAC)))
    assert found(where, serial("SN1") | of_packet(MAC)) == ""


@pytest.mark.parametrize(
    ("port", "report"),
    [
        ("sw1/Ethernet1/7", heard("sw1", "Ethernet1/7")),
        ("SW1/ethernet1/7", heard("sw1.example.net", "Ethernet1/7")),
        ("sw1.example.net/7", heard("sw1.example.net", "7")),
        ("sw1/to n7", heard("sw1", "00:11:22:33:44:55", description="to n7")),
        ("00:aa:bb:cc:dd:ee/7", heard("", "7", chassis="00:AA:BB:CC:DD:EE")),
    ],
)
def test_by_switch_port(port: str, report: Inventory) -> None:
    where = site(
        machines=(ExpectedMachine(name="n7", switch_port=port), ExpectedMachine(name="n8", switch_port="sw1/8"))
    )
    assert found(where, frozenset(), report) == "n7"


def test_a_switch_port_needs_a_trusted_report() -> None:
    where = site(machines=(ExpectedMachine(name="n7", switch_port="sw1/7"),))
    assert found(where, serial("SN1")) == ""
    assert found(where, serial("SN1"), inventory()) == ""
    assert found(where, serial("SN1"), heard("sw1", "8")) == ""


def test_a_switch_port_beside_a_serial_counts_once_something_is_heard() -> None:
    where = site(machines=(ExpectedMachine(name="n7", serial="SN7", switch_port="sw1/7"),))
    assert found(where, serial("SN7")) == "n7", "LLDP is silent: the serial is enough"
    assert found(where, serial("SN7"), heard("sw1", "7")) == "n7"
    assert found(where, serial("SN7"), heard("sw1", "8")) == "", "it is plugged in elsewhere"


def test_spellings_of_a_switch_port() -> None:
    report = heard("Sw1.example.net", "Gi1/0/1", chassis="00:AA", description="uplink")
    assert switch_ports(report) == {
        f"{switch}/{port}" for switch in ("sw1.example.net", "sw1", "00:aa") for port in ("gi1/0/1", "uplink")
    }


def test_counts() -> None:
    where = site(counts=(ExpectedCount(profile="a", count=3), ExpectedCount(profile="b", count=1)))
    assert shortages(where, ["a", "a", "b", "b", "c"]) == {"a": Shortage(profile="a", have=2, wanted=3)}
    assert shortages(site(), ["a"]) == {}


def test_rules_say_what_approved() -> None:
    report = heard("sw1", "7")
    rules = (ApprovalRule(serial="SN9"), ApprovalRule(mac=MAC, expected=True), ApprovalRule(any=True))
    assert approving_rule(rules, report, "n7") == f"rule: MAC {MAC} (weak), expected as n7 (weak)"
    assert approving_rule(rules, report, "") == "rule: any machine"
    assert approving_rule(rules[:1], report, "n7") == ""
