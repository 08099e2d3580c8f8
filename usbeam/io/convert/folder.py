"""Folders of other people's recordings: one after the other, however often it is interrupted.

An output bears the name of its source and holds the checksum of the source in its provenance. Since a file is whole or
not there (`usbeam.io.atomic`), that is all that is needed to go on after a crash: what is there and comes from the same
bytes is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from usbeam.errors import ConfigError, FileAccessError, OutputExists, UsbeamError
from usbeam.io.channel_data import load
from usbeam.io.convert import MAPPING, Source, convert, sha256
from usbeam.io.safe import access_error

ENDINGS = (".mat", ".h5", ".hdf5", ".uff", ".npz", ".npy")
"""Of files that are taken for recordings."""


@dataclass(frozen=True)
class Converted:
    """What came of one file of a folder.

    Parameters
    ----------
    source, output
        The two files.
    there
        Whether the output had been made of the same source before.
    error
        Why there is no output; None if there is one.
    """

    source: Path
    output: Path
    there: bool = False
    error: UsbeamError | None = None

    def __str__(self) -> str:
        """The error as one line that begins with the source."""
        line = str(self.error)
        return line if line.startswith(str(self.source)) else f"{self.source}: {line}"


def convert_folder(
    source: Source,
    out: Source,
    *,
    format: str | None = None,  # noqa: A002
    mapping: Source | None = None,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> list[Converted]:
    """Convert every recording in a folder; a file that cannot be converted does not stop the rest.

    Parameters
    ----------
    source
        The folder. Files with other endings than `ENDINGS`, hidden files and folders in it are left alone.
    out
        The folder for the recordings, ``NAME.h5`` for a source ``NAME.mat``; made if it is not there.
    format, mapping
        As for `usbeam.io.convert.read`, for all files.
    overwrite
        Whether to convert again, and replace, what is there.
    progress
        Called with the fraction done.

    Returns
    -------
    list of Converted
        One for each file, in the order of their names.

    Raises
    ------
    ConfigError
        Before anything is converted: if there is nothing to convert, two sources would have the same output, an output
        would replace a source, or the format or mapping is not known.
    FileAccessError
        If a folder or the mapping cannot be read, or an output cannot be written, for which the disk must be full.

    Examples
    --------
    >>> made = convert_folder("measured", "recordings")  # doctest: +SKIP
    >>> [str(each) for each in made if each.error]  # doctest: +SKIP
    ['measured/tuesday.mat: the file is cut off']
    """
    pairs = _outputs(Path(source), Path(out))
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise access_error(error, out) from error
    done: list[Converted] = []
    for index, (file, output) in enumerate(pairs):
        done.append(_one(file, output, format, mapping, overwrite))
        if progress is not None:
            progress((index + 1) / len(pairs))
    return done


def _outputs(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """Each file to convert, with its output."""
    try:
        held = sorted(each for each in source.iterdir() if each.is_file() and not each.name.startswith("."))
    except OSError as error:
        raise access_error(error, source) from error
    pairs = [(each, out / f"{each.stem}.h5") for each in held if each.suffix.lower() in ENDINGS]
    if not pairs:
        raise ConfigError(
            "nothing to convert in this folder", path=source, expected=", ".join(ENDINGS), found=f"{len(held)} files"
        )
    sources = {os.path.realpath(each) for each in held}
    names: dict[str, Path] = {}
    for file, output in pairs:
        first = names.setdefault(os.path.normcase(output), file)
        if first is not file:
            raise ConfigError(
                "two sources would have the same output",
                path=output,
                found=f"{first.name} and {file.name}",
                hint="rename one of them, or move it into a folder of its own",
            )
        if os.path.realpath(output) in sources:
            raise ConfigError("the output would replace a source", path=output, hint="choose another folder")
    return pairs


def _one(file: Path, output: Path, format_name: str | None, mapping: Source | None, overwrite: bool) -> Converted:
    try:
        if output.exists() and not overwrite:
            if not _is_made_of(output, file, format_name, mapping):
                raise OutputExists(
                    "the output exists, and was not made of this file",
                    path=output,
                    hint="choose another folder, or give --overwrite to replace what is there",
                )
            return Converted(file, output, there=True)
        convert(file, output, format=format_name, mapping=mapping, overwrite=overwrite)
    except UsbeamError as error:
        if isinstance(error, ConfigError) and error.location in ("--from", "--mapping"):
            raise  # of the request, and so of every file
        if isinstance(error, FileAccessError) and error.path != os.fspath(file):
            raise  # the mapping, or the disk
        return Converted(file, output, error=error)
    return Converted(file, output)


def _is_made_of(output: Path, file: Path, format_name: str | None, mapping: Source | None) -> bool:
    """Whether an output is whole and was made of these very bytes, in this way."""
    wanted = {"source_sha256": sha256(file)}
    if mapping is not None:
        wanted |= {"source_format": MAPPING, "mapping_sha256": sha256(mapping)}
    elif format_name is not None:
        wanted["source_format"] = format_name
    try:
        return wanted.items() <= load(output).provenance.items()
    except UsbeamError:
        return False
