"""Real workers, killed with SIGKILL at random moments: everything is done in the end, and every effect once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import select

from appliance.store import plans, schema, steps
from appliance.store.database import Store
from tests.unit.engine.storm import EFFECT, KILLS, MACHINES

ROOT = Path(__file__).resolve().parents[3]


def test_sigkill_storm(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.unit.engine.storm", str(tmp_path), str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    print(ran.stdout, ran.stderr)
    assert ran.returncode == 0, ran.stderr
    store = Store.open(f"sqlite:///{tmp_path / 'rackseed.db'}")
    with store.read() as connection:
        table = schema.event
        query = select(table.c.seq, table.c.kind, table.c.text).order_by(table.c.seq)
        told = [tuple(row) for row in connection.execute(query)]
        rows = steps.of_plan(connection, "p" * 64)
        plan = plans.get(connection, "p" * 64)
    store.close()
    assert plan is not None
    assert (plan.state, {row.state for row in rows}, len(rows)) == ("done", {"done"}, 2 * MACHINES)
    keys = {row.key for row in rows}
    effects = {text: seq for seq, kind, text in told if kind == EFFECT}
    assert Counter(text for _, kind, text in told if kind == EFFECT) == dict.fromkeys(keys, 1)
    assert Counter(text for _, kind, text in told if kind == "finished") == dict.fromkeys(keys, 1)
    assert not [text for _, kind, text in told if kind == "failed"]
    for row in rows:
        assert all(effects[before] < effects[row.key] for before in row.step.after)
    applied = Counter(line.split()[0] for line in (tmp_path / "effects.log").read_text().splitlines() if line)
    assert keys <= set(applied)
    print(f"{KILLS} kills, {sum(applied.values())} applies of {len(keys)} steps")
