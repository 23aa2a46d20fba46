"""Board, processors, ports, LLDP, BMC and TPM on fake trees; and that one broken probe costs one field."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

import pytest

from agent.probe import board, lldp, management, processors, smbios
from agent.probe.ethtool import ETHTOOL_GLINKSETTINGS, LINK_SETTINGS, Ethtool, fastest_mode
from agent.probe.machine import Probe
from agent.probe.marker import running_permit
from agent.probe.nics import nics
from agent.probe.tree import Tree
from agent.probe.uarts import uarts
from agent.wire import Board, Content, Environment, Firmware, Neighbour, Tpm

UUID = "4c4c4544-0031-5710-804c-b1c04f4b3933"


def put(root: Path, files: dict[str, str | bytes]) -> Tree:
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value if isinstance(value, bytes) else value.encode())
    return Tree(root)


def structure(kind: int, body: bytes, *texts: str) -> bytes:
    tail = b"".join(text.encode() + b"\0" for text in texts) + b"\0"
    return bytes([kind, len(body) + 4, 0, 0]) + body + (tail if texts else b"\0\0")


def memory_device(size: int, extended: int = 0) -> bytes:
    body = bytearray(0x24)
    struct.pack_into("<H", body, 0x0C - 4, size)
    struct.pack_into("<I", body, 0x1C - 4, extended)
    return structure(17, bytes(body), "DIMM A1")


TABLE = b"".join(
    [
        structure(1, bytes(4) + uuid.UUID(UUID).bytes_le + bytes(3), "Dell Inc."),
        memory_device(16384),
        memory_device(0),
        memory_device(0xFFFF),
        memory_device(0x7FFF, 65536),
        memory_device(0x8000 | 512),
        structure(38, bytes([1]) + bytes(12)),
        structure(127, b""),
    ]
)


def test_smbios() -> None:
    assert smbios.installed_memory(TABLE) == (16384 + 65536) * 2**20 + 512 * 2**10
    assert smbios.system_uuid(TABLE, (2, 6)) == UUID
    assert smbios.system_uuid(TABLE, (2, 5)) == str(uuid.UUID(bytes=uuid.UUID(UUID).bytes_le))
    assert smbios.ipmi_interface(TABLE) == "kcs"
    assert smbios.version_of(b"_SM3_\0\0\x03\x04\0") == (3, 4)
    assert smbios.version_of(b"_SM_\0\0\x02\x08") == (2, 8)


@pytest.mark.parametrize("raw", [b"\0" * 16, b"\xff" * 16])
def test_invalid_uuid_is_absent(raw: bytes) -> None:
    assert smbios.system_uuid(structure(1, bytes(4) + raw), (3, 0)) == ""


def test_cut_tables_end_quietly() -> None:
    for length in range(len(TABLE)):
        smbios.installed_memory(TABLE[:length])
        smbios.ipmi_interface(TABLE[:length])


def test_server_board(fake_root: Path) -> None:
    base = "sys/class/dmi/id"
    tree = put(
        fake_root,
        {
            f"{base}/board_vendor": "Supermicro\n",
            f"{base}/board_name": "H12SSL-i\n",
            f"{base}/board_serial": " WM21AS600000 \n",
            f"{base}/product_name": "Super Server\n",
            smbios.TABLE: TABLE,
            smbios.ENTRY_POINT: b"_SM3_\0\0\x03\x04\0",
            "proc/cmdline": "BOOT_IMAGE=x rackseed.boot_mac=AC-1F-6B-DC-19-C2 console=ttyS0\n",
        },
    )
    found = board.board(tree)
    assert (found.vendor, found.name, found.serial) == ("Supermicro", "H12SSL-i", "WM21AS600000")
    assert found.system_uuid == UUID, "the kernel showed none: the raw table is read"
    assert board.firmware(tree) is Firmware.BIOS
    assert board.secure_boot(tree) is None
    assert board.boot_mac(tree) == "ac:1f:6b:dc:19:c2"
    (fake_root / "sys/firmware/efi").mkdir()
    assert board.firmware(tree) is Firmware.UEFI
    put(fake_root, {board.SECURE_BOOT: b"\x06\0\0\0\x01"})
    assert board.secure_boot(tree) is True


def test_raspberry_pi_5(fake_root: Path) -> None:
    base = "sys/firmware/devicetree/base"
    tree = put(
        fake_root,
        {
            f"{base}/model": b"Raspberry Pi 5 Model B Rev 1.0\0",
            f"{base}/compatible": b"raspberrypi,5-model-b\0brcm,bcm2712\0",
            f"{base}/serial-number": b"62511f5a1550c74c\0",
            f"{base}/system/linux,revision": bytes.fromhex("00d04170"),
            "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
        },
    )
    assert board.board(tree) == Board(
        model="Raspberry Pi 5 Model B Rev 1.0",
        compatible=("raspberrypi,5-model-b", "brcm,bcm2712"),
        pi_serial="62511f5a1550c74c",
        pi_revision="d04170",
    )
    assert board.firmware(tree) is Firmware.DEVICETREE
    assert processors.cpu(tree).model == "Cortex-A76"


def test_memory(fake_root: Path) -> None:
    tree = put(fake_root, {"proc/meminfo": "MemTotal:       24684092 kB\nMemFree: 1 kB\n", smbios.TABLE: TABLE})
    found = processors.memory(tree)
    assert (found.total, found.installed) == (24684092 * 1024, (16384 + 65536) * 2**20 + 512 * 2**10)


class FakeDriver:
    """Permanent addresses by name; everything else is not supported."""

    def __init__(self, **permanent: str) -> None:
        self.addresses = permanent

    def permanent(self, name: str) -> bytes:
        if name not in self.addresses:
            raise OSError(95, "Operation not supported")
        return bytes.fromhex(self.addresses[name].replace(":", ""))

    def firmware(self, name: str) -> str:
        if name not in self.addresses:
            raise OSError(95, "Operation not supported")
        return "8.30"

    def fastest(self, name: str) -> int | None:
        if name not in self.addresses:
            raise OSError(95, "Operation not supported")
        return 25000


def port(root: Path, name: str, where: str, **files: str) -> None:
    folder = root / "sys/devices" / where
    (folder / "net" / name).mkdir(parents=True)
    (folder / "net" / name / "device").symlink_to("../..")
    driver = root / "sys/bus/drivers/ice"
    driver.mkdir(parents=True, exist_ok=True)
    if not (folder / "driver").exists():
        (folder / "driver").symlink_to(driver)
    for key, value in {"address": "52:54:00:00:00:01", "type": "1", **files}.items():
        (folder / "net" / name / key).write_text(f"{value}\n")
    links = root / "sys/class/net"
    links.mkdir(parents=True, exist_ok=True)
    (links / name).symlink_to(folder / "net" / name)


def test_ports(fake_root: Path) -> None:
    port(fake_root, "eno1", "pci000c:00/000c:00:02.0/000c:01:00.0", carrier="1", speed="25000")
    port(fake_root, "eno2", "pci000c:00/000c:00:02.0/000c:01:00.0x", carrier="0", speed="-1", dev_port="1")
    port(fake_root, "usb0", "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0", address="2c:cf:67:00:00:09")
    port(fake_root, "ib0", "pci0000:81/0000:81:00.0", type="32", address="80:00:" + ":".join(["11"] * 18))
    port(fake_root, "vf0", "pci0000:81/0000:81:00.1")
    (fake_root / "sys/devices/pci0000:81/0000:81:00.1/physfn").mkdir()
    bond = fake_root / "sys/class/net/bond0"
    bond.mkdir()
    (bond / "address").write_text("2c:cf:67:00:00:01\n")
    found = {nic.name: nic for nic in nics(Tree(fake_root), FakeDriver(eno1="b4:96:91:00:00:01"))}
    assert set(found) == {"eno1", "eno2", "usb0", "ib0"}
    one, two = found["eno1"], found["eno2"]
    assert (one.mac, one.identifying, one.speed, one.carrier) == ("b4:96:91:00:00:01", True, 25000, True)
    assert (one.bus_path, one.driver, one.firmware, one.max_speed) == ("000c:01:00.0", "ice", "8.30", 25000)
    assert two.max_speed is None
    assert (two.mac, two.identifying, two.speed, two.carrier) == ("52:54:00:00:00:01", False, None, False)
    assert two.bus_path.endswith("-1")
    assert not found["usb0"].identifying and not found["ib0"].identifying


def test_ethtool_on_this_machine() -> None:
    """The loopback has no permanent address and no driver: the kernel says so, and we do not crash."""
    with pytest.raises(OSError, match=r"."):
        Ethtool().firmware("no-such-port")
    permanent = Ethtool().permanent("lo")
    assert not any(permanent)
    with pytest.raises(OSError, match=r"."):
        Ethtool().fastest("no-such-port")


def mask(*bits: int) -> tuple[int, ...]:
    value = sum(1 << bit for bit in bits)
    return tuple(value >> 32 * word & 0xFFFFFFFF for word in range(4))


@pytest.mark.parametrize(
    ("bits", "speed"),
    [
        ((), None),
        ((6, 7, 10, 13, 14, 49, 50, 51, 74), None),
        ((0, 1, 2, 3, 5, 6, 7, 13), 1000),
        ((5, 12, 15, 47, 48), 10000),
        ((31, 33, 43, 44, 50), 25000),
        ((17, 19, 23, 26, 31, 36, 39), 100000),
        ((40, 57), 100000),
        ((92, 99, 101), 10),
        ((66, 89), 400000),
    ],
)
def test_fastest_link_mode(bits: tuple[int, ...], speed: int | None) -> None:
    assert fastest_mode(mask(*bits)) == speed


def test_link_settings_are_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel with masks of three words, as Linux 6.12 has them: first it says how long they are, then it fills them."""
    asked: list[int] = []

    def kernel(_self: Ethtool, _name: str, command: bytes) -> bytes:
        fields = list(LINK_SETTINGS.unpack_from(command))
        assert fields[0] == ETHTOOL_GLINKSETTINGS
        asked.append(fields[9])
        if fields[9] != 3:
            fields[9] = -3
            return LINK_SETTINGS.pack(*fields)
        assert len(command) == LINK_SETTINGS.size + 36
        return LINK_SETTINGS.pack(*fields) + struct.pack("=9I", *mask(5, 31, 33)[:3], *[0xFFFFFFFF] * 6)

    monkeypatch.setattr(Ethtool, "_ethtool", kernel)
    assert Ethtool().fastest("eth0") == 25000
    assert asked == [0, 3]
    assert LINK_SETTINGS.size == 48


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!H", kind << 9 | len(value)) + value


