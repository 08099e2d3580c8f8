"""``python -m tests.fuzz``: 10,000 spoilt files of all formats, and a table of what came out."""

from __future__ import annotations

import argparse
import logging

from tests.fuzz.samples import SAMPLES, shared
from tests.fuzz.spoiling import MAX_BYTES, MAX_SECONDS, Tally, spoil


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="of all formats together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(SAMPLES), help="one format")
    given = parser.parse_args()
    logging.getLogger("usbeam").setLevel(logging.ERROR)
    counts = {given.only: given.files} if given.only else shared(given.files)
    total = Tally()
    for name, files in counts.items():
        found = spoil(name, files, given.seed)
        total += found
        print(f"{name:24}{found}", flush=True)
    print(f"{'all':24}{total}")
    print(f"nothing but UsbeamError escaped; none took {MAX_SECONDS:g} s or {MAX_BYTES / 1e6:g} MB")


if __name__ == "__main__":
    main()
