"""Figures sized and styled for print, and their way to a file.

Colours (M. Okabe and K. Ito, "Color Universal Design", 2008) are told apart by colour-blind readers. The figures are
matplotlib's own, unknown to pyplot: nothing needs closing, and a notebook shows them by ``ax.figure``.
"""

from __future__ import annotations

import os
from typing import Any

import matplotlib
from cycler import cycler

from usbeam.errors import ConfigError
from usbeam.io.atomic import atomic_write

BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
STYLE: Any = {
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY]),
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # publishers refuse Type 3
}


@matplotlib.rc_context(STYLE)
def axes(size: tuple[float, float], columns: int = 1) -> list[Any]:
    """Axes of a new figure, beside each other, in the style of all figures here.

    Parameters
    ----------
    size
        Width and height of the figure in inches.
    columns
        How many axes.

    Returns
    -------
    list of matplotlib Axes
    """
    from matplotlib.figure import Figure

    # "compressed" keeps bars as tall as pictures of fixed aspect.
    return list(Figure(figsize=size, layout="compressed").subplots(1, columns, squeeze=False)[0])


@matplotlib.rc_context(STYLE)
def save_figure(ax: Any, path: str | os.PathLike[str], *, dpi: float = 200, overwrite: bool = False) -> None:
    """Write the figure that holds `ax`, whole or not at all; the ending says the format.

    Parameters
    ----------
    ax : matplotlib Axes
        Any of the figure's.
    path
        ``.png``, ``.pdf``, ``.svg`` or another that matplotlib writes.
    dpi
        Pixels per inch, where the format has pixels.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    OutputExists
        If the file is there and `overwrite` is false.
    ConfigError
        For an ending that is no picture format.
    """
    ending = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if ending not in ax.figure.canvas.get_supported_filetypes():
        raise ConfigError("not a picture format", path=path, expected=".png, .pdf or .svg", found=f".{ending}")
    with atomic_write(path, overwrite=overwrite) as temporary:
        ax.figure.savefig(temporary, format=ending, dpi=dpi)
