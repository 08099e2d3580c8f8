"""``python -m benchmarks.comparison``: hours at full size, minutes with ``--quick``; goes on where it was stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import real
from .protocol import Protocol, curves
from .report import write
from .scenes import APART, FULL, QUICK

RESULTS = Path(__file__).parents[1] / "results" / "comparison"


def main() -> None:
    """Read the options and run everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparison", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few small images and few settings: does it run?")
    parser.add_argument("--with", dest="methods", action="append", default=[], metavar="METHOD",
                        help="only these methods, as usbeam compare takes them; may be repeated")  # fmt: skip
    parser.add_argument("--folder", type=Path, default=RESULTS, help="for results and what is kept (%(default)s)")
    parser.add_argument(
        "--real", type=Path, metavar="FOLDER", help="real recordings in this folder instead of simulated ones"
    )
    options = parser.parse_args()
    size, folder = (QUICK, options.folder / "quick") if options.quick else (FULL, options.folder / "full")
    texts = curves(options.quick, options.methods)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if options.real is not None:
        print(real.report(options.real, options.methods or real.SETTINGS, folder, say))
        say(f"written to {folder}")
        return
    protocol = Protocol(size, texts, folder / "kept", say)
    selection = protocol.measured("selection", texts)
    frozen = protocol.select(selection)
    applied = {which: protocol.applied(which, frozen) for which in ("test", *APART)}
    print(write(protocol, selection, applied, frozen, folder))
    say(f"written to {folder}")


if __name__ == "__main__":
    main()
