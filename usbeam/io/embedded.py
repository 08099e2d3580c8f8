"""Our header inside another format's file, so that what the other format cannot hold comes back.

All of ``usbeam-channel-data`` but the samples, below one group that programs of the other format pass over. The
contract names its entries by absolute path, so both ways go through a file in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.errors import BadField
from usbeam.io.channel_data import build_acquisition, read_recording
from usbeam.io.findings import raise_errors
from usbeam.io.read import attribute_names, read_attribute
from usbeam.io.safe import Node, child, guard, open_dataset
from usbeam.io.spec import load_spec
from usbeam.io.write import write_attribute, write_contents

GROUP = "usbeam"
"""Name of the group in the root of the other format's file."""


def write_header(file: h5py.File, acquisition: Acquisition) -> None:
    """Put the header of a recording into `GROUP` of an open file.

    Parameters
    ----------
    file
        Open for writing, without such a group.
    acquisition
        The recording; its samples are not touched.

    Raises
    ------
    ConfigError, BadField
        If a value does not belong in a recording.
    """
    samples = acquisition.samples
    with _in_memory(file.filename, samples.shape, samples.dtype) as own:
        write_contents(own, load_spec("channel_data"), acquisition)
        raise_errors(read_recording(own).findings, file.filename)
        # What is said of the samples stays; of the samples there are none here.
        said = _attributes(open_dataset(own, "samples"))
        del own["samples"]
        _describe(own.create_dataset("samples", data=np.zeros(0, np.uint8)), said)
        own.copy(own["/"], file, name=GROUP)


def read_header(
    file: h5py.File,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    samples: Callable[[Mapping[str, Any]], npt.NDArray[Any]],
) -> Acquisition:
    """The recording whose header lies in `GROUP`.

    Parameters
    ----------
    file
        As opened by `usbeam.io.safe.safe_open`.
    shape, dtype
        Of the samples that the other format holds, ``(n_frames, n_tx, n_elements, n_samples)``: a trace for each
        element; and what they are in our recording.
    samples
        From the header's values by location to the samples ``(n_frames, n_tx, n_rx, n_samples)``.

    Raises
    ------
    FileFormatError
        If the header is damaged or does not fit the samples.
    """
    n_frames, n_tx, n_elements, n_samples = shape
    group = child(file, GROUP, f"/{GROUP}")
    if not isinstance(group, h5py.Group):
        raise BadField("not a group", path=file.filename, location=f"/{GROUP}")
    with guard(file.filename, f"/{GROUP}"):
        index = group.get("receive/element_index")
        n_rx = index.shape[-1] if isinstance(index, h5py.Dataset) and index.shape else n_elements
        with _in_memory(file.filename, (n_frames, n_tx, n_rx, n_samples), dtype) as own:
            for name in group:
                if name != "samples":
                    group.copy(name, own)
                elif isinstance(said := group[name], h5py.Dataset):
                    _describe(own["samples"], _attributes(said))
            _describe(own, _attributes(group))
            contents = read_recording(own)
    raise_errors(contents.findings, file.filename)
    return build_acquisition(contents, samples(contents.values), file.filename).replace(path=None)


@contextmanager
def _in_memory(path: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Generator[h5py.File, None, None]:
    """A file in memory with samples that are declared, not stored."""
    # Nothing is written to `path`: it is the name for messages, and the size that counts for limits.
    with h5py.File(path, "w", driver="core", backing_store=False) as own:
        own.create_dataset("samples", shape=shape, dtype=dtype, chunks=(1, 1, *shape[2:]))
        yield own


def _attributes(node: Node) -> dict[str, Any]:
    return {name: read_attribute(node, name) for name in attribute_names(node)}


def _describe(node: Any, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        write_attribute(node, name, value)
