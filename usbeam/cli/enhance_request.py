"""What ``usbeam enhance`` is asked to do, whatever the file: from a file to its enhanced frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usbeam.cli.common import progress_bar

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition
    from usbeam.errors import ConfigError
    from usbeam.grid import Grid
    from usbeam.image import Image
    from usbeam.train.run import Run

MOST_ADAPTING_FRAMES = 4
"""Of a recording, evenly spread over those that are enhanced: neighbours show much the same."""


@dataclass(frozen=True)
class Opened:
    """A file whose frames can be enhanced.

    Parameters
    ----------
    enhanced
        Makes the image of a frame, telling the fraction done.
    adapted
        Folder of the network that was adapted to it, if one was.
    """

    enhanced: Callable[[int, Callable[[float], None]], Image]
    adapted: Path | None = None


@dataclass(frozen=True)
class Request:
    """The options that say how to enhance.

    Parameters
    ----------
    name
        Of the method, or where a network is.
    parameters
        Those given, as `read_parameters` reads them.
    given_range
        Displayed range [dB], if it is given.
    place
        The options of a recording's grid, as typed; the spacing is also that of a picture.
    frames
        Of a recording, as typed.
    adapted
        Whether the network is first trained a little further.
    device
        Where the work is done; what comes out is the same but for rounding.

    Raises
    ------
    ConfigError
        For what no file could meet: a method that cannot be adapted, places of images, a runtime that is not there.
    DeviceUnavailable
        For a GPU that the network cannot have.
    """

    name: str
    parameters: Mapping[str, Any]
    given_range: float | None
    place: Mapping[str, str | None]
    frames: str
    adapted: bool
    device: str = "auto"

    def __post_init__(self) -> None:
        from usbeam.enhancers import METHODS, check_device, find
        from usbeam.errors import ConfigError

        if self.adapted and self.name in METHODS:
            raise ConfigError("is for trained networks", location="--adapt", found=self.name)
        if self.name not in METHODS:
            from usbeam.train import gpu, runtimes

            runtime = self.parameters.get("runtime", "torch")
            runtimes.refuse_missing(runtime)
            gpu.resolve(self.device, runtime)
        check_device(self.device, find(self.name))
        if self.option is not None:
            return
        for name, value in {**self.place, "frames": None if self.frames == "0" else self.frames}.items():
            if value is not None and name != "spacing":
                raise _of_recordings(name, value)

    @property
    def dynamic_range(self) -> float:
        """Displayed range [dB] of an image that is not in dB."""
        return 60.0 if self.given_range is None else self.given_range

    @property
    def option(self) -> str | None:
        """The one that asks for channel data; None if images are enhanced."""
        if self.adapted:
            return "--adapt"
        return "--mode" if self.parameters.get("mode") == "quality" else None

    def frames_of(self, path: Path) -> tuple[int, ...]:
        """The frames of a file that are asked for; an image has one. Of a recording, the header alone is read."""
        from usbeam.cli.beamform import read_frames, read_grid
        from usbeam.io.image_file import is_picture

        if self.option is None:
            if self.place["spacing"] is not None and path.is_file() and not is_picture(path):
                raise _of_recordings("spacing", self.place["spacing"])
            return (0,)
        recording = _recording(path, self.option)
        read_grid(recording, **self.place)  # what cannot be read is refused before anything is computed
        return tuple(read_frames(self.frames, recording))

    def opened(self, path: Path, frames: Sequence[int]) -> Opened:
        """Read a file, and adapt the network to it if that is asked for, once for all these frames."""
        import usbeam as ub

        given: dict[str, Any] = {**self.parameters, "dynamic_range": self.dynamic_range, "device": self.device}
        if self.option is None:
            image = self._image(path)
            return Opened(lambda _, progress: ub.enhance(image, self.name, progress=progress, **given))
        recording = _recording(path, self.option)
        network = _adapted(recording, self.name, self.place, frames, self.device) if self.adapted else self.name
        grid = _grid(recording, network, self.place, frames[0], self.device)
        return Opened(
            lambda frame, progress: ub.enhance_recording(
                recording, network, grid, frame=frame, progress=progress, **given
            ),
            adapted=None if isinstance(network, str) else network.folder,
        )

    def _image(self, path: Path) -> Image:
        from usbeam.io.image_file import is_picture, load_image
        from usbeam.units import parse_quantity

        if not is_picture(path):
            return load_image(path)
        typed = self.place["spacing"]
        spacing = None if typed is None else parse_quantity(typed, "length")
        return load_image(path, spacing=spacing, dynamic_range=self.given_range)

    def keys(self, path: Path, frames: Sequence[int]) -> dict[int, str]:
        """For each frame of a file a checksum of all that its result depends on; a file that was changed has others.

        Raises
        ------
        FileAccessError
            If the file is not there.
        """
        from usbeam import __version__
        from usbeam.enhancers import find, trained
        from usbeam.io.safe import access_error

        try:
            state = path.stat()
        except (OSError, ValueError) as error:
            raise access_error(error, path) from error
        method = find(self.name)
        facts = {
            "version": __version__,
            "file": [path.name, state.st_size, state.st_mtime_ns],
            "method": method.network.sha256 if isinstance(method, trained.TrainedEnhancer) else method.name,
            "parameters": dict(self.parameters),
            "dynamic_range": self.given_range,
            "place": dict(self.place),
            "adapted": self.adapted,
            "frames": list(frames if self.adapted else frames[:1]),  # the grid is that of the first
        }
        texts = {frame: json.dumps([facts, frame], sort_keys=True) for frame in frames}
        return {frame: hashlib.sha256(text.encode()).hexdigest() for frame, text in texts.items()}


def read_parameters(name: str, assigned: Iterable[str]) -> dict[str, Any]:
    """The parameters that ``NAME=VALUE`` set, checked; an unknown method is refused."""
    from usbeam.enhancers import find
    from usbeam.errors import ConfigError

    try:
        method = find(name)
    except ConfigError as error:
        error.location = "--with"
        error.hint = error.hint or "usbeam enhance --list says what they are"
        raise
    known = method.parameters
    given: dict[str, Any] = {}
    for text in assigned:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals and value):
            raise ConfigError(f"cannot read {text!r}", location="--set", expected="NAME=VALUE")
        if key in given:
            raise ConfigError("the same parameter twice", location=f"--set {key}")
        try:
            given[key] = known[key].parsed(value) if key in known else value
        except ConfigError as error:
            error.location = f"{method.name}.{key}"
            raise
    method.resolved(given)
    return given


def _of_recordings(name: str, value: str | None) -> ConfigError:
    from usbeam.errors import ConfigError

    return ConfigError(
        "is for a recording", location=f"--{name}", found=value, hint="an image is enhanced on its own grid"
    )


def _recording(source: Path, option: str) -> Acquisition:
    """The channel data that an option asks for; an image, which has none, is refused."""
    import usbeam as ub
    from usbeam.errors import ConfigError, FileFormatError

    try:
        return ub.load(source)
    except FileFormatError as error:
        if error.found != "usbeam-image":
            raise
        what = {"--mode": "quality", "--adapt": "adapting"}[option]
        raise ConfigError(
            f"{what} needs channel data, of which an image holds none any more",
            path=source,
            location=option,
            expected="a recording",
            found="an image",
            hint="give the recording that it was made of" + (", or --mode fast" if option == "--mode" else ""),
        ) from error


def _adapted(
    recording: Acquisition, name: str, place: Mapping[str, str | None], frames: Sequence[int], device: str
) -> Run:
    """A network after a brief training on looks of the recording: the one that is kept beside it, if there is one."""
    from usbeam.errors import ConfigError
    from usbeam.recordings import looks_grid

    try:
        from usbeam.adaptation import adapt
    except ModuleNotFoundError as error:
        raise ConfigError(f"adapting needs {error.name}", hint="pip install 'usbeam[train]'") from error
    limited = place["x"] is not None or place["z"] is not None
    grid = _within(looks_grid(recording, name, frames[0], device=device), place) if limited else None
    step = -(-len(frames) // MOST_ADAPTING_FRAMES)
    with progress_bar("adapting") as advance:
        return adapt(recording, name, grid, frames=list(frames[::step]), device=device, progress=advance)


def _grid(recording: Acquisition, network: str | Run, place: Mapping[str, str | None], frame: int, device: str) -> Grid:
    """That of the options; pixels are those that the network knows where no option says otherwise."""
    from usbeam.cli.beamform import read_grid
    from usbeam.recordings import trained_grid

    if place["shape"] is not None or place["spacing"] is not None:
        return read_grid(recording, **place)
    return _within(trained_grid(recording, network, frame, device=device), place)


def _within(whole: Grid, place: Mapping[str, str | None]) -> Grid:
    """The part of a grid between the limits that the options give."""
    from usbeam.grid import Grid
    from usbeam.units import parse_range

    x, z = (
        (float(axis[0]), float(axis[-1])) if text is None else parse_range(text, "length")
        for axis, text in ((whole.x, place["x"]), (whole.z, place["z"]))
    )
    return Grid.spaced(x=x, z=z, spacing=whole.spacing)
