"""Pairs for training: two images of the same frame, what goes in and what should come out.

No clean image is needed. A network that is to turn one image into the other can learn only what the two have in common
in the mean: the tissue, and the speckle as far as they share it. `usbeam.beamforming.draws` says which two images make
a pair; how alike their speckle is, is measured in every pair (`usbeam.measure.speckle`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.beamforming import draws as drawing
from usbeam.beamforming.draws import LQ, MAX_SEED, Draw, Request, by_request, by_strategy
from usbeam.beamforming.requests import default_grid
from usbeam.errors import ConfigError, MeasurementError, UsbeamError, printable
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.io import load
from usbeam.io.atomic import check_output
from usbeam.io.pairs_file import FileImages, Pairs, Source, load_pairs, write_pairs
from usbeam.measure import speckle

ALIKE = 0.2
"""Correlation of speckle above which a network learns mostly that speckle stays."""
DYNAMIC_RANGE, LOOKS_DYNAMIC_RANGE = 60.0, 100.0
"""[dB]. What is learned from looks reaches 50 dB below the median of an image."""


def make_pairs(
    files: Iterable[str | os.PathLike[str] | Acquisition],
    grid: Grid | None = None,
    *,
    out: str | os.PathLike[str],
    lq: Request | Sequence[Request] | None = None,
    hq: Request | None = None,
    strategy: str = "looks",
    n_pairs: int | None = None,
    seed: int = 0,
    dynamic_range: float | None = None,
    frames: Sequence[int] | None = None,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> Pairs:
    """Make image pairs of recordings, and write them to a file one after the other.

    Both images of a pair are log-compressed alike: 1 is the image's own maximum, 0 is the dynamic range below it. If
    the call is interrupted, what is there stays in ``OUT.partial``, and the same call goes on from it.

    Parameters
    ----------
    files
        Recordings, or their files.
    grid
        Of all images; that of the recordings (`usbeam.beamforming.requests.default_grid`) if not given, where all have
        the same.
    out
        The file to be written.
    lq, hq
        Subsets of transmits as text (see `usbeam.subsets.parse`) or weights, in place of a strategy. `lq` may be
        several, for several pairs of a frame, and ``random:2@SEED*8`` for eight fresh draws in every frame. Where one
        of them is not given, it is ``inner:2`` or ``all``.
    strategy
        ``looks``, ``paper``, ``random`` or ``disjoint``; see `usbeam.beamforming.draws`.
    n_pairs
        Pairs of each frame, of looks (24 if not given: 12 angles, both directions) and random (16).
    seed
        Of the draws.
    dynamic_range
        [dB]; 100 for looks, 60 for the others if not given.
    frames
        Which frames of each recording; all if not given.
    overwrite
        Whether a file that is there may be replaced.
    progress
        Called with the fraction done.
    **options
        Of the beamformer: of `usbeam.Angular` for looks, of `usbeam.Plan` for subsets.

    Returns
    -------
    Pairs
        The file, as `usbeam.io.pairs_file.load_pairs` opens it.

    Raises
    ------
    ConfigError
        For a request that cannot be met, before any work is done.
    OutputExists, FileAccessError
        If the file is there, cannot be written or does not fit onto the disk.
    MeasurementError
        If an image does not vary.

    Warns
    -----
    UserWarning
        If the speckle of the two images is much alike in most pairs (more than 0.2).

    References
    ----------
    J. Lehtinen et al., "Noise2Noise: learning image restoration without clean data", ICML 2018: what the mean of many
    noisy targets teaches, if their noise is independent of the input's.

    Examples
    --------
    >>> import numpy as np, tempfile, usbeam as ub
    >>> probe = ub.Probe.linear(16, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    >>> phantom = ub.simulate.phantoms.speckle(probe, x=(-3e-3, 3e-3), z=(8e-3, 12e-3))
    >>> recording = ub.simulate.record(
    ...     phantom, probe, ub.Transmits.elements(probe), sampling_frequency=20e6, depth=(8e-3, 12e-3))
    >>> grid = ub.Grid.spaced(x=(-2e-3, 2e-3), z=(8.5e-3, 11.5e-3), spacing=(0.06e-3, 0.12e-3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pairs = ub.make_pairs([recording], grid, out=f"{folder}/pairs.h5", n_pairs=4)
    ...     len(pairs), pairs.lq[0].shape, pairs.correlation.shape
    (4, (51, 34), (4,))
    """
    check_output(out, overwrite=overwrite)
    if seed not in range(MAX_SEED):
        raise ConfigError("not a seed", location="seed", expected=f"0..{MAX_SEED - 1}", found=seed)
    recordings = [each if isinstance(each, Acquisition) else load(each) for each in files]
    if not recordings:
        raise ConfigError("no recording to make pairs of", location="files")
    asked = lq is not None or hq is not None
    if asked and n_pairs is not None:
        raise ConfigError(
            "the subsets say how many pairs there are", location="n_pairs", hint="lq='random:2@0*8' draws eight"
        )
    subsets, target = _listed(lq), "all" if hq is None else hq
    items: list[_Item] = []
    for number, recording in enumerate(recordings):
        for frame in _checked(frames, recording):
            if asked:
                draws = by_request(subsets, target, recording, (number, frame))
            else:
                draws = by_strategy(strategy, recording, n_pairs, (seed, number, frame))
            items += [_Item(number, frame, draw) for draw in draws]
    looks = not asked and strategy == "looks"
    level = dynamic_range if dynamic_range is not None else LOOKS_DYNAMIC_RANGE if looks else DYNAMIC_RANGE
    if not (np.isfinite(level) and level > 0):
        raise ConfigError("not a positive number of dB", location="dynamic_range", found=dynamic_range)
    grid = _checked_grid(grid, recordings)
    makers = [drawing.beamformer(recording, grid, looks=looks, options=options) for recording in recordings]
    texts = [each if isinstance(each, str) else "weights" for each in (*subsets, target)]
    request = {"lq": texts[:-1], "hq": texts[-1]} if asked else {"n_pairs": n_pairs}
    header = Pairs(
        grid=grid,
        source=_source(recordings, [maker.settings for maker in makers]),
        strategy="subsets" if asked else strategy,
        seed=seed,
        dynamic_range_db=float(level),
        settings=json.loads(_json({**request, "options": options})),
        **{name: FileImages(os.fspath(out), name, (len(items), *grid.shape)) for name in ("lq", "hq")},
        **_facts(items, max(recording.n_tx for recording in recordings)),
    )
    with write_pairs(out, header, overwrite=overwrite) as writer:
        done = np.isfinite(writer.correlation)
        waiting = ((index, item) for index, item in enumerate(items) if not done[index])
        for (number, frame), group in itertools.groupby(waiting, lambda each: each[1][:2]):
            indices, each = zip(*group, strict=True)
            with _at(recordings[number], frame):
                made = drawing.parts(makers[number], recordings[number].frame(frame))
                if not np.all(np.isfinite(writer.speckle_cell[number])):
                    cells = [speckle.cell(image) for image in drawing.learnt(made)]
                    writer.measure(number, np.mean(cells, axis=0))
                pairs = drawing.pairs(made, [item.draw for item in each])
                for index, pair in zip(indices, pairs, strict=True):
                    low, high = (compressed(image, level) for image in pair)
                    writer.put(index, low, high, speckle.correlation(*pair))
                    if progress is not None:
                        progress(float(np.mean(np.isfinite(writer.correlation))))
    finished = load_pairs(out)
    _warn_of_shared_speckle(finished)
    return finished


def compressed(image: Image, dynamic_range: float) -> npt.NDArray[np.float32]:
    """An image as pairs hold it: 1 is its own maximum, 0 is `dynamic_range` [dB] below it.

    Parameters
    ----------
    image
        State complex or envelope.
    dynamic_range
        [dB].

    Raises
    ------
    MeasurementError
        If the image does not vary: then there is nothing to learn.
    """
    level = image.db(dynamic_range).data / np.float32(dynamic_range)
    values = np.clip(1 + level, 0, 1).astype(np.float32, copy=False)
    if np.ptp(values) == 0:
        raise MeasurementError(
            "the image is the same everywhere",
            location="pairs",
            expected="something to be seen",
            hint="is the grid in the record, and do the transmits reach it?",
        )
    return values


class _Item(NamedTuple):
    """One pair of the file."""

    recording: int
    frame: int
    draw: Draw


def _listed(lq: Request | Sequence[Request] | None) -> list[Request]:
    """The subsets that lq is of, one or several."""
    if lq is None:
        return [LQ]
    if isinstance(lq, str) or (isinstance(lq, np.ndarray) and lq.ndim == 1):
        return [lq]
    if not len(lq):
        raise ConfigError("no subset of transmits", location="lq", expected="at least one")
    return list(lq)


def _checked(frames: Sequence[int] | None, recording: Acquisition) -> Sequence[int]:
    there = range(recording.n_frames)
    if frames is None:
        return there
    bad = [frame for frame in frames if frame not in there]
    if bad or not len(frames) or len(set(frames)) < len(frames):
        raise ConfigError(
            "no such frames" if bad else "frames are named once each, and one at least",
            path=recording.path,
            location="frames",
            expected=f"0..{there[-1]}",
            found=", ".join(map(str, bad or frames)),
        )
    return frames


def _checked_grid(grid: Grid | None, recordings: Sequence[Acquisition]) -> Grid:
    """The grid given, or the one that all recordings have by themselves."""
    if grid is None:
        grid, *others = map(default_grid, recordings)
        if any(other != grid for other in others):
            raise ConfigError(
                "the recordings cover different regions, or at different wavelengths",
                location="grid",
                expected="one grid for all images",
                found=f"{len(recordings)} recordings and no grid",
                hint="give a grid that lies within all of them",
            )
    if min(grid.shape) < 2:
        raise ConfigError("an image has 2 x 2 pixels at least", location="grid", found=grid.shape)
    return grid


def _source(recordings: Sequence[Acquisition], settings: Sequence[Mapping[str, Any]]) -> Source:
    digests = [samples_sha256(recording) for recording in recordings]
    for i, recording in enumerate(recordings):
        if digests.index(digests[i]) < i:
            raise ConfigError("the same recording twice", path=recording.path, location="files")
    names = [printable(Path(each.path).name if each.path else each.title) or "unnamed" for each in recordings]
    texts = tuple(_json(each) for each in settings)
    return Source(file=tuple(names), sha256=tuple(digests), settings=texts, speckle_cell=np.zeros((len(names), 2)))


def samples_sha256(recording: Acquisition) -> str:
    """SHA-256 of the samples; readers of files know it."""
    known = getattr(recording.samples, "sha256", None)
    if known:
        return known
    digest = hashlib.sha256()
    for frame in range(recording.n_frames):
        digest.update(np.ascontiguousarray(recording.frame(frame)).data)
    return digest.hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, default=lambda each: np.asarray(each).tolist())


def _facts(items: Sequence[_Item], n_tx: int) -> dict[str, Any]:
    """What is known of every pair before it is made, as arrays."""
    facts: dict[str, Any] = {
        "lq_transmits": np.zeros((len(items), n_tx), np.float32),
        "hq_transmits": np.zeros((len(items), n_tx), np.float32),
        "overlap": np.array([item.draw.overlap for item in items]),
        "recording": np.array([item.recording for item in items]),
        "frame": np.array([item.frame for item in items]),
        "correlation": np.zeros(len(items)),
    }
    for i, (_, _, draw) in enumerate(items):
        facts["lq_transmits"][i, : len(draw.lq)], facts["hq_transmits"][i, : len(draw.hq)] = draw.lq, draw.hq
    if items[0].draw.angle is not None:
        facts["angle"] = np.array([item.draw.angle for item in items])
        facts["side"] = np.array([item.draw.side for item in items])
    return facts


@contextmanager
def _at(recording: Acquisition, frame: int) -> Generator[None]:
    """Errors within say which recording and frame they are about."""
    try:
        yield
    except UsbeamError as error:
        error.path = error.path or recording.path
        error.location = f"frame {frame}" + (f", {error.location}" if error.location else "")
        raise


def _warn_of_shared_speckle(pairs: Pairs) -> None:
    middle = float(np.median(pairs.correlation))
    if middle > ALIKE:
        remedy = (
            "either it is not fully developed, or angles and band are too few to part it"
            if pairs.strategy == "looks"
            else "pairs of strategy looks share less"
        )
        warnings.warn(
            f"the speckle of lq and hq correlates by {middle:.2f} (median; more than {ALIKE}): a network learns to "
            f"keep what the two share, speckle included; {remedy}",
            stacklevel=3,
        )
