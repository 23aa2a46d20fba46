"""DHCP: full exchanges (DISCOVER, OFFER, REQUEST, ACK) per second with leases on disk, against Kea and dnsmasq.

Ours stores every lease in SQLite with synchronous=FULL before its ACK. Kea's memfile and dnsmasq's lease file are written,
but not flushed to the disk for each ACK; so they promise less, which is not taken into account.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.namespaces import Pair, cpu_seconds, joined, running
from bench.row import Row

SECONDS = 6.0
CLIENTS = (1, 50)
FIRST, LAST = "10.98.4.1", "10.98.255.254"


def run() -> list[Row]:
    """The load is the same for all; one server at a time, each with a fresh lease file."""
    rates: dict[str, dict[int, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="rackseed-bench") as folder:
        for name, start in SERVERS.items():
            work = Path(folder) / name
            work.mkdir()
            rates[name] = {}
            for clients in CLIENTS:
                with joined("dhcp") as pair:
                    rates[name][clients] = _measure(pair, start(pair, work), work, clients)
                shutil.rmtree(work)
                work.mkdir()
    rows = [
        _row(label, clients, rates[ours][clients], other, rates[other][clients])
        for ours, label in OURS.items()
        for other in ("kea", "dnsmasq")
        for clients in CLIENTS
    ]
    busy = CLIENTS[-1]
    return [
        *rows,
        Row(
            section="dhcp",
            what="server CPU per 1000 exchanges",
            unit="s",
            ours=rates["servers"][busy]["cpu"],
            against="kea",
            reference=rates["kea"][busy]["cpu"],
            better="lower",
        ),
    ]


def _row(label: str, clients: int, ours: dict[str, float], other: str, theirs: dict[str, float]) -> Row:
    return Row(
        section="dhcp",
        what=f"{label}: exchanges/s, {clients} under way",
        unit="1/s",
        ours=ours["rate"],
        against=other,
        reference=theirs["rate"],
        note=f"retries {ours['retries']:.0f} / {theirs['retries']:.0f}",
    )


def _appliance(pair: Pair, work: Path) -> list[str]:
    return pair.in_server(sys.executable, "-m", "bench.netboot_server", str(work))


def _measure(pair: Pair, argv: list[str], work: Path, clients: int) -> dict[str, float]:
    with running(argv, work / "log", ready=4.0) as server:
        before = cpu_seconds(server)
        load = [sys.executable, "-m", "bench.dhcp_load", str(SECONDS), str(clients)]
        top = Path(__file__).resolve().parent.parent
        done = subprocess.run(pair.in_client(*load), capture_output=True, text=True, cwd=top, timeout=60, check=True)
        result: dict[str, float] = json.loads(done.stdout)
        if result["done"] == 0:
            raise RuntimeError(f"no exchange with {argv}:\n{(work / 'log').read_text(errors='replace')[-1500:]}")
        assert result["addresses"] == result["done"], "an address was given twice"
        result["cpu"] = (cpu_seconds(server) - before) / result["done"] * 1000
    return result


def _ours(pair: Pair, work: Path) -> list[str]:
    pool = f"10.98.0.1/16,{FIRST},{LAST}"
    options = ["--pool", pool, "--database", str(work / "lease.db"), "--root", str(work), "--level", "WARNING"]
    return pair.in_server(sys.executable, "-m", "bench.boot_server", "eth0", *options)


def _kea(pair: Pair, work: Path) -> list[str]:
    if shutil.which("kea-dhcp4") is None:
        raise RuntimeError("kea-dhcp4 is not installed: tests/packages.sh bench")
    config = {
        "Dhcp4": {
            "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "raw"},
            "lease-database": {"type": "memfile", "persist": True, "name": str(work / "kea-leases.csv")},
            "valid-lifetime": 3600,
            "subnet4": [{"id": 1, "subnet": "10.98.0.0/16", "pools": [{"pool": f"{FIRST} - {LAST}"}]}],
            "loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": "stderr"}]}],
        }
    }
    path = work / "kea.json"
    path.write_text(json.dumps(config))
    shell = f"KEA_PIDFILE_DIR={work} KEA_LOCKFILE_DIR={work} exec kea-dhcp4 -c {path}"
    return pair.in_server("sh", "-c", shell)


def _dnsmasq(pair: Pair, work: Path) -> list[str]:
    if shutil.which("dnsmasq") is None:
        raise RuntimeError("dnsmasq is not installed: tests/packages.sh bench")
    flags = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--interface=eth0"]
    flags += ["--bind-interfaces", "--no-ping", "--dhcp-authoritative", "--log-facility=/dev/null", "--pid-file="]
    flags += [f"--dhcp-range={FIRST},{LAST},255.255.0.0,1h", "--dhcp-lease-max=60000"]
    return pair.in_server("dnsmasq", *flags, f"--dhcp-leasefile={work / 'dnsmasq.leases'}")


SERVERS = {"servers": _ours, "appliance": _appliance, "kea": _kea, "dnsmasq": _dnsmasq}
#: The servers with leases only are like for like. In the appliance each client here is a machine never seen before, which
#: is recorded with its timeline in the same database; no reference does that.
OURS = {"servers": "leases in SQLite", "appliance": "whole appliance, new machines"}
