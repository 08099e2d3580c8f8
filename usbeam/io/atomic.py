"""Writing files that are either whole or not there.

The content goes to a temporary file in the same folder, reaches the disk, and only then takes the place of the
target in one step. Whatever fails on the way, Ctrl-C and a full disk included, leaves the old file as it was.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from usbeam.errors import FileAccessError, OutputExists, UsbeamError
from usbeam.io.safe import access_error

# h5py raises RuntimeError when closing fails, with the operating system's number only in its text.
_ERRNO = re.compile(r"errno = (\d+)")


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Refuse an output that could not be written anyway, before any work is done.

    Parameters
    ----------
    path
        The file to be written.
    overwrite
        Whether a file that is there may be replaced.

    Returns
    -------
    Path
        The file behind any symbolic link.

    Raises
    ------
    OutputExists
        If it is there and may not be replaced.
    FileAccessError
        If it is a folder, or its own folder is missing or read-only.
    """
    try:
        target = Path(os.path.realpath(path))
    except ValueError as error:
        raise access_error(error, path) from error
    if os.path.isdir(target):
        raise FileAccessError("is a folder, not a file", path=path)
    if os.path.lexists(target) and not overwrite:
        raise OutputExists("the file exists", path=path, hint="choose another name or give --overwrite")
    if not os.path.isdir(target.parent):
        raise FileAccessError("its folder does not exist", path=path, hint=f"mkdir -p {target.parent}")
    if not os.access(target.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise FileAccessError("its folder is read-only", path=path)
    return target


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = False) -> Generator[Path, None, None]:
    """Give a temporary file to write to; on leaving, it becomes `path`.

    Parameters
    ----------
    path
        The file to be written.
    overwrite
        Whether a file that is there may be replaced.

    Yields
    ------
    Path
        An empty file in the same folder. Write to it and close it.

    Raises
    ------
    OutputExists, FileAccessError
        See `check_output`; also when the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> (folder / "note.txt").read_text()
    'whole'
    """
    target = check_output(path, overwrite=overwrite)
    # A short name of our own: the target's may be as long as the file system allows.
    temporary = target.with_name(f".usbeam-{secrets.token_hex(6)}.tmp")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        if target.exists():
            check_output(path, overwrite=overwrite)
            shutil.copymode(target, temporary)
        _to_disk(temporary)
        os.replace(temporary, target)
        _to_disk(target.parent)
    except (OSError, RuntimeError) as error:
        number = _ERRNO.search(str(error))
        if isinstance(error, UsbeamError):
            raise
        if number:
            raise access_error(OSError(int(number[1]), os.strerror(int(number[1]))), path) from error
        if not isinstance(error, OSError):
            raise
        raise access_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Have the system write what it still holds of a file, or of a folder's list of names."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return  # Windows does this by itself and cannot open a folder
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
