"""The systemd units that ship: complete, locked down, and accepted by systemd where it is installed."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.serve import processes

FOLDER = Path(processes.__file__).parent / "units"
MOST_EXPOSED = 2.0
"""Of 10, by ``systemd-analyze security``: http 1.2, agents 1.2, https 1.4, worker 1.0, netboot 1.7 (systemd 252)."""
MOST_EXPOSED_ROOT = 3.0
"""arbiter is root with a few capabilities: 2.7."""


def service(role: str) -> dict[str, list[str]]:
    """The [Service] section; a key may come several times."""
    found: dict[str, list[str]] = {}
    text = (FOLDER / f"rackseed-{role}.service").read_text().split("[Service]")[1].split("[Install]")[0]
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_every_process_has_a_unit_and_the_target_wants_them() -> None:
    assert {path.name for path in FOLDER.glob("*.service")} == {f"rackseed-{role}.service" for role in processes.ROLES}
    target = configparser.ConfigParser(interpolation=None)
    target.optionxform = str  # type: ignore[assignment,method-assign]
    target.read(FOLDER / "rackseed.target")
    assert set(target["Unit"]["Wants"].split()) == {f"rackseed-{role}.service" for role in processes.ROLES}


@pytest.mark.parametrize("role", [role for role in processes.ROLES if role != "arbiter"])
def test_only_the_boot_servers_have_capabilities(role: str) -> None:
    found = service(role)
    assert found["ExecStart"] == [f"/opt/rackseed/bin/rackseed serve {role}"]
    assert found["User"] == ["rackseed"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["NoNewPrivileges"] == ["yes"]
    expected = "CAP_NET_BIND_SERVICE CAP_NET_RAW" if role == "netboot" else ""
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == [expected]


def test_the_boot_servers_own_agent_is_root_and_sees_no_disk() -> None:
    """It writes Ceph's folders and its own, nothing else; no capability opens a raw device, and /dev has none."""
    found = service("arbiter")
    assert found["ExecStart"] == ["/opt/rackseed/bin/rackseed serve arbiter"]
    assert found["User"] == ["root"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["ReadWritePaths"] == ["/etc/ceph /var/lib/ceph /var/log/ceph /run/ceph"]
    assert found["PrivateDevices"] == ["yes"]
    assert found["DevicePolicy"] == ["closed"]
    assert "CAP_SYS_ADMIN" not in found["CapabilityBoundingSet"][0]
    assert "CAP_SYS_RAWIO" not in found["CapabilityBoundingSet"][0]
    assert "CAP_MKNOD" not in found["CapabilityBoundingSet"][0]


def test_systemd_accepts_them(tmp_path: Path) -> None:
    """Where there is no systemd (a container), the tests above are what there is."""
    if shutil.which("systemd-analyze") is None:
        return
    for path in FOLDER.iterdir():
        if path.suffix in {".service", ".target"}:
            (tmp_path / path.name).write_text(path.read_text().replace("/opt/rackseed/bin/rackseed", "/bin/true"))
    units = sorted(map(str, tmp_path.iterdir()))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "Unknown" not in checked.stderr
    for unit in units:
        if unit.endswith(".service"):
            judged = subprocess.run(
                ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
                capture_output=True,
                text=True,
                check=False,
            )
            level = re.search(r"exposure level for \S+: ([0-9.]+)", judged.stdout)
            assert level is not None, judged.stdout + judged.stderr
            bound = MOST_EXPOSED_ROOT if "arbiter" in unit else MOST_EXPOSED
            assert float(level[1]) <= bound, unit
