"""The results of ``usbeam enhance``, made and written one after the other."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from usbeam.cli.common import progress_bar, say, settings
from usbeam.cli.enhance_files import KEY

if TYPE_CHECKING:
    from usbeam.cli.enhance_files import Result, Work
    from usbeam.cli.enhance_request import Request
    from usbeam.errors import UsbeamError
    from usbeam.image import Image

T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """A file that could not be enhanced, or one of its frames, and why."""

    source: Path
    frame: int | None
    error: UsbeamError

    def __str__(self) -> str:
        path = self.error.path
        if path is not None and Path(path).absolute() == self.source.absolute():
            return str(self.error)
        return ": ".join([str(self.source), *([] if self.frame is None else [f"frame {self.frame}"]), str(self.error)])


@dataclass
class Done:
    """What came of it.

    Parameters
    ----------
    strict
        Whether a failure is the end.
    made
        What is to be said of each result.
    failed
        What could not be enhanced.
    seconds
        That each stage took.
    """

    strict: bool
    made: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    failed: list[Failure] = field(default_factory=list[Failure])
    seconds: dict[str, float] = field(default_factory=lambda: {"load": 0.0, "enhance": 0.0, "write": 0.0})

    @contextmanager
    def timed(self, stage: str) -> Generator[None]:
        """Add the time that something takes to its stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def attempt(self, stage: str, source: Path, frame: int | None, make: Callable[[], T]) -> T | None:
        """What is made, if it can be: a failure does not end the rest."""
        from usbeam.errors import UsbeamError

        try:
            with self.timed(stage):
                return make()
        except UsbeamError as error:
            if self.strict:
                raise
            self.fail(source, frame, error)
            return None

    def fail(self, source: Path, frame: int | None, error: UsbeamError) -> None:
        """Tell at once, above a bar that may be drawn, and remember."""
        from tqdm import tqdm

        self.failed.append(Failure(source, frame, error))
        tqdm.write(f"usbeam: error: {self.failed[-1]}", file=sys.stderr)
        if error.hint:
            tqdm.write(f"hint: {' '.join(error.hint.split())}", file=sys.stderr)


def run(work: Work, request: Request) -> Done:
    """Make and write every result; what cannot be made of several is told, and left out.

    Raises
    ------
    UsbeamError
        If the only result cannot be made, or one cannot be written.
    """
    from usbeam.errors import UsbeamError

    done = Done(strict=work.lone)
    for path, error in work.failed:
        done.fail(path, None, error)
    try:
        with _told_once(), progress_bar(request.name) as advance:
            for result, image, adapted in _images(work, request, done, advance):
                with done.timed("write"):
                    _write(image, result, request.dynamic_range)
                done.made.append(_summary(image, result, adapted))
    except (KeyboardInterrupt, SystemError, UsbeamError):  # SystemError: how compiled code reports a Ctrl-C
        if not work.lone:
            say("usbeam: the results that are made stay; the same command goes on with the others")
        raise
    return done


def _images(
    work: Work, request: Request, done: Done, advance: Callable[[float], None]
) -> Iterator[tuple[Result, Image, Path | None]]:
    """What can be made, one image at a time, with the folder of the network that was adapted for it."""
    ended = 0

    def tell(share: float) -> None:
        advance((ended + share) / len(work.results))

    for source, group in itertools.groupby(work.results, key=lambda each: each.source):
        frames = work.frames[source]
        opened = done.attempt("load", source, None, partial(request.opened, source, frames))
        for result in group:
            if opened is not None:
                number = result.frame if len(frames) > 1 else None
                image = done.attempt("enhance", source, number, partial(opened.enhanced, result.frame, tell))
                if image is not None:
                    yield result, image, opened.adapted
            ended += 1
            tell(0.0)


def _write(image: Image, result: Result, dynamic_range: float) -> None:
    """The image file first: where it is missing, what is there of a picture is another's."""
    from usbeam.io import pictures
    from usbeam.show import plot

    overwrite = settings.overwrite or result.begun
    png = result.outputs.get("--png")
    drawn = None if png is None else plot.bmode(image, dynamic_range=dynamic_range)
    output = result.outputs["--output"]
    kind = pictures.named(output)
    held = image if kind is None or image.state in kind.states else image.db(dynamic_range)
    dataclasses.replace(held, source={**held.source, KEY: result.key}).save(output, overwrite=overwrite)
    if png is not None:
        plot.save_figure(drawn, png, overwrite=overwrite)


def _summary(image: Image, result: Result, adapted: Path | None) -> dict[str, Any]:
    return {
        "file": str(result.source),
        "frame": result.frame,
        "files": [str(path) for path in result.outputs.values()],
        "state": image.state,
        "shape": list(image.grid.shape),
        "adapted": None if adapted is None else str(adapted),
        **image.settings["enhanced"][-1],
    }


@contextmanager
def _told_once() -> Generator[None]:
    """What holds for many images alike is logged for the first one."""
    told = set[str]()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return text not in told and not told.add(text)

    log = logging.getLogger("usbeam")
    log.addFilter(is_new)
    try:
        yield
    finally:
        log.removeFilter(is_new)
