"""Packing lists: as vendors and spreadsheets write them, with file, row and column in every error."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from appliance.model.site import ExpectedMachine, Site
from appliance.site import headings
from appliance.site.load import SiteError, complete_text, load_site, load_text
from appliance.site.machineentries import MachineEntry
from appliance.site.reference import fields_of

SYSTEMS = ("debian-13",)
SITE = """\
site: s
networks: {provisioning: {cidr: 10.0.0.0/16}}
racks: {r1: {}, r2: {}}
manifest: list.csv   # from the vendor
approve: [{expected: true}]
"""
LIST = """\
name,serial,mac,uuid,switch_port,profile,address,rack,unit,bmc
n1,s1,3C-EC-EF-00-00-01,969ebc00-fc71-11e9-8000-ac1f6bdc19c2,sw1/Eth1/1,epyc-compute,10.0.0.11,r1,12,10.0.9.1
n2,s2,,,,,,,,
"""
FULL = ExpectedMachine(
    name="n1",
    serial="S1",
    mac="3c:ec:ef:00:00:01",
    uuid="969ebc00-fc71-11e9-8000-ac1f6bdc19c2",
    switch_port="sw1/Eth1/1",
    profile="epyc-compute",
    address=IPv4Address("10.0.0.11"),
    rack="r1",
    unit=12,
    bmc="10.0.9.1",
)
VENDOR = (
    "Packing list;4711;;;;;\r\n"
    "Order;12 pieces;;;;;\r\n"
    ";;;;;;\r\n"
    "Pos.;Serial Number;MAC Address;Rack Unit;Rack;Hostname;Remark\r\n"
    '1;s1;3cecef000001;U12;r1;n1;"two lines\r\nof remarks; and more"\r\n'
    "# not delivered yet\r\n"
    "2;s2;3cec.ef00.0002;13u;r1;N2;\r\n"
)


def written(folder: Path, text: str | bytes, site: str = SITE) -> Path:
    """A site file with its list."""
    (folder / "list.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "site.yaml").write_text(site, encoding="utf-8")
    return folder / "site.yaml"


def load(path: Path) -> Site:
    return load_site(path, systems=SYSTEMS)


def refused(path: Path) -> str:
    with pytest.raises(SiteError) as caught:
        load(path)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_every_column_is_read(tmp_path: Path) -> None:
    site = load(written(tmp_path, LIST))
    assert site.machines == (FULL, ExpectedMachine(name="n2", serial="S2"))


def test_every_key_of_a_machine_has_a_column() -> None:
    assert set(headings.KEYS) == {spec.name for spec, _ in fields_of(MachineEntry)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_spreadsheets_write_it_in_many_ways(tmp_path: Path, delimiter: str, end: str, mark: str) -> None:
    text = mark + LIST.replace(",", delimiter).replace("\n", end)
    assert load(written(tmp_path, text)).machines[0] == FULL


def test_utf_16_with_its_mark(tmp_path: Path) -> None:
    """What Excel calls 'Unicode text'."""
    assert load(written(tmp_path, LIST.replace(",", "\t").encode("utf-16"))).machines[0] == FULL


def test_a_vendors_list(tmp_path: Path) -> None:
    """Lines above the headings, columns that say nothing, a quoted field with a line end, comments, a unit as U12."""
    site = load(written(tmp_path, VENDOR))
    assert [(m.name, m.serial, m.mac, m.unit) for m in site.machines] == [
        ("n1", "S1", "3c:ec:ef:00:00:01", 12),
        ("n2", "S2", "3c:ec:ef:00:00:02", 13),
    ]


@pytest.mark.parametrize(
    ("heading", "key"),
    [
        ("Serial Number", "serial"),
        ("S/N", "serial"),
        ("service_tag", "serial"),
        ("MAC-Address", "mac"),
        (" Hostname ", "name"),
        ("Rack Unit", "unit"),
        ("SWITCH PORT", "switch_port"),
        ("IPMI IP", "bmc"),
        ("IP Address", "address"),
        ("UUID", "uuid"),
        ("Part Number", ""),
        ("BMC MAC", ""),
        ("MAC 2", ""),
    ],
)
def test_headings(heading: str, key: str) -> None:
    assert headings.key(heading) == key
    assert headings.meant(heading) == "" or key


def test_machines_without_a_name_are_called_by_what_identifies_them(tmp_path: Path) -> None:
    """So that another order of rows gives the same names."""
    site = load(written(tmp_path, "serial,mac\nS-1,\n,3c:ec:ef:00:00:02\n"))
    assert [machine.name for machine in site.machines] == ["node-3cecef000002", "node-s1"]
    again = load(written(tmp_path, "serial,mac\n,3c:ec:ef:00:00:02\nS-1,\n"))
    assert again == site


def test_list_and_file_are_one(tmp_path: Path) -> None:
    path = written(tmp_path, LIST, SITE + "machines: {n3: {serial: s3}}\n")
    assert [machine.name for machine in load(path).machines] == ["n1", "n2", "n3"]
    path = written(tmp_path, LIST, SITE + "machines: {n2: {serial: s1}}\n")
    assert refused(path).splitlines() == [
        "list.csv:2:2: serial: two machines have the serial 'S1'; the other is at site.yaml:6:25",
        "list.csv:3:1: name: two machines have the name 'n2'; the other is at site.yaml:6:16",
    ]


BROKEN = {
    "no headings": "n1,s1\n",
    "empty": "",
    "headings that identify nothing": "name,rack\nn1,r1\n",
    "a heading with a slip": "Hostname,Seral Number,MAC Address\nn1,s1,3cecef000001\n",
    "two headings that mean the same": "name,serial,S/N\nn1,s1,s2\n",
    "a quote that is never closed": 'name,serial\nn1,s1\nn2,"s2\nn3,s3\n',
    "a quote in the middle": 'name,serial\nn1,"s1"x\n',
    "more fields than headings": "name,serial,rack\nn1,s1,r1,12\n",
    "every field": (
        "Hostname,Serial Number,MAC Address,UUID,Switch Port,Profile,IP,Rack,Rack Unit,BMC\n"
        "n_1,Default string,3c:ec,nothing,sw1,epyc,10.0.0,r 1,top,10.0.0.1:443\n"
    ),
    "what does not fit": (
        "name,serial,rack,unit,address,profile\nn1,s1,r3,1,10.1.0.1,epyc\nn2,s2,r1,99,10.0.0.1,\nn3,s3,,1,,\n"
    ),
    "the same twice": (
        "name,serial,mac,rack,unit,bmc\n"
        "n1,s1,3c:ec:ef:00:00:01,r1,1,10.0.9.1\n"
        "n2,S1,3C:EC:EF:00:00:01,r1,1,10.0.9.1\n"
        "N1,s3,,r2,1,\n"
    ),
    "nothing identifies a row": "name,serial\nn1,\nn2,s2\n,\n",
    "no name and a serial that can't be one": f"serial\n{'ab12' * 20}\n",
    "after a field with line ends": 'name,notes,serial\nn1,"a\nb\nc",s1\nn2,,s1\n',
}


def test_error_texts(tmp_path: Path, golden: Any) -> None:
    told = []
    for name, text in BROKEN.items():
        shown = "".join(f"    {line}\n" for line in text.splitlines())
        told.append(f"# {name}\n{shown}{refused(written(tmp_path, text))}\n")
    golden.check("site/manifest-errors.txt", "\n".join(told))


def test_files_that_are_no_lists(tmp_path: Path) -> None:
    assert "list.csv: is not UTF-8; save it as 'CSV UTF-8'" in refused(
        written(tmp_path, "name,serial\nä,s1\n".encode("cp1252"))
    )
    assert "is no text" in refused(written(tmp_path, b"PK\x03\x04\0\0"))
    (tmp_path / "list.csv").unlink()
    assert "site.yaml:4:11: manifest: list.csv: can't be read: No such file or directory" in refused(
        tmp_path / "site.yaml"
    )


@pytest.mark.parametrize("name", ["../list.csv", "/etc/passwd", "a/b.csv", "..", "'|'"])
def test_only_files_beside_it_are_read(tmp_path: Path, name: str) -> None:
    """A site file from elsewhere must not make us read other folders."""
    path = written(tmp_path, LIST, SITE.replace("list.csv", name))
    assert "the list stands beside the site file" in refused(path)
    with pytest.raises(SiteError, match="the list stands beside the site file"):
        complete_text(path)


def test_text_alone_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gets text from whoever may load it."""
    path = written(tmp_path, LIST)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SiteError, match="this text stands alone"):
        load_text(path.read_text(), systems=SYSTEMS)


