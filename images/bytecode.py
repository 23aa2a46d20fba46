"""Compiles Python sources for the image's interpreter, by that interpreter: ``python3.13 bytecode.py MODE ROOT FILE…``.

Runs with builtin modules and ``encodings`` alone. The byte code is of the unchecked-hash kind (PEP 552): no time stamps,
so it is reproducible, and no source is read at start. MODE ``only`` leaves ``x.pyc`` in the place of ``x.py``, without
docstrings and assertions; MODE ``beside`` writes ``__pycache__/x.<tag>.pyc`` and keeps the source, for tracebacks.
Paths in the byte code are those of the image: relative to ROOT, with a slash before.
"""

import _frozen_importlib_external as importer
import marshal
import posix
import sys

HEADER = importer.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
"""Magic number, flags (hash-based, unchecked), and the hash of the source, which nobody compares."""


def compile_file(mode: str, root: str, path: str) -> None:
    """One file. Raises SyntaxError."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not there
        source = file.read()
    alone = mode == "only"
    code = compile(source, path.removeprefix(root), "exec", dont_inherit=True, optimize=2 if alone else 0)
    with open(path + "c" if alone else _cached(path), "wb") as file:  # noqa: PTH123
        file.write(HEADER + marshal.dumps(code))
    if alone:
        posix.unlink(path)


def _cached(path: str) -> str:
    """Like `importlib.util.cache_from_source`; makes the folder."""
    folder, _, name = path.rpartition("/")
    if "__pycache__" not in posix.listdir(folder):
        posix.mkdir(f"{folder}/__pycache__")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"


if __name__ == "__main__":
    for argument in sys.argv[3:]:
        compile_file(sys.argv[1], sys.argv[2], argument)
