"""What is told about a key of the site file, beside its field: the documentation, ``rackseed site explain`` and the schema
for editors are all made from it."""

from __future__ import annotations

from typing import Any


def about(text: str, *, example: str = "", default: str = "") -> dict[str, Any]:
    """Metadata of a field. ``text`` says what the key means; ``example`` is YAML that follows the key; ``default`` says in
    words what holds without it, where the field's own default does not."""
    return {"about": text, "example": example, "default": default}