def frame(*tlvs: bytes) -> bytes:
    return bytes.fromhex("0180c200000e020000000001") + struct.pack("!H", 0x88CC) + b"".join(tlvs)


CHASSIS, PORT, TTL = tlv(1, b"\x04\xaa\xbb\xcc\x00\x00\x01"), tlv(2, b"\x05swp7"), tlv(3, b"\0\x78")


def test_lldp_of_a_switch() -> None:
    raw = frame(
        CHASSIS, PORT, TTL, tlv(4, b"to rack 3"), tlv(5, b"leaf1\x1b[31m"),
        tlv(8, b"\x05\x01\x0a\x4d\x00\x02\x02\0\0\0\x01\0"), tlv(127, b"\x00\x80\xc2\x01\0\x0a"), tlv(0, b""), b"pad" * 9,
    )  # fmt: skip
    assert lldp.parse(raw) == Neighbour(
        chassis="aa:bb:cc:00:00:01",
        port="swp7",
        system="leaf1?[31m",
        port_description="to rack 3",
        management="10.77.0.2",
    )


def test_lldp_with_addresses_as_names() -> None:
    found = lldp.parse(frame(tlv(1, b"\x05\x01\x0a\x00\x00\x01"), tlv(2, b"\x03\xaa\xbb\xcc\x00\x00\x02"), TTL))
    assert found == Neighbour(chassis="10.0.0.1", port="aa:bb:cc:00:00:02")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        frame(),
        frame(CHASSIS, PORT),
        frame(CHASSIS, TTL),
        frame(CHASSIS, PORT, tlv(3, b"\0\0")),
        frame(CHASSIS, PORT, TTL)[:-1],
        frame(CHASSIS, PORT, tlv(3, b"\x78")),
        frame(tlv(1, b"\x04"), PORT, TTL),
        b"\0" * 60,
    ],
)
def test_lldp_nonsense(raw: bytes) -> None:
    assert lldp.parse(raw) is None


