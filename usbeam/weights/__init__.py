"""Weights that come with usbeam, by name: ``NAME.safetensors``, and beside it its card, ``NAME.md``.

A card says what the network was trained on, what was measured, and where it fails. Its first line is its title.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
_ENDING = ".safetensors"


def names() -> list[str]:
    """What there is."""
    return sorted(path.stem for path in FOLDER.glob(f"*{_ENDING}"))


def path(name: str) -> Path:
    """Where the weights of a name are."""
    return FOLDER / f"{name}{_ENDING}"


def card(name: str) -> str:
    """The card of weights; nothing if there is none."""
    file = FOLDER / f"{name}.md"
    return file.read_text(encoding="utf-8") if file.is_file() else ""
