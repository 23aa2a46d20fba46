"""iPXE scripts: goldens of each kind, and laws that keep a machine from hanging or running what a name smuggles in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxe.ports import Action, Decision, Kernel
from pxe.script import chain, render

BASE = "http://10.0.0.1:8080"
AGAIN = f"{BASE}/boot/script.ipxe?mac=02:00:00:00:00:01"
KERNEL = Kernel(
    kernel=f"{BASE}/artefacts/ab/vmlinuz",
    initrds=(f"{BASE}/artefacts/cd/agent.initrd", f"{BASE}/site.cpio"),
    arguments=("console=ttyS0,115200n8", "rackseed.boot_mac=02:00:00:00:00:01"),
)
DECISIONS = {
    "agent": Decision(action=Action.SCRIPT, reason="unknown machine: agent image", kernel=KERNEL, machine="m1"),
    "local-exit": Decision(action=Action.LOCAL, reason="deployed: local disk", machine="m1"),
    "local-sanboot": Decision(action=Action.LOCAL, reason="deployed: local disk", local_method="sanboot", machine="m1"),
    "nothing": Decision(action=Action.IGNORE, reason="arm64 UEFI: there is no agent image yet"),
    "retry": Decision(action=Action.IGNORE, reason="no agent image is built", retry=20),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_scripts(name: str, golden: Any) -> None:
    golden.check(f"ipxe/{name}.ipxe", render(DECISIONS[name], again=AGAIN))


def test_chain(golden: Any) -> None:
    golden.check("ipxe/autoexec.ipxe", chain(BASE))


def check(text: str) -> None:
    lines = text.splitlines()
    assert lines[0] == "#!ipxe"
    labels = {line[1:] for line in lines if line.startswith(":")}
    for target in re.findall(r"goto (\S+)", text):
        assert target in labels, f"goto {target} leads nowhere"
    for line in lines:
        if line.startswith(("kernel ", "initrd ", "boot ", "chain ", "sanboot ")):
            assert "||" in line, f"a failure of {line!r} would end the script without a word"
        assert not line.startswith(("shell", "prompt", "config")), "waits for a person"
    assert lines[-1] in ("reboot", "exit 1", "exit 0"), "the end of a script is a reboot or the way out"


@pytest.mark.parametrize("name", DECISIONS)
def test_no_script_hangs(name: str) -> None:
    check(render(DECISIONS[name], again=AGAIN))
    check(chain(BASE))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.text(max_size=60), st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_no_text_adds_a_command(reason: str, machine: str, arguments: list[str]) -> None:
    kernel = Kernel(kernel=f"{BASE}/k", initrds=(f"{BASE}/i",), arguments=tuple(arguments))
    plain = Kernel(kernel=f"{BASE}/k", initrds=(f"{BASE}/i",))
    written = render(Decision(action=Action.SCRIPT, reason=reason, machine=machine, kernel=kernel), again=AGAIN)
    expected = render(Decision(action=Action.SCRIPT, reason="r", machine="m", kernel=plain), again=AGAIN)
    check(written)
    assert len(written.splitlines()) == len(expected.splitlines())
    assert written.count("||") == expected.count("||")
    assert written.count("&&") == expected.count("&&")
    assert written.count("${") == expected.count("${")