@pytest.mark.parametrize(
    "site",
    [
        SITE,
        SITE.replace("list.csv   # from the vendor", "'list.csv'"),
        "".join(f"  {line}\n" for line in SITE.splitlines()),
        "\ufeff" + SITE.replace("\n", "\r\n"),
        "{site: s, networks: {provisioning: {cidr: 10.0.0.0/16}}, racks: {r1: {}}, manifest: list.csv, erase: []}\n",
        "{site: s, networks: {provisioning: {cidr: 10.0.0.0/16}}, racks: {r1: {}},\n manifest:\n  list.csv}\n",
    ],
)
@pytest.mark.parametrize(
    "text",
    [LIST, VENDOR, "\ufeff\n\n  name,serial\nno,s1\n\n\n", 'serial\n"s\u20281"\n'],
)
def test_what_is_stored_stands_alone(tmp_path: Path, site: str, text: str) -> None:
    """The list is put into the text, in whatever way the file was written; then no file is needed any more."""
    path = written(tmp_path, text, site)
    wanted = load(path)
    stored = complete_text(path)
    (tmp_path / "list.csv").unlink()
    assert load_text(stored, systems=SYSTEMS) == wanted
    path.write_text(stored, encoding="utf-8")
    assert complete_text(path) == stored.removeprefix("\ufeff") or site.startswith("\ufeff"), (
        "a second time changes nothing"
    )