def test_management(fake_root: Path) -> None:
    tree = put(fake_root, {"proc/x": ""})
    assert management.bmc(tree) is None and management.tpm(tree) is None
    put(fake_root, {"dev/ipmi0": "", "sys/class/ipmi/ipmi0/device/bmc/firmware_revision": "1.74\n"})
    put(fake_root, {"sys/class/tpm/tpm0/tpm_version_major": "2\n"})
    found = management.bmc(tree)
    assert found is not None and (found.interface, found.firmware) == ("ipmi", "1.74")
    assert management.tpm(tree) == Tpm(version="2.0")
    put(fake_root, {smbios.TABLE: TABLE})
    found = management.bmc(tree)
    assert found is not None and found.interface == "kcs"


def test_a_broken_probe_costs_one_field(fake_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_tree: Tree) -> None:
        raise RuntimeError("a TPM that hangs")

    monkeypatch.setattr(management, "tpm", broken)
    tree = put(fake_root, {"sys/class/dmi/id/board_vendor": "Supermicro\n"})
    probe = Probe(
        environment=Environment.IMAGE,
        tree=tree,
        driver=FakeDriver(),
        look=lambda _node, _used: Content(),
        health=lambda _node, _transport: None,
    )
    inventory = probe.take()
    assert inventory.board.vendor == "Supermicro"
    assert {failure.probe: failure.message for failure in inventory.failures} == {
        "memory": "ValueError: /proc/meminfo has no MemTotal",
        "tpm": "RuntimeError: a TPM that hangs",
    }


def test_this_machine_is_inventoried_without_surprise() -> None:
    """Whatever runs the tests: only disks that we may not read may fail."""
    inventory = Probe(environment=Environment.IMAGE).take()
    assert inventory.memory.total > 2**28
    assert inventory.cpu.threads >= 1
    assert all(failure.probe.startswith("content of ") for failure in inventory.failures), inventory.failures


def test_running_permit_needs_a_partition(fake_root: Path) -> None:
    assert running_permit(Tree(fake_root)) == ""


def test_serial_ports_without_a_chip_are_none(fake_root: Path) -> None:
    for name, kind in (("ttyS0", "4"), ("ttyS1", "0"), ("ttyAMA0", "32"), ("tty1", None)):
        folder = fake_root / "sys/class/tty" / name
        folder.mkdir(parents=True)
        if kind is not None:
            (folder / "type").write_text(f"{kind}\n")
    assert uarts(Tree(fake_root)) == ("ttyAMA0", "ttyS0")
