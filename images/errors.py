"""What can go wrong while images are built.

::

    ImageBuildError
    ├── ToolError         a process failed, with its last lines (run.py)
    ├── CacheError        the artefact cache can't be used (cache.py)
    ├── MirrorError       no mirror, a package that it lacks, a download that failed (aptroot.py)
    ├── TreeError         an unpacked package does not hold what the recipe asks for (agenttree.py, elf.py)
    ├── RecipeError       an os.yaml or agent.yaml is wrong (recipe.py)
    └── RenderError       a value that must not get into a file of the installed system (render.py)
"""

from __future__ import annotations


class ImageBuildError(Exception):
    """The message says what happened and what to do about it."""


class ToolError(ImageBuildError):
    """A process could not be started or failed."""


class CacheError(ImageBuildError):
    """The cache folder can't be read or written."""


class MirrorError(ImageBuildError):
    """Packages could not be found or fetched."""


class TreeError(ImageBuildError):
    """Something that the image needs is not in the unpacked packages."""


class RecipeError(ImageBuildError):
    """A recipe of an image is wrong; the message has file, line and column."""


class RenderError(ImageBuildError):
    """A value can't be written into a file safely. ``where`` names it, for example ``ssh_keys[2]``."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")
        self.where = where
