"""Cases 21 to 47 that are files: the tables of `tests.io`, and what is not a table there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bad_inputs.cases import CASES, Case, Desk, answered, refused
from tests.io.recordings import plane_waves, small
from tests.io.test_channel_data import PLANE, REFUSED, Spoil, attribute, iq, spoil
from tests.io.test_validate import ECHOES, WARNED
from usbeam.acquisition import Acquisition
from usbeam.errors import FileFormatError, GeometryError, MissingField
from usbeam.io import load, save, validate
from usbeam.probe import Probe
from usbeam.transmits import Transmits


def spoilt(change: Spoil, recording: Acquisition | None = None) -> Callable[[Desk], object]:
    """Load the desk's recording, or another one, after a change."""

    def provoke(desk: Desk) -> object:
        if recording:
            save(recording, desk.recording, overwrite=True)
        spoil(desk.recording, change)
        return load(desk.recording)

    return provoke


def finding(path: Path, words: str) -> str:
    """The line of `usbeam validate` that holds these words."""
    return next((str(each) for each in validate(path) if words in str(each)), "nothing found")


def numbered(name: str) -> tuple[int, str] | None:
    number, _, title = name.partition(" ")
    return (int(number), title) if number.isdigit() else None


def register(
    table: dict[str, tuple[Spoil, type[FileFormatError], tuple[str, ...]]],
    recording: Acquisition | None = None,
    of: str = "",
) -> None:
    for name, (change, kind, words) in table.items():
        found = numbered(name)
        if found:
            number, title = found
            CASES.append(Case(number, title + of, spoilt(change, recording), kind, words[0]))


def register_findings() -> None:
    for name, (change, _, words) in WARNED.items():
        found = numbered(name)
        if found:

            def provoke(desk: Desk, change: Spoil = change, words: str = words) -> str:
                spoil(desk.recording, change)
                return finding(desk.recording, words)

            CASES.append(Case(*found, provoke, None, words))
    for name, (recording, _, words) in ECHOES.items():
        found = numbered(name)
        if found:

            def provoke_echoes(desk: Desk, recording: Acquisition = recording, words: str = words) -> str:
                save(recording, desk.recording, overwrite=True)
                return finding(desk.recording, words)

            CASES.append(Case(*found, provoke_echoes, None, words))


register(REFUSED)
register(PLANE, plane_waves(), " (plane waves)")
register_findings()


@answered(30, "one element", "a probe of one element")
def one_element(desk: Desk) -> str:
    save(small(n_elements=1), desk.recording, overwrite=True)
    return finding(desk.recording, "one element")


@refused(33, "angles in degrees, in Python", GeometryError, "angle beyond pi")
def degrees(desk: Desk) -> object:
    return Transmits.plane(Probe.linear(4, 0.3e-3, 5e6), [-10.0, 10.0], 1540.0)


@refused(39, "IQ without a carrier", MissingField, "/samples:analytic")
def no_carrier(desk: Desk) -> object:
    return spoilt(attribute("samples", "analytic", None), iq(0.0))(desk)
