"""Capture what real boot firmware sends: QEMU machines in a namespace, our servers, tcpdump; see README.md here.

python tests/golden/packets/capture.py IPXE_FOLDER OVMF_FOLDER [scenario …]      (root; from the top of the tree)
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[2]
NAMESPACE = f"rackseed-cap{os.getpid()}"
ADDRESS = "10.77.0.1"
UUID = "12345678-9abc-4def-8123-456789abcdef"
QEMU = [
    "qemu-system-x86_64",
    "-machine",
    "q35,accel=tcg",
    "-cpu",
    "EPYC,-cx16",
    "-nographic",
    "-no-reboot",
    "-uuid",
    UUID,
]
NO_IPV6 = ["-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"]
NO_PXE = ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n"]
SCENARIOS = {
    "bios-rom": "QEMU's own iPXE option ROM (virtio-net), SeaBIOS",
    "bios-undionly": "the same ROM given undionly.kpxe once, as plain PXE: then undionly.kpxe asks",
    "uefi-pxe": "OVMF's PXE, then snponly.efi",
    "uefi-http": "OVMF's HTTP Boot, then ipxe.efi",
}
SERVER = """
import sys
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from bench.directory import SqliteDirectory
from pxe.ports import Action, Decision, Pool, Stage
from pxe.serve import run
import logging
logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
class Once(SqliteDirectory):
    times = 0
    def decide(self, client):
        if scenario == "bios-undionly" and client.stage is Stage.IPXE and self.times < 2:
            self.times += 1
            return Decision(action=Action.LOADER, reason="plain", file="undionly.kpxe")
        return super().decide(client)
scenario, work = sys.argv[1], Path(sys.argv[2])
pool = Pool(subnet=IPv4Interface("10.77.0.1/24"), first=IPv4Address("10.77.0.100"), last=IPv4Address("10.77.0.199"),
            dns=(IPv4Address("10.77.0.1"),))
run(Once(work / "db", (pool,), root=work / "srv", url="http://10.77.0.1:8080"), ["br0"], probe_seconds=0)
"""


def sh(*argv: str) -> None:
    subprocess.run(argv, check=True)


def inside(*argv: str) -> list[str]:
    return ["ip", "netns", "exec", NAMESPACE, *argv]


def network() -> None:
    sh("ip", "netns", "add", NAMESPACE)
    for command in (
        "link set lo up",
        "link add br0 type bridge stp_state 0 forward_delay 0",
        f"addr add {ADDRESS}/24 dev br0",
        "link set br0 up",
        "tuntap add tap0 mode tap",
        "link set tap0 master br0 up",
    ):
        sh("ip", "-n", NAMESPACE, *command.split())


def served(work: Path, ipxe: Path) -> None:
    from pxe.script import chain  # noqa: PLC0415

    root = work / "srv"
    for folder in ("boot", "loaders"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("undionly.kpxe", "snponly.efi", "ipxe.efi"):
        found = ipxe / name
        if not found.exists():
            found = ipxe / f"ipxe-amd64{found.suffix}"
        shutil.copy(found, root / name)
        shutil.copy(found, root / "loaders" / name)
    (root / "autoexec.ipxe").write_text(chain(f"http://{ADDRESS}:8080"))
    (root / "boot" / "script.ipxe").write_text("#!ipxe\necho CAPTURE-SCRIPT-RUNS\nexit 1\n")


def machine(scenario: str, work: Path, ovmf: Path) -> list[str]:
    net = ["-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"]
    if scenario.startswith("bios"):
        return [*QEMU, "-m", "384", "-boot", "n", *net, "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01"]
    shutil.copy(ovmf / "OVMF_VARS_4M.fd", work / "vars.fd")
    flags = NO_IPV6 if scenario == "uefi-pxe" else [*NO_IPV6, *NO_PXE]
    mac = "52:54:00:00:00:02" if scenario == "uefi-pxe" else "52:54:00:00:00:03"
    return [
        *QEMU, "-m", "768", *flags, *net,
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={ovmf / 'OVMF_CODE_4M.fd'}",
        "-drive", f"if=pflash,unit=1,format=raw,file={work / 'vars.fd'}",
        "-device", f"virtio-net-pci,netdev=n0,mac={mac},romfile=,bootindex=1",
        "-object", "rng-random,id=r,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=r",
    ]  # fmt: skip


def udp_payloads(pcap: Path) -> list[tuple[float, int, int, bytes]]:
    """Time, source port, destination port and payload of the UDP datagrams of an Ethernet capture."""
    data = pcap.read_bytes()
    offset, found = 24, []
    while offset + 16 <= len(data):
        seconds, micro, size, _ = struct.unpack_from("<IIII", data, offset)
        frame = data[offset + 16 : offset + 16 + size]
        offset += 16 + size
        if frame[12:14] == b"\x08\x00" and frame[23] == 17:
            start = 14 + (frame[14] & 15) * 4
            source, target, length, _ = struct.unpack_from("!HHHH", frame, start)
            found.append((seconds + micro / 1e6, source, target, frame[start + 8 : start + length]))
    return found


def capture(scenario: str, ipxe: Path, ovmf: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix="rackseed-cap"))
    served(work, ipxe)
    pcap, running = work / "wire.pcap", []
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    try:
        network()
        for name, argv in {
            "tcpdump": ["tcpdump", "-i", "tap0", "-U", "-s", "2000", "-w", str(pcap), "udp"],
            "server": [sys.executable, "-c", SERVER, scenario, str(work)],
            "http": [sys.executable, "-m", "http.server", "8080", "--bind", ADDRESS, "--directory", str(work / "srv")],
            "qemu": machine(scenario, work, ovmf),
        }.items():
            log = (work / f"{name}.log").open("wb")
            running.append(
                subprocess.Popen(inside(*argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
            )
            time.sleep(0.5)
        end = time.monotonic() + 120
        while (
            running[1].poll() is None
            and time.monotonic() < end
            and b"CAPTURE-SCRIPT-RUNS" not in (work / "qemu.log").read_bytes()
        ):
            time.sleep(0.5)
        time.sleep(1)
        print((work / "http.log").read_text(errors="replace"))
        print((work / "server.log").read_text(errors="replace"))
        print((work / "qemu.log").read_text(errors="replace")[-1500:])
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()
        sh("ip", "netns", "del", NAMESPACE)
    packets = [
        {"to": target, "hex": payload.hex()} for _, _, target, payload in udp_payloads(pcap) if target in (67, 69, 4011)
    ]
    (HERE / f"{scenario}.json").write_text(
        json.dumps({"what": SCENARIOS[scenario], "packets": packets}, indent=1) + "\n"
    )
    print(scenario, len(packets), "packets")


if __name__ == "__main__":
    sys.path.insert(0, str(TOP))
    for chosen in sys.argv[3:] or SCENARIOS:
        capture(chosen, Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
