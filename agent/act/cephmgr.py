"""What Debian 13's ceph-mgr needs so that its modules load.

`mgr_util.py` of Ceph 18.2 begins with ``import bcrypt``; python3-bcrypt 4 is written in Rust: such modules refuse to load
in subinterpreters ("PyO3 modules do not yet support subinterpreters"), in which ceph-mgr runs every module of its own. So
none is loaded: no autoscaler, no balancer, HEALTH_WARN for ever (seen with 18.2.7+ds-1+deb13u1 and bcrypt 4.2.0). Only the
dashboard hashes passwords, so a stub stands before it on ceph-mgr's own PYTHONPATH.
"""

from __future__ import annotations

from pathlib import Path

from agent.act import cephfiles as files

STUB = '''\
"""Written by rackseed. Stands before python3-bcrypt for ceph-mgr only: the real one does not load in subinterpreters, and
with it none of the manager's modules would. Remove this folder and the drop-in of ceph-mgr@.service when it does."""


def _absent(*_arguments, **_options):
    raise NotImplementedError("python3-bcrypt does not load in ceph-mgr's subinterpreters")


hashpw = gensalt = checkpw = kdf = _absent
'''
FOLDER = Path("/usr/local/lib/rackseed/ceph-mgr")
DROP_IN = Path("/etc/systemd/system/ceph-mgr@.service.d/50-rackseed-bcrypt.conf")
NATIVE = Path("/usr/lib/python3/dist-packages/bcrypt")


def needed() -> bool:
    """Whether bcrypt here is the one in Rust."""
    return any(NATIVE.glob("_bcrypt*.so"))


def environment(folder: Path) -> dict[str, str]:
    """Writes the stub into ``folder`` where it is needed; what ceph-mgr's environment must have besides."""
    if not needed():
        return {}
    files.write(folder / "bcrypt.py", STUB, mode=0o644)
    return {"PYTHONPATH": str(folder)}


def drop_in() -> bool:
    """For systemd; whether it has to read its units again."""
    facts = environment(FOLDER)
    if not facts:
        return False
    lines = "".join(f"Environment={name}={value}\n" for name, value in facts.items())
    return files.write(DROP_IN, f"# Written by rackseed, see {FOLDER}/bcrypt.py\n[Service]\n{lines}", mode=0o644)
