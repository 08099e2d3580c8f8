"""The other half of ``usbeam demo``: pairs of looks, a brief training, and what the network makes of an image."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usbeam.cli.common import progress_bar, say, settings

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition, Truth
    from usbeam.image import Image
    from usbeam.train.run import Epoch, Run

N_PAIRS = 64
"""More than by default, since one recording has to do."""
TRAINING: Mapping[str, Any] = {
    "model": "looks-light",
    "epochs": 4,
    "steps_per_epoch": 150,
    "batch": 2,
    "precision": "auto",
}
"""Brief, by steps and not by time: what comes of it does not depend on how fast the machine is."""
FILTERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Gaussian": ("gaussian", {"sigma": 0.15e-3}),
    "SRAD": ("srad", {"n_iterations": 200}),
}
"""What the network stands beside: title -> method and its parameters."""
NETWORK = "network"
PAIRS, RUN, PICTURE = "pairs.h5", "network", "enhanced.png"
MAX_SINE = 0.45
"""As the image at f-number 1 has it when it hears: the network is to know speckle of about this size."""
DYNAMIC_RANGE = 60.0


def is_possible() -> bool:
    """Whether what a training needs is installed; if not, say what to install."""
    try:
        importlib.import_module("usbeam.train.training")
    except ModuleNotFoundError as error:
        say(f"no training without {error.name}; to see that too: pip install 'usbeam[train]'")
        return False
    return True


def names() -> list[str]:
    """Of the files that `enhanced` leaves beside the run folder."""
    return [PAIRS, *map(file_of, [*FILTERS, NETWORK]), PICTURE]


def file_of(title: str) -> str:
    """Name of the file of an enhanced image."""
    return f"cysts_all_das_{title.lower()}.h5"


def make_room(folder: Path) -> Path:
    """For the run folder; an error if something is there that must not be replaced."""
    from usbeam.train import run

    if not (settings.overwrite and (folder / RUN / run.CONFIG).is_file()):  # else it stays until there is another
        run.make_room(folder / RUN, overwrite=settings.overwrite)
    return folder / RUN


def left(folder: Path) -> Iterator[str]:
    """What there is to look at."""
    image, run = folder / "cysts_all_das.h5", folder / RUN
    yield f"{folder / PICTURE}: the cysts enhanced by filters and by the network, beside the truth"
    yield f"{run}: the network; try: usbeam enhance {image} -o {folder / 'smooth.h5'} --with {run}"
    n_steps = TRAINING["epochs"] * TRAINING["steps_per_epoch"]
    yield (
        f"the network learnt for {n_steps} steps, from this recording alone; "
        "one for use learns for thousands, from many recordings"
    )


def enhanced(recording: Acquisition, original: Image, truth: Truth, folder: Path) -> dict[str, Image]:
    """Train on looks of a recording, and enhance its image by the network and by filters; leave images and a picture.

    All are in dB re the maximum of the original.
    """
    import usbeam as ub

    run = _trained(recording, original, folder)
    methods: dict[str, tuple[Any, Mapping[str, Any]]] = {**FILTERS, NETWORK: (run, {})}
    images: dict[str, Image] = {}
    for title, (method, parameters) in methods.items():
        images[title] = _on_scale(ub.enhance(original, method, dynamic_range=DYNAMIC_RANGE, **parameters), original)
        images[title].save(folder / file_of(title), overwrite=settings.overwrite)
    _draw({"original": original, **images, "truth": _of_truth(truth, original)}, folder / PICTURE)
    return images


def _trained(recording: Acquisition, original: Image, folder: Path) -> Run:
    """A run folder, from pairs of looks of the one recording."""
    import usbeam as ub

    with progress_bar("pairs of looks") as advance:
        ub.make_pairs(
            [recording],
            original.grid,
            out=folder / PAIRS,
            n_pairs=N_PAIRS,
            max_sine=MAX_SINE,
            overwrite=settings.overwrite,
            progress=advance,
        )

    def tell(epoch: Epoch) -> None:
        say(f"epoch {epoch.epoch}: loss {epoch.train_loss:.4g}, held out {epoch.validation_loss:.4g}")

    with progress_bar("training") as advance:
        return ub.train.fit(
            folder / PAIRS,
            TRAINING,
            out=folder / RUN,
            overwrite=settings.overwrite,
            progress=advance,
            on_epoch=tell,
        )


def _on_scale(image: Image, original: Image) -> Image:
    """In dB re the original's maximum, as methods for displayed images have it."""
    if image.state == "db":
        return image
    return image.db(DYNAMIC_RANGE, reference=float(original.envelope().data.max()))


def _of_truth(truth: Truth, original: Image) -> Image:
    """Cysts without an echo in tissue as bright as the original's middle."""
    import numpy as np

    shown = original.db(DYNAMIC_RANGE)
    data = np.full_like(shown.data, np.median(shown.data))
    x, z = shown.grid.x, shown.grid.z[:, np.newaxis]
    for cx, cz, radius in truth.regions.values():
        data[(x - cx) ** 2 + (z - cz) ** 2 < radius**2] = -DYNAMIC_RANGE
    return dataclasses.replace(shown, data=data)


def _draw(images: Mapping[str, Image], path: Path) -> None:
    from usbeam.show import plot

    axes = plot.side_by_side(list(images.values()), list(images), dynamic_range=DYNAMIC_RANGE)
    plot.save_figure(axes[0], path, overwrite=settings.overwrite)