def test_stored_text_is_readable(tmp_path: Path) -> None:
    assert complete_text(written(tmp_path, LIST)) == SITE.replace(
        "list.csv   # from the vendor\n", "|2\n" + "".join(f"  {line}\n" for line in LIST.splitlines())
    )


def test_errors_inside_the_file_have_its_lines() -> None:
    text = SITE.replace("list.csv   # from the vendor", "|\n  name,serial\n  n1,s1\n  n2,s1")
    with pytest.raises(SiteError) as caught:
        load_text(text, "site.yaml", systems=SYSTEMS)
    assert str(caught.value) == "site.yaml:7:2: serial: two machines have the serial 'S1'; the other is at 6:2"
    assert text.splitlines()[6].strip() == "n2,s1"


def test_errors_inside_a_quoted_text_say_the_row() -> None:
    """It is one line of the file, so the list's own line stands before the heading."""
    text = SITE.replace("list.csv   # from the vendor", r'"name,serial\nn1,s1\nn2,s1\nn_3,s3\n"')
    with pytest.raises(SiteError) as caught:
        load_text(text, "site.yaml", systems=SYSTEMS)
    assert str(caught.value).splitlines() == [
        "site.yaml:4:1: line 4: name: 'n_3' is no host name: letters, digits and inner hyphens only (RFC 1123); "
        "'n-3' would be one",
        "site.yaml:4:2: line 3: serial: two machines have the serial 'S1'; the other is at line 2 of the list",
    ]


def test_ten_thousand_rows_have_room(tmp_path: Path) -> None:
    """The pool of leases grows with the machines that are expected."""
    rows = "".join(f"m{number},S{number:06d}X\n" for number in range(10_000))
    site = load(written(tmp_path, "name,serial\n" + rows))
    assert len(site.machines) == 10_000
    assert int(site.provisioning.last) - int(site.provisioning.first) + 1 == 10_000
