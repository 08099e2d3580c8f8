"""Tables and pictures of docs/comparison.md: ``python -m docs.comparison_page``, after the comparison has run.

The page holds, between two comments, what `benchmarks.comparison` wrote: a section of one of its Markdown files, named
by the first comment, or all of a text file. Running this puts in what was measured last, and copies the pictures; words
are written by hand and numbers are not. The times are to be written beside the comparison's results first:
``python benchmarks/enhancers.py > benchmarks/results/comparison/full/enhancers.txt``.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image

from benchmarks.comparison.__main__ import RESULTS

PAGE = Path(__file__).parent / "comparison.md"
IMAGES = Path(__file__).parent / "images"
BLOCK = re.compile(r"(<!-- from (\S+): (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
"""A file of the results, and the heading of one of its sections: the file's title for what stands before all others."""
PICTURES = {
    "curves_selection_alone": 1100,
    "curves_selection_after_looks": 1100,
    "curves_test_alone": 1100,
    "pictures_test": 1400,
    "pictures_lines": 1400,
    "pictures_aberrated": 1400,
    "real_disk": 1400,
    "real_water_pins": 1400,
}
"""Name -> width in pixels."""


def sections(file: Path) -> dict[str, str]:
    """Heading -> what stands under it, without the headings themselves; ``all`` of a text file, as it is."""
    text = file.read_text("utf-8")
    if file.suffix == ".txt":
        return {"all": f"```text\n{text.rstrip()}\n```"}
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {heading: body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def filled(page: str, folder: Path) -> str:
    """The page with the sections that its comments name.

    Raises
    ------
    KeyError
        For a section that the results do not have.
    """
    found: dict[str, dict[str, str]] = {}

    def put(match: re.Match[str]) -> str:
        start, file, heading, end = match.groups()
        if file not in found:
            found[file] = sections(folder / file)
        return f"{start}\n{found[file][heading]}\n\n{end}"

    return BLOCK.sub(put, page)


def main() -> None:
    """Fill the page and copy the pictures."""
    folder = RESULTS / "full"
    PAGE.write_text(filled(PAGE.read_text("utf-8"), folder), encoding="utf-8")
    for name, width in PICTURES.items():
        picture = Image.open(folder / f"{name}.png").convert("RGB")
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        data = io.BytesIO()
        picture.quantize(64).save(data, "PNG", optimize=True)
        (IMAGES / f"comparison_{name}.png").write_bytes(data.getvalue())


if __name__ == "__main__":
    main()
