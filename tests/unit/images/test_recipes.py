"""Recipes are readable; chunks, ELF headers and module globs are what they claim to be."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from images import recipe
from images.elf import library_closure, linkage
from images.errors import RecipeError, TreeError
from images.kernelmodules import Selection, _fits, copy_firmware, firmware_names
from images.recipe import AgentRecipe, agent_recipe, expand_braces, load, os_names, os_recipe
from images.root import chunk_hashes, sources_text

ROOT = Path(__file__).resolve().parents[3]


CEPH = "debian-13-ceph"


def test_agent_recipe_has_what_the_agent_calls() -> None:
    """Every program that the agent's code starts by name is in the image (or a command of busybox). What it does for Ceph
    only runs in the installed system, and on the boot server."""
    recipe = agent_recipe()
    busybox = {"chroot", "sh", "ip", "cat", "systemctl"}
    there = {Path(name).name for name in recipe.programs} | {Path(link.split(" -> ")[0]).name for link in recipe.links}
    called = set()
    for path in (ROOT / "agent").rglob("*.py"):
        if path.name.startswith("ceph") or path.name == "arbiter.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"run", "Pipeline"}:
                for argument in node.args:
                    first = argument.elts[0] if isinstance(argument, ast.List | ast.Tuple) and argument.elts else None
                    if isinstance(first, ast.Constant) and isinstance(first.value, str):
                        called.add(first.value)
    assert called, "the agent starts programs"
    assert called <= there | busybox


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Top-level packages that these statements import, without the agent's own."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found - {"agent"}


def test_images_have_what_the_agent_imports() -> None:
    """What a module imports at once must be in the agent image; what a function imports, at least in every root image
    (some of the agent only runs in the installed system)."""
    recipe = agent_recipe()
    for path in (ROOT / "agent").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        later = {
            node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)
        }
        at_once = imported(node for node in ast.walk(tree) if node not in later)
        for top in at_once | imported(later):
            if top in sys.stdlib_module_names:
                assert top not in recipe.python_without, f"{path} imports {top}, which the agent image leaves out"
            elif top in at_once:
                assert top in recipe.python_with, f"{path} imports {top}, which the agent image lacks"
            else:
                for name in os_names():
                    assert f"python3-{top}" in os_recipe(name).packages, f"{path} imports {top}, which {name} lacks"


@pytest.mark.parametrize("name", os_names())
def test_os_recipes_are_readable(name: str) -> None:
    recipe = os_recipe(name)
    assert recipe.name == name
    assert {"python3", "python3-cryptography", "openssh-server", "linux-image-amd64"} <= set(recipe.packages)
    text = sources_text(recipe)
    assert f"URIs: {recipe.archive}\nSuites: {recipe.suite} {recipe.suite}-updates\n" in text


def test_an_addition_has_all_that_its_base_has() -> None:
    base, more = os_recipe("debian-13"), os_recipe(CEPH)
    for field in ("packages", "without", "keep", "enable", "disable", "mask", "files"):
        ours, theirs = getattr(more, field), getattr(base, field)
        assert ours[: len(theirs)] == theirs, field
        assert len(set(ours)) == len(ours), f"{field}: something is there twice"
    assert (more.suite, more.archive, more.firmware) == (base.suite, base.archive, base.firmware)
    assert (more.folders, base.folders) == ((CEPH, "debian-13"), ("debian-13",))


def test_templates_and_scripts_of_the_base_are_shared() -> None:
    more = os_recipe(CEPH)
    assert [path.parent.name for path in more.find("files")] == ["debian-13"]
    assert [path.parent.name for path in more.find("customize.sh")] == [CEPH, "debian-13"], (
        "its own first, then clean up"
    )


def test_ceph_is_whole_and_small() -> None:
    """Daemons, clients without a kernel driver, what makes OSDs; no orchestrator of its own, no dashboard."""
    packages = set(os_recipe(CEPH).packages)
    assert {
        "ceph-mon",
        "ceph-mgr",
        "ceph-osd",
        "ceph-mds",
        "radosgw",
        "ceph-volume",
        "lvm2",
        "cryptsetup-bin",
    } <= packages
    assert {"ceph-common", "ceph-fuse", "python3-rados", "python3-rbd", "python3-cephfs"} <= packages
    assert not {name for name in packages if "cephadm" in name or "dashboard" in name}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: new\nbase: new\n", "the base of new must be"),
        (f"name: new\nbase: {CEPH}\n", "the base of new must be"),
        ("name: new\nbase: debian-99\n", "no operating system 'debian-99'"),
        ("name: new\nbase: debian-13\nsuite: sid\n", "os.yaml:3:1"),
    ],
    ids=["itself", "a-chain", "unknown", "a-field-of-the-base"],
)
def test_a_wrong_addition_is_refused(tmp_path: Path, monkeypatch: Any, text: str, expected: str) -> None:
    shutil.copytree(recipe.FOLDER / "os", tmp_path / "os")
    (tmp_path / "os/new").mkdir()
    (tmp_path / "os/new/os.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    monkeypatch.setattr(recipe, "os_recipe", functools.cache(os_recipe.__wrapped__))
    with pytest.raises(RecipeError, match=re.escape(expected)):
        recipe.os_recipe("new")


def test_unknown_system_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="debian-13"):
        os_recipe("debian-99")


def test_a_wrong_recipe_has_positions(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("packages: [a]\nmodules: []\nprogramms: []\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=re.escape("agent.yaml:3:1")):
        load(path, AgentRecipe)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 30])
def test_chunks_cover_the_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    content = bytes(range(size))
    path.write_bytes(content)
    expected = [hashlib.sha256(content[at : at + 10]).hexdigest() for at in range(0, size, 10)]
    assert list(chunk_hashes(path, 10)) == expected


def test_braces() -> None:
    assert expand_braces("a/{b,c}/{d,e}") == ("a/b/d", "a/b/e", "a/c/d", "a/c/e")
    assert expand_braces("plain") == ("plain",)


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("drivers/net/ethernet/intel/ice/ice", "drivers/net/ethernet/intel/**", True),
        ("drivers/net/tun", "drivers/net/*", True),
        ("drivers/net/ethernet/intel/ice/ice", "drivers/net/*", False),
        ("fs/ext4/ext4", "fs/ext4/ext4", True),
        ("fs/ext4/ext4-inode-test", "fs/ext4/ext4", False),
    ],
)
def test_module_globs(name: str, pattern: str, fits: bool) -> None:
    assert _fits(name, pattern) is fits


def test_firmware_is_what_the_modules_name(tmp_path: Path) -> None:
    module = tmp_path / "out/usr/lib/modules/6.12/kernel/net/nic.ko"
    module.parent.mkdir(parents=True)
    module.write_bytes(b"\x7fELF..\0license=GPL\0firmware=nic/a.bin\0firmware=nic/b-*.bin\0alias=pci\0firmware=gone\0")
    base = tmp_path / "tree/usr/lib/firmware/nic"
    base.mkdir(parents=True)
    for name in ("a.bin", "b-1.bin", "other.bin"):
        (base / name).write_bytes(name.encode())
    asked = firmware_names(tmp_path / "out", Selection(version="6.12", modules=("kernel/net/nic.ko.xz",), unmatched=()))
    assert asked == (("nic", "gone"), ("nic", "nic/a.bin"), ("nic", "nic/b-*.bin"))
    assert copy_firmware(tmp_path / "tree", tmp_path / "out", asked) == ("nic/a.bin", "nic/b-1.bin")


def test_reads_the_interpreter_that_runs_us() -> None:
    facts = linkage(Path(sys.executable).resolve().read_bytes())
    assert facts.interpreter.startswith("/lib")
    assert any(name.startswith("libc.so") for name in facts.needed)


def test_elf_refuses_other_files() -> None:
    with pytest.raises(ValueError, match="not a 64-bit"):
        linkage(b"#!/bin/sh\n" + bytes(64))


def test_a_missing_library_names_who_needs_it(tmp_path: Path) -> None:
    program = tmp_path / "usr/bin/program"
    program.parent.mkdir(parents=True)
    program.write_bytes(Path(sys.executable).resolve().read_bytes())
    with pytest.raises(TreeError, match=r"usr/bin/program needs .*add its package"):
        library_closure(tmp_path, [program])
