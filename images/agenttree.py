"""From unpacked packages to the tree of the agent image: only what the recipe names, and what that needs."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from images.elf import is_elf, library_closure
from images.errors import TreeError
from images.recipe import FOLDER, AgentRecipe
from images.unpacked import LOADER, run_unpacked

PYTHON = "usr/bin/python3.13"
PYTHON_LIBRARY = "usr/lib/python3.13"
DIST_PACKAGES = "usr/lib/python3/dist-packages"
COMPILER_MODULES = ("encodings/__init__.py", "encodings/aliases.py", "encodings/utf_8.py", "encodings/ascii.py")
MERGED = (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"))
FOLDERS = (
    "dev",
    "etc/rackseed",
    "mnt",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "usr/lib64",
    "usr/sbin",
    "var/lib",
    "usr/lib/rackseed",
)
POWER = ("poweroff", "reboot", "halt")
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\ndisk:x:6:\nkmem:x:15:\ncdrom:x:24:\ntape:x:26:\ndialout:x:20:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/resolv.conf": "",
    "etc/os-release": 'NAME="rackseed agent image"\nID=rackseed-agent\nID_LIKE=debian\nPRETTY_NAME="rackseed agent image"\n',
    "etc/fstab": "",
}
SCRIPTS = {
    "init": "init.sh",
    "usr/lib/rackseed-init/network.sh": "network.sh",
    "usr/lib/rackseed-init/udhcpc.sh": "udhcpc.sh",
    "usr/sbin/power": "power.sh",
}


def assemble(tree: Path, target: Path, recipe: AgentRecipe) -> None:
    """Programs, libraries, data, Python and our scripts. Kernel modules and firmware are added by `kernelmodules`.

    Raises `TreeError` when the packages lack something that the recipe names.
    """
    for name in FOLDERS:
        (target / name).mkdir(parents=True, exist_ok=True)
    for name, link in MERGED:
        if not (target / name).is_symlink():
            (target / name).symlink_to(link)
    for name in recipe.programs:
        _copy(tree, target, name)
    for pattern in recipe.data:
        _copy_glob(tree, target, pattern)
    copy_python(tree, target, recipe)
    binaries = [tree / path.relative_to(target) for path in _elf_files(target)]
    for path in library_closure(tree, binaries, recipe.libraries):
        _copy(tree, target, path.relative_to(tree).as_posix())
    (target / "usr/lib64/ld-linux-x86-64.so.2").symlink_to("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    for text in recipe.links:
        name, _, destination = text.partition(" -> ")
        _link(target, name, destination)
    _own_files(target)
    _busybox_links(tree, target)


def copy_python(tree: Path, target: Path, recipe: AgentRecipe) -> None:
    """The standard library without what the recipe leaves out, and the named packages, as byte code without sources."""
    for path in sorted((tree / PYTHON_LIBRARY).iterdir()):
        for item in sorted(path.iterdir()) if path.name == "lib-dynload" else [path]:
            if not _fits_any(item.name.removesuffix(".py"), recipe.python_without):
                _copy_python_files(tree, target, item)
    for path in sorted((tree / DIST_PACKAGES).iterdir()):
        if _fits_any(path.name.removesuffix(".py"), recipe.python_with):
            _copy_python_files(tree, target, path)
    missing = [pattern for pattern in recipe.python_with if not list((target / DIST_PACKAGES).glob(pattern))]
    if missing:
        raise TreeError(f"no package brings the Python packages {', '.join(missing)}: add them to the recipe")
    sources = sorted(str(path) for path in (target / "usr/lib").rglob("*.py"))
    compile_sources(tree, "only", target, sources)


def _copy_python_files(tree: Path, target: Path, path: Path) -> None:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        wanted = file.suffix == ".py" or ".so" in file.suffixes
        tests = {"test", "tests", "__pycache__"} & set(file.relative_to(tree).parts)
        if file.is_file() and wanted and not tests:
            _copy(tree, target, file.relative_to(tree).as_posix())


def compile_sources(tree: Path, mode: str, root: Path, sources: Sequence[str]) -> None:
    """Compile by the interpreter in ``tree``; see `images.bytecode`."""
    env = {"PYTHONHOME": str(tree / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    script = FOLDER / "bytecode.py"
    run_unpacked(tree, PYTHON, "-S", "-s", "-P", script, mode, root, *sources, name="python3.13", env=env)


def copy_compiler(tree: Path, target: Path) -> None:
    """The least of Python that `compile_sources` needs: kept beside the image, so that a change of the agent's code is
    compiled without unpacking packages."""
    names = [PYTHON, LOADER, *(f"{PYTHON_LIBRARY}/{name}" for name in COMPILER_MODULES)]
    libraries = library_closure(tree, [tree / PYTHON])
    for name in [*names, *(path.relative_to(tree).as_posix() for path in libraries)]:
        out = target / name
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tree / name, out)
        out.chmod(0o755)


def _own_files(target: Path) -> None:
    for name, text in TEXTS.items():
        (target / name).write_text(text, encoding="utf-8")
    for name, script in SCRIPTS.items():
        out = target / name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes((FOLDER / "initramfs" / script).read_bytes())
        out.chmod(0o755)
    for name in POWER:
        _link(target, f"usr/sbin/{name}", "power")


def _busybox_links(tree: Path, target: Path) -> None:
    """busybox for every command that nothing else brings."""
    for name in run_unpacked(tree, "usr/bin/busybox", "--list", name="busybox").stdout.split():
        taken = [target / folder / name for folder in ("usr/bin", "usr/sbin")]
        if not any(path.is_symlink() or path.exists() for path in taken):
            _link(target, f"usr/bin/{name}", "busybox")


def _link(target: Path, name: str, destination: str) -> None:
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(destination)


def _copy(tree: Path, target: Path, name: str) -> None:
    """A file with the content behind its links. The recipe names what is called; who links to whom is not our business."""
    source, out = tree / name, target / name
    if not source.is_file():
        raise TreeError(f"/{name} is in none of the packages: is its package in the recipe?")
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, out)
    out.chmod(0o755 if source.stat().st_mode & 0o111 else 0o644)


def _copy_glob(tree: Path, target: Path, pattern: str) -> None:
    folder = pattern.removesuffix("/**")
    names: Iterable[str] = [pattern]
    if folder != pattern:
        names = [path.relative_to(tree).as_posix() for path in sorted((tree / folder).rglob("*")) if path.is_file()]
    for name in names:
        _copy(tree, target, name)


def _elf_files(target: Path) -> list[Path]:
    files = (path for path in sorted(target.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path for path in files if path.suffix != ".ko" and is_elf(path)]


def _fits_any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
