"""Docstrings as the reference needs them: each name with its own type and default, names of usbeam as links."""

from __future__ import annotations

import re
from typing import Any

import griffe

_SHARED = re.compile(r"^(\w+(?:, \w+)+)\n((?:    .*\n|\n(?=    ))+)", re.MULTILINE)
_LITERAL = re.compile(r"::\n\n(?=    )")
_NAME = re.compile(r"(?<!`)`(usbeam(?:\.\w+)+)`(?!`)")


class Docstrings(griffe.Extension):
    """Rewrites docstrings before they are parsed.

    Names that share one description (``x, z``) would all get the type and default of the first. A literal block of
    reST (``::``) is one of Markdown after a single colon. Names in backticks lead to their entry where there is one.
    """

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """One object."""
        if obj.docstring:
            text = _SHARED.sub(_split, f"{obj.docstring.value}\n")
            text = _LITERAL.sub(":\n\n", text)
            obj.docstring.value = _NAME.sub(_linked, text).rstrip()


def _split(entry: re.Match[str]) -> str:
    return "".join(f"{name}\n{entry[2]}" for name in entry[1].split(", "))


def _linked(name: re.Match[str]) -> str:
    return f'<autoref optional identifier="{name[1]}"><code>{name[1]}</code></autoref>'
