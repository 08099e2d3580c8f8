"""Bytes that libFuzzer finds by what they reach in usbeam, read by every reader: ``atheris_targets.py FOLDER ...``.

The folder gets a corpus, valid files of every format to begin with, and what makes a reader fail or hang. All further
arguments are libFuzzer's.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["usbeam"]):
    from usbeam.errors import UsbeamError
    from usbeam.io import load, load_image, validate
    from usbeam.io.convert import FORMATS, read
    from usbeam.io.convert.matlab import open_variables
    from usbeam.io.pairs_file import load_pairs

from tests.fuzz.samples import SAMPLES

MAX_LENGTH = 2**16
SECONDS_EACH = 10
MEGABYTES = 2048


def read_variables(path: Path) -> None:
    """All values of a file of named arrays."""
    with open_variables(path) as variables:
        for name in variables.names():
            variables.find(name)


READERS: list[Callable[[Path], object]] = [load, validate, load_image, load_pairs, read, read_variables]
READERS += [known.read for known in FORMATS.values()]


def main() -> None:
    """Run until libFuzzer's limits are reached, or a reader fails."""
    folder, *options = sys.argv[1:]
    corpus, found = Path(folder) / "corpus", Path(folder) / "found"
    for each in (corpus, found):
        each.mkdir(parents=True, exist_ok=True)
    for name, sample in SAMPLES.items():
        if len(sample.content) <= MAX_LENGTH:
            (corpus / name.replace(" ", "_")).write_bytes(sample.content)
    path = Path(tempfile.mkdtemp(dir=folder)) / "file"
    warnings.simplefilter("ignore")

    def read_all(content: bytes) -> None:
        path.write_bytes(content)
        for reader in READERS:
            with contextlib.suppress(UsbeamError):
                reader(path)

    limits = [f"-timeout={SECONDS_EACH}", f"-rss_limit_mb={MEGABYTES}", f"-max_len={MAX_LENGTH}"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={found}/", *options, str(corpus)], read_all)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
