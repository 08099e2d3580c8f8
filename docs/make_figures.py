"""Figures of docs/concepts: ``python -m docs.make_figures`` leaves them in docs/images."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from PIL import Image

import usbeam as ub
from usbeam.show import plot

IMAGES = Path(__file__).parent / "images"
Floats = npt.NDArray[np.float64]
INK, TEAL, ORANGE, PALE = "#1f3b4d", "#00838f", "#c8651b", "#b9c4cb"
SPEED = 1540.0


def finish(figure: plt.Figure, name: str) -> None:
    """Write a drawing that does not change from one run to the next."""
    figure.savefig(IMAGES / name, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def draw_array(ax: Axes, x: Floats, active: npt.NDArray[np.bool_], top: float) -> None:
    """Elements as bars above the image region, those that fire in colour; room up to `top` above them."""
    ax.bar(x, 0.8, width=0.7 * (x[1] - x[0]), bottom=-1.0, color=np.where(active, TEAL, PALE))
    ax.set(xlim=(-11.5, 11.5), ylim=(20, top), aspect="equal")
    ax.set_axis_off()


def transmit_kinds() -> None:
    """Five wave fronts, with the delays that make them as stems above the array."""
    x = np.linspace(-8, 8, 17)
    across, depth = np.meshgrid(np.linspace(-11, 11, 441), np.linspace(0, 19, 381))
    angle, focus, source = np.radians(15), (2.0, 12.0), (-2.0, -6.0)

    def from_point(point: tuple[float, float]) -> Floats:
        return np.hypot(across - point[0], depth - point[1])

    # For each kind: when the front is where, and when the elements fire, both times the speed; which elements fire.
    everyone, one = np.ones(17, bool), np.arange(17) == 5
    jagged = 1.6 * (1 + np.sin(1.9 * np.arange(17)))
    kinds: dict[str, tuple[Floats, Floats, npt.NDArray[np.bool_]]] = {
        "element": (from_point((x[5], 0)), np.zeros(17), one),
        "plane": (across * np.sin(angle) + depth * np.cos(angle), x * np.sin(angle), everyone),
        "focused": (
            np.where(depth < focus[1], -1, 1) * from_point(focus),
            -np.hypot(x - focus[0], focus[1]),
            everyone,
        ),
        "diverging": (from_point(source), np.hypot(x - source[0], source[1]), everyone),
        "custom": (
            np.min([delay + from_point((place, 0)) for place, delay in zip(x, jagged, strict=True)], axis=0),
            jagged,
            everyone,
        ),
    }
    figure, axes = plt.subplots(1, 5, figsize=(11, 3), layout="constrained")
    for ax, (kind, (front, delay, active)) in zip(axes, kinds.items(), strict=True):
        draw_array(ax, x, active, top=-8)
        lag = (delay - delay[active].min()) * 0.45
        ax.vlines(x[active], -1.4 - lag[active], -1.4, color=ORANGE, lw=1.5)
        latest = delay[active].max()
        shown = np.ma.masked_where(hidden(kind, across, depth, x, focus, source, angle), front)
        ax.contour(
            across,
            depth,
            shown,
            levels=np.sort(latest + np.arange(1, 40, 2.6)),
            colors=INK,
            linewidths=1,
            linestyles="solid",
        )
        ax.set_title(kind, color=INK, fontsize=11)
    axes[2].plot(*focus, "o", color=ORANGE, ms=4)
    axes[3].plot(*source, "o", color=ORANGE, ms=4, clip_on=False)
    finish(figure, "transmit_kinds.svg")


def hidden(
    kind: str,
    across: Floats,
    depth: Floats,
    x: Floats,
    focus: tuple[float, float],
    source: tuple[float, float],
    angle: float,
) -> npt.NDArray[np.bool_]:
    """Where a beam of finite width has no front."""
    left, right = x[0] - 0.5, x[-1] + 0.5
    if kind == "plane":
        foot = across - depth * np.tan(angle)
    elif kind == "focused":
        ahead = np.where(np.abs(depth - focus[1]) < 1e-9, np.nan, focus[1] - depth)
        foot = focus[0] + (across - focus[0]) * focus[1] / ahead
    elif kind == "diverging":
        foot = source[0] + (across - source[0]) * -source[1] / (depth - source[1])
    else:
        return depth < 0.1
    return ~((foot > left) & (foot < right)) | (depth < 0.1)


def acceptance() -> None:
    """The cone of a window on each leg, and the blind triangle between two transmitters."""
    x = np.linspace(-8, 8, 17)
    half = np.tan(np.arcsin(0.45))
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left, right = axes
    point = (1.5, 13.0)
    draw_array(left, x, np.abs(x - point[0]) <= point[1] * half, top=-2)
    cone = [point[0], point[0] - point[1] * half, point[0] + point[1] * half]
    left.fill(cone, [point[1], 0, 0], color=TEAL, alpha=0.15)
    for place, color, text, side in ((-3.0, ORANGE, "transmit leg", "right"), (4.0, INK, "receive leg", "left")):
        ends = (point, (place, 0)) if color == ORANGE else ((place, 0), point)
        left.annotate("", *ends, arrowprops={"arrowstyle": "->", "color": color, "lw": 1.6})
        beside = (place + point[0]) / 2 + (-0.6 if side == "right" else 0.6)
        left.text(beside, point[1] / 2, text, ha=side, color=color)
    left.plot(*point, "o", color=INK)
    left.text(point[0], point[1] + 1.6, "image point", ha="center", va="center", color=INK)
    left.set_title("elements within the cone count, on each leg by its own window", fontsize=10, color=INK)
    outer = np.array([x[0], x[-1]])
    draw_array(right, x, np.isin(x, outer), top=-2)
    for place in outer:
        right.fill([place, place - 20 * half, place + 20 * half], [0, 20, 20], color=TEAL, alpha=0.2)
    meet = (outer[1] - outer[0]) / 2 / half
    right.fill([outer[0], outer[1], 0], [0, 0, meet], facecolor="none", edgecolor=ORANGE, hatch="///", lw=1.2)
    right.text(0, 4.5, "blind", ha="center", color=ORANGE, fontsize=12, bbox={"color": "white", "pad": 1.5})
    right.set_title("two transmitters, a narrow transmit window", fontsize=10, color=INK)
    finish(figure, "acceptance.svg")


def wrong_times() -> None:
    """The same points with the right times, without the pulse's peak, and with a start time that is off."""
    probe = ub.Probe.linear(64, 0.2e-3, 7.5e6, bandwidth=0.65, element_width=0.18e-3)
    depth = (5e-3, 15e-3)
    phantom = ub.simulate.phantoms.points(x=(-5e-3, 5e-3), z=depth, spacing=4e-3)
    fired = ub.Transmits.elements(probe, pulse_peak_time=0.4e-6)
    recording = ub.simulate.record(phantom, probe, fired, sampling_frequency=31.25e6, depth=depth)
    grid = ub.Grid.linear(x=(-5.5e-3, 5.5e-3), z=(6.5e-3, 13.5e-3), shape=(300, 221))
    cases: dict[str, Callable[[], ub.Acquisition]] = {
        "all times given": lambda: recording,
        "pulse peak (0.4 us) left out": lambda: recording.replace(transmits=ub.Transmits.elements(probe)),
        "start time 1 us late": lambda: recording.replace(start_time=np.asarray(recording.start_time) + 1e-6),
    }
    images = [ub.beamform(case(), grid, f_number=1.0) for case in cases.values()]
    axes = plot.side_by_side(images, list(cases), dynamic_range=50)
    for ax in axes:
        ax.plot(*(phantom.positions[:, [0, 2]].T * 1e3), "+", color="#ffb000", ms=9, mew=1)
    axes[0].figure.set_layout_engine("compressed")
    drawn = io.BytesIO()
    axes[0].figure.savefig(drawn, format="png", dpi=110)
    with Image.open(drawn) as full:
        full.convert("RGB").save(IMAGES / "wrong_times.png", optimize=True)


if __name__ == "__main__":
    plt.rcParams.update({"svg.hashsalt": "usbeam", "font.size": 10})
    transmit_kinds()
    acceptance()
    wrong_times()
