"""The rules of the house, as tests: layers, sizes, lanes, packages, and nothing of one machine in the tree."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("appliance", "agent", "images", "pxe", "hwprofiles")
SOURCES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts  # generated
)


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def tool(name: str) -> str:
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f"{name} is not installed beside the interpreter")
    return str(path)


def test_import_contracts_hold() -> None:
    result = run(tool("lint-imports"), "--no-cache")
    assert result.returncode == 0, result.stdout


def test_ruff_finds_nothing() -> None:
    result = run(tool("ruff"), "check", ".")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    """DESIGN: a module has at most 400 lines, a function at most 40 (its docstring is not counted)."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, "split the module by noun"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None and len(node.body) > 1
            first = node.body[1] if documented else node.body[0]
            length = (node.end_lineno or 0) - first.lineno + 1
            assert length <= 40, f"{node.name} has {length} lines"


def test_agent_imports_only_what_its_image_carries() -> None:
    allowed = {"psutil", "pyudev", "pyroute2", "requests", "cryptography", "agent", "urllib3"}
    for path in (ROOT / "agent").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                assert top in allowed or top in sys.stdlib_module_names, f"{path}: {name}"


def test_wire_is_standard_library_only() -> None:
    tree = ast.parse((ROOT / "agent" / "wire.py").read_text(encoding="utf-8"))
    tops = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert tops <= sys.stdlib_module_names


def test_lock_covers_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for group in project["optional-dependencies"].values() for name in group),
    ]
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8").lower()
    for requirement in wanted:
        name = re.split(r"[<>=\[ ;]", requirement)[0].lower().replace(".", "-")
        assert re.search(rf"^{re.escape(name)}==", lock, re.MULTILINE), f"{name}: run make lock"
    assert "--hash=sha256:" in lock


def test_lanes_complain_about_skips(tmp_path: Path) -> None:
    skipped = '<testcase classname="c" name="n"><skipped message="{}"/></testcase>'
    passed = '<testcase classname="c" name="ok"/>'
    for reason, code in (("needs root", 1), ("the corpus is absent: x", 0)):
        report = tmp_path / "lane.xml"
        report.write_text(f"<testsuite>{skipped.format(reason)}{passed}</testsuite>")
        assert run(sys.executable, "tests/lanes.py", str(report)).returncode == code
    report.write_text("<testsuite></testsuite>")
    assert run(sys.executable, "tests/lanes.py", str(report)).returncode == 1


def test_no_mirror_or_machine_path_in_the_tree() -> None:
    """A mirror's address is inherited or configured; deb.debian.org is the public default of installed systems."""
    listed = run("git", "ls-files", "-z")
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    pattern = re.compile(r"artifactregistry|pkg\.dev|/home/[a-z]+/|pythonhosted")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in {".png", ".ico"} or not path.is_file() or path.name == Path(__file__).name:
            continue
        found = pattern.search(path.read_text(encoding="utf-8", errors="replace"))
        assert found is None, f"{name}: {found}"


def test_package_script_names_every_group() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    script = (ROOT / "tests" / "packages.sh").read_text(encoding="utf-8")
    used = {word for line in re.findall(r"packages\.sh ([a-z ]+)", makefile) for word in line.split()}
    declared = set(re.findall(r"^  \[(\w+)\]=", script, re.MULTILINE))
    assert used <= declared
