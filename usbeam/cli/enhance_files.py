"""Which files ``usbeam enhance`` takes, how the results are named, and which of them are there already.

Each result holds a checksum of what was asked of which file (`Request.keys`), so that an interrupted command goes on
where it was when it is given again, and never takes the result of something else for its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usbeam.cli.common import say, settings

if TYPE_CHECKING:
    from usbeam.cli.enhance_request import Request
    from usbeam.errors import UsbeamError

LOSSLESS = (".h5", ".hdf5")
"""Of the files that are taken from a folder: pictures there may be anything."""
ENDINGS = {"--output": (*LOSSLESS, ".png", ".tif", ".tiff", ".dcm", ".nii"), "--png": (".png", ".pdf", ".svg")}
KEY = "request"
"""Where the source of an image holds the checksum of what made it."""


@dataclass(frozen=True)
class Result:
    """An enhanced frame.

    Parameters
    ----------
    source, frame
        What it is made of.
    outputs
        Its image file and its picture, by their options.
    key
        Checksum of what was asked.
    begun
        Whether its image file is there, made by the same request.
    """

    source: Path
    frame: int
    outputs: Mapping[str, Path]
    key: str
    begun: bool

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do."""
        return self.begun and all(path.exists() for path in self.outputs.values())


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Parameters
    ----------
    frames
        That are asked for, of each file.
    results
        To be made, file by file.
    there
        Made by the same request before.
    failed
        Files that cannot be enhanced, and why.
    lone
        Whether one result is asked for, of one file.
    """

    frames: Mapping[Path, Sequence[int]]
    results: Sequence[Result]
    there: Sequence[Result]
    failed: Sequence[tuple[Path, UsbeamError]]
    lone: bool


def survey(files: Sequence[Path], outputs: Mapping[str, Path], request: Request) -> Work:
    """Look at all files and all names before anything is computed; folders for the results are made.

    Parameters
    ----------
    files
        Images or recordings, and folders of them.
    outputs
        Where image files and pictures go, by their options: folders, unless one file is given.
    request
        What is asked.

    Raises
    ------
    ConfigError, FileAccessError, OutputExists
        If there is nothing to enhance, or a result could not be written, or would replace a file.
    """
    alone = len(files) == 1 and not files[0].is_dir()
    folders = [option for option, path in outputs.items() if not alone or path.is_dir()]
    _refuse_names(outputs, folders)
    paths = files if alone else list(_expanded(files, request))
    keys, failed = _readable(paths, request, alone)
    lone = alone and len(keys[files[0]]) == 1
    results: list[Result] = []
    for path, known in keys.items():
        for frame, key in known.items():
            names = {
                option: _name(target, option in folders, ENDINGS[option][0], path, frame if len(known) > 1 else None)
                for option, target in outputs.items()
            }
            results.append(Result(path, frame, names, key, not lone and _holds(names["--output"], key)))
    _refuse_taken(paths, results)
    there = [each for each in results if each.finished]
    pending = [each for each in results if not each.finished]
    if pending:
        _refuse_present(pending, lone)
        _make_room(pending, [outputs[option] for option in folders])
    return Work({path: tuple(known) for path, known in keys.items()}, pending, there, failed, lone)


def _refuse_names(outputs: Mapping[str, Path], folders: Iterable[str]) -> None:
    """Names that say something else than what goes there."""
    from usbeam.errors import ConfigError, FileAccessError

    for option, path in outputs.items():
        known = path.suffix.lower() in ENDINGS[option]
        if option not in folders:
            if not known:
                raise ConfigError("unknown ending", path=path, location=option, expected=", ".join(ENDINGS[option]))
        elif path.exists() and not path.is_dir():
            raise FileAccessError("is a file, not a folder", path=path, hint="several results go into a folder")
        elif known and not path.exists():
            raise ConfigError("several results go into a folder", path=path, location=option, expected="its name")


def _expanded(files: Iterable[Path], request: Request) -> Iterator[Path]:
    """The files, and in place of a folder what it holds of the right kind, and what cannot be told."""
    from usbeam.errors import FileAccessError
    from usbeam.io.safe import access_error

    for file in files:
        if not file.is_dir():
            yield file
            continue
        try:
            held = sorted(each for each in file.iterdir() if not each.is_dir() and not each.name.startswith("."))
        except OSError as error:
            raise access_error(error, file) from error
        kinds = {each: _kind(each) for each in held if each.suffix.lower() in LOSSLESS}
        wanted = "usbeam-image" if request.option is None else "usbeam-channel-data"
        others = Counter(kind for kind in kinds.values() if kind not in (wanted, None))
        left_out = ", ".join(f"{count} {kind}" for kind, count in others.items())
        if others.total() == len(kinds):
            raise FileAccessError(
                "nothing to enhance in this folder",
                path=file,
                expected=f"files of format {wanted}",
                found=left_out or "none",
                hint="recordings are for --mode quality and --adapt; `usbeam beamform` makes images of them",
            )
        if others:
            say(f"usbeam: {file}: left out: {left_out}")
        yield from (each for each, kind in kinds.items() if kind in (wanted, None))


def _kind(path: Path) -> str | None:
    """The format that a file says it has; None where it cannot be told."""
    from usbeam.errors import UsbeamError
    from usbeam.io.identify import find_spec
    from usbeam.io.safe import safe_open

    try:
        with safe_open(path) as file:
            return find_spec(file).name
    except UsbeamError:
        return None


def _readable(
    paths: Iterable[Path], request: Request, alone: bool
) -> tuple[dict[Path, Mapping[int, str]], list[tuple[Path, UsbeamError]]]:
    """The checksums of the frames of every file, and the files that have none."""
    from usbeam.errors import ConfigError, UsbeamError

    keys: dict[Path, Mapping[int, str]] = {}
    failed: list[tuple[Path, UsbeamError]] = []
    for path in paths:
        try:
            keys[path] = request.keys(path, request.frames_of(path))
        except UsbeamError as error:
            if alone:
                raise
            failed.append((path, error))
    if not keys and all(isinstance(error, ConfigError) for _, error in failed):
        raise failed[0][1]  # of the request rather than of the files
    return keys, failed


def _name(target: Path, folder: bool, ending: str, source: Path, frame: int | None) -> Path:
    """In a folder named after the source; with its number for one frame of several."""
    path = target / f"{source.stem}{ending}" if folder else target
    return path if frame is None else path.with_stem(f"{path.stem}_{frame:04d}")


def _holds(path: Path, key: str) -> bool:
    """Whether a file is the result of the same request."""
    from usbeam.errors import UsbeamError
    from usbeam.io.image_file import load_image

    try:
        return path.exists() and load_image(path).source.get(KEY) == key
    except UsbeamError:
        return False


def _refuse_taken(sources: Iterable[Path], results: Iterable[Result]) -> None:
    """A result that would replace what is read, or another result."""
    from usbeam.errors import ConfigError

    taken = {source.resolve(): "is the image itself" for source in sources}
    for result in results:
        for option, path in result.outputs.items():
            if path.resolve() in taken:
                raise ConfigError(
                    taken[path.resolve()], path=path, location=option, hint="choose another name, or another folder"
                )
            taken[path.resolve()] = "two results would have this name"


def _refuse_present(results: Iterable[Result], lone: bool) -> None:
    """Files that would be replaced, unless they are of the same request or may be."""
    from usbeam.errors import OutputExists

    found = [path for each in results if not each.begun for path in each.outputs.values() if os.path.lexists(path)]
    if found and not lone and not settings.overwrite:
        raise OutputExists(
            "the file exists, and is not the result of this request",
            path=found[0],
            found=f"{len(found)} such file(s)" if len(found) > 1 else None,
            hint="choose another folder, or give --overwrite to replace what another request has made",
        )


def _make_room(results: Iterable[Result], folders: Iterable[Path]) -> None:
    """Make the folders, and refuse what could not be written."""
    from usbeam.io.atomic import check_output
    from usbeam.io.safe import access_error

    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise access_error(error, folder) from error
    for result in results:
        for path in result.outputs.values():
            check_output(path, overwrite=settings.overwrite or result.begun)
