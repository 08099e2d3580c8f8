"""What a Vantage system did in a frame: which ``TX`` was fired before which ``Receive``, and where that was stored.

``Event(i).tx`` and ``Event(i).rcv`` are 1-based indices, 0 for none. ``Receive.mode`` 1 adds to what is stored at that
place; that is one recording only if the same was fired each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usbeam.errors import BadField, MissingField
from usbeam.io.convert.structs import Structs
from usbeam.io.convert.variables import Variables

Indices = npt.NDArray[np.int64]
ACCUMULATE = 1


@dataclass(frozen=True)
class Sequence:
    """The acquisitions of every frame.

    Parameters
    ----------
    transmit : (n_tx,)
        0-based index into ``TX``.
    receive : (n_tx,)
        0-based index into ``Receive``, in the first frame.
    frames : (n_frames,)
        0-based frames of the buffer that were recorded, as they are stored.
    buffer : int
        0-based receive buffer.
    notes : str
        What was left out, in words.
    """

    transmit: Indices
    receive: Indices
    frames: Indices
    buffer: int
    notes: str


def read_sequence(variables: Variables, receive: Structs) -> Sequence:
    """Match transmits and receives.

    Parameters
    ----------
    variables, receive
        The workspace and its ``Receive``.

    Raises
    ------
    MissingField, BadField
        If it cannot be told what was fired, or the frames differ.
    """
    count = receive.numbers("startSample").size
    buffers = _field(variables, receive, "bufnum", count, 1)
    frames = _field(variables, receive, "framenum", count, 1)
    modes = _field(variables, receive, "mode", count, 0)
    start = _field(variables, receive, "startSample", count, None)
    tx, rcv = _events(variables, receive, count)
    buffer = int(buffers[rcv].min())
    used = buffers[rcv] == buffer
    others = sorted({int(other) for other in buffers[rcv][~used]})
    acquisitions: dict[int, dict[int, tuple[int, int]]] = {}
    for sent, heard in zip(tx[used].tolist(), rcv[used].tolist(), strict=True):
        frame = acquisitions.setdefault(int(frames[heard]), {})
        before = frame.get(int(start[heard]))
        if before is not None and modes[heard] == ACCUMULATE and not _is_same_firing(variables, before[0], sent):
            raise BadField(
                "the sum of different transmits",
                path=variables.path,
                location=f"Receive({heard + 1}).mode",
                expected="0, or the same transmit each time",
                found=f"TX({before[0] + 1}) and TX({sent + 1})",
            )
        frame[int(start[heard])] = before if before is not None and modes[heard] == ACCUMULATE else (sent, heard)
    order = sorted(acquisitions)
    first = acquisitions[order[0]]
    for number in order:
        if _places(acquisitions[number].items()) != _places(first.items()):
            raise BadField(
                "frames of different transmits",
                path=variables.path,
                location="Event",
                expected=f"what frame {order[0]} does",
                found=f"something else in frame {number}",
            )
    return Sequence(
        transmit=np.array([sent for sent, _ in first.values()]),
        receive=np.array([heard for _, heard in first.values()]),
        frames=np.array(order) - 1,
        buffer=buffer - 1,
        notes=f"receive buffer {buffer}; left out: {', '.join(map(str, others))}" if others else "",
    )


def _places(acquisitions: Iterable[tuple[int, tuple[int, int]]]) -> list[tuple[int, int]]:
    """Where each record begins, and after which transmit."""
    return [(start, sent) for start, (sent, _) in acquisitions]


def _field(variables: Variables, receive: Structs, name: str, count: int, default: float | None) -> Indices:
    if name not in receive and default is not None:
        return np.full(count, int(default))
    numbers = receive.numbers(name, default)
    if np.any((numbers != np.round(numbers)) | (numbers < 0) | (numbers > 2**31)):
        raise BadField(
            "not whole numbers", path=variables.path, location=f"Receive.{name}", expected="whole numbers >= 0"
        )
    return numbers.astype(np.int64)


def _events(variables: Variables, receive: Structs, count: int) -> tuple[Indices, Indices]:
    """0-based ``TX`` and ``Receive`` of each event that has both, in order."""
    n_tx = len(Structs(variables, "TX").values("Delay"))
    event = Structs(variables, "Event")
    if "tx" in event and "rcv" in event:
        tx, rcv = event.numbers("tx", 0), event.numbers("rcv", 0)
        if tx.size != rcv.size:
            raise BadField("tx and rcv of different length", path=variables.path, location="Event")
    else:
        rcv = np.arange(1.0, count + 1)
        tx = _field(variables, receive, "acqNum", count, None).astype(np.float64)
        if tx.max() != n_tx:
            raise MissingField(
                "it cannot be told which transmit was recorded when",
                path=variables.path,
                location="Event",
                expected=f"Event, or as many acquisitions in a frame as TX: {n_tx}",
                found=f"{int(tx.max())}",
                hint="save the whole workspace",
            )
    both = (tx != 0) & (rcv != 0)
    for name, index, limit in (("tx", tx, n_tx), ("rcv", rcv, count)):
        if np.any((index[both] != np.round(index[both])) | (index[both] < 1) | (index[both] > limit)):
            raise BadField("no such struct", path=variables.path, location=f"Event.{name}", expected=f"1..{limit}")
    if not both.any():
        raise BadField("no event transmits and receives", path=variables.path, location="Event")
    return tx[both].astype(np.int64) - 1, rcv[both].astype(np.int64) - 1


def _is_same_firing(variables: Variables, one: int, other: int) -> bool:
    """Whether two ``TX`` fire the same."""
    tx = Structs(variables, "TX")
    fields = [field for field in ("Delay", "Apod", "waveform") if field in tx]
    return one == other or all(np.array_equal(tx.array(each, one), tx.array(each, other)) for each in fields)
