"""Tables and pictures of the pages that are measured: ``python -m docs.measured PAGE``, after its benchmark has run.

Such a page holds, between two comments, what a benchmark wrote: a section of one of its Markdown files, named by the
first comment, or all of a text file. Running this puts in what was measured last, and copies the pictures; words are
written by hand and numbers are not. Text files are written beside the results first:

- comparison: ``python benchmarks/enhancers.py > benchmarks/results/comparison/full/enhancers.txt``
- zero_shot: ``python -m benchmarks.zero_shot.decorrelation > benchmarks/results/zero_shot/full/decorrelation.txt``;
  ``adaptation.txt`` there is of ``python -m benchmarks.zero_shot.adaptation``, ``networks.txt`` of
  ``python benchmarks/networks.py``, and ``real.txt`` of ``python -m benchmarks.zero_shot.real FOLDER``
- gpu: ``python benchmarks/gpu.py > benchmarks/results/gpu/full/gpu.txt``
"""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- from (\S+): (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
"""A file of the results, and the heading of one of its sections: the file's title for what stands before all others."""
PICTURES: Mapping[str, Mapping[str, int]] = {
    "comparison": {
        "curves_selection_alone": 1100,
        "curves_selection_after_looks": 1100,
        "curves_test_alone": 1100,
        "pictures_test": 1400,
        "pictures_lines": 1400,
        "pictures_aberrated": 1400,
        "real_disk": 1400,
        "real_water_pins": 1400,
    },
    "zero_shot": {
        "paper/pictures_test": 1400,
        "20_mm/curves_test": 1100,
        "20_mm/pictures_test": 1400,
        "20_mm/pictures_lines": 1400,
        "20_mm/pictures_aberrated": 1400,
        "40_mm/pictures_test": 1400,
        "left_out_plane_waves/pictures_test": 1400,
    },
    "gpu": {},
}
"""Page -> name of a picture -> its width in pixels."""


def sections(file: Path) -> dict[str, str]:
    """Heading -> what stands under it, without the headings themselves; ``all`` of a text file, tables or plain."""
    text = file.read_text("utf-8")
    if file.suffix == ".txt":
        body = text.strip()
        return {"all": body if "|---" in body else f"```text\n{body}\n```"}
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


def fill(page: str) -> None:
    """Put tables into a page and copy its pictures."""
    folder, path = RESULTS / page / "full", DOCS / f"{page}.md"
    path.write_text(filled(path.read_text("utf-8"), folder), encoding="utf-8")
    for name, width in PICTURES[page].items():
        picture = Image.open(folder / f"{name}.png").convert("RGB")
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        data = io.BytesIO()
        picture.quantize(64).save(data, "PNG", optimize=True)
        (DOCS / "images" / f"{page}_{name.replace('/', '_')}.png").write_bytes(data.getvalue())


def main() -> None:
    """Read which page, and fill it."""
    parser = argparse.ArgumentParser(prog="python -m docs.measured", description="Put what was measured into a page.")
    parser.add_argument("page", choices=PICTURES)
    fill(parser.parse_args().page)


if __name__ == "__main__":
    main()
