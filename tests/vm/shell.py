"""Commands on an installed machine of a rack: what it says of itself, whatever the appliance believes."""

from __future__ import annotations

import subprocess

from appliance.rehearsal.session import Session

OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "120",
    "KexAlgorithms": "curve25519-sha256",  # the default one (post-quantum) costs an emulated machine seconds
    "LogLevel": "ERROR",
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
}


def on(session: Session, name: str, script: str, *, timeout: float = 600.0) -> str:
    """The output of a shell script that root runs on a machine. AssertionError with what it said when it fails."""
    argv = ["ssh", "-i", str(session.rack.folder / "ssh-key")]
    argv += [word for option, value in OPTIONS.items() for word in ("-o", f"{option}={value}")]
    argv += [f"root@{session.machines[name]['address']}", "sh -eu"]
    done = subprocess.run(
        session.rack.namespace.command(argv),
        input=script,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {script}\n{done.stdout}{done.stderr}"
    return done.stdout
