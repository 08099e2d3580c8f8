"""Write ``README.md`` and ``time_zero.svg`` of this folder from its contracts: ``python data_specs/make_readme.py``."""

# The tables of Markdown below have one line a row.
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from usbeam.io.spec import Entry, Field, Spec, load_spec

FOLDER = Path(__file__).parent

INTRODUCTION = """\
# The files of usbeam

This page is made from the TOML files beside it by `python data_specs/make_readme.py`; change those, not this. The same
TOML drives the writer, the reader and `usbeam validate`.

All three formats are HDF5. MUST and SHOULD are meant as in RFC 2119.

- Numbers are SI, in any byte order. Every dataset of numbers MUST have the attribute `units`, equal to the one below,
  and SHOULD have `description`.
- A scalar is a 0-dimensional dataset. Text MUST be UTF-8 and SHOULD be of fixed length.
- Every number MUST be finite. Counts are not stored: they are the lengths of the arrays, and MUST agree.
- Coordinates: the origin is the array's centre, x lateral, y elevation, z depth. Angles run from +z toward +x.
- Compression MUST be gzip, lzf or none, with or without shuffle and fletcher32. Links to other files, soft links,
  virtual datasets, references and values of variable length other than text are refused.
- A field that is not in the contract is ignored with a warning; one whose name begins with `x_` without.
- `format_version` is MAJOR.MINOR. A reader refuses another major, and warns of a higher minor.
"""

TIME_ZERO = """\
## Time zero

Most wrong images have one cause: somebody's time zero is not somebody else's. A recording keeps five facts apart,
and nothing else is folded into any of them.

![Time line of one transmit and one echo](time_zero.svg)

| fact | where | what |
|---|---|---|
| trigger | t = 0 | the transmit trigger; every other time counts from it |
| firing | `/transmit/delays` | element i fires at its delay; it may be negative |
| pulse peak | `/transmit/pulse_peak_time` | the pulse peaks this much later than it fires, as seen in the received echo (both ways) |
| lens | `/probe/lens_delay` | the lens holds the wave up by this much, once on the way out and once on the way back |
| sample 0 | `/start_time` | when the recorder took its first sample; sample n is at start_time + n / sampling_frequency |

So the echo of a point p, sent by element i and received by element j, peaks at

    t = delays[i] + |p - e_i| / sound_speed + lens_delay            the way out
      + |p - e_j| / sound_speed + lens_delay                        the way back
      + pulse_peak_time

and lies at sample `(t - start_time) * sampling_frequency`. For a plane wave of unit direction d, the way out is
`d . p / sound_speed`, counted from the moment when the wave passes the origin; that moment follows from `delays`.

What to mind when a file of another format is converted:

- A start depth (Verasonics) is a start time of twice the depth over the speed of sound. Pulse peak and lens stay out
  of it.
- UFF: sample 0 is at `initial_time + sequence[k].delay`.
- Plane waves: in some files t = 0 is the firing of the first element, in others the wave passing the array's centre.
  The delays as they fire, negative ones included, say which.
- Delays, focus and start depth may be in wavelengths (Verasonics), physical deltas in centimetres (DICOM).
- A silent element has apodization 0. Where another format marks it by a NaN delay, write delay 0 and apodization 0.
"""

OTHER_FORMATS = """\
## Where other formats keep the same facts

| here | UFF (USTB) | PICMUS | zea | Verasonics `.mat` -v7.3 | BRAIN `exp_data` |
|---|---|---|---|---|---|
| `/samples` | `channel_data/data`, plain or real and imag; same axis order on disk | `US/US_DATASET0000/data/real`, `imag` | `tracks/track_0/data/raw_data`, or `data/raw_data`; swap the last two axes; two channels are real and imag | `RcvData`, int16; frames in ring-buffer order; BS100BW interleaves I and -Q | `time_data`, one trace for each pair; often only rx >= tx |
| `/sampling_frequency` | `sampling_frequency` | `sampling_frequency` | `scan/sampling_frequency`, float32 | `Receive.decimSampleRate` in MHz | from `time` |
| `/demodulation_frequency` | `modulation_frequency` | `modulation_frequency`; 0 in some files | `scan/demodulation_frequency` | `Receive.demodFrequency` in MHz | 0 |
| `/start_time` | `initial_time + sequence[k].delay` | `initial_time` | `scan/initial_times` | `2 * Receive.startDepth` in wavelengths | `time[0]` |
| `/sound_speed` | `sound_speed` | `sound_speed` | `scan/sound_speed` | `Resource.Parameters.speedOfSound` | `ph_velocity`, or the material's |
| `/probe/element_positions` | `probe/geometry` | `probe_geometry` | `probe/probe_geometry` | `Trans.ElementPos` in mm or wavelengths | `array.el_xc`, `el_yc`, `el_zc` |
| `/probe/lens_delay` | none | none | `probe/lens_*`: thickness and speed | `Trans.lensCorrection` in wavelengths | none |
| `/transmit/delays` | from `sequence[k].source` | from `angles` | `scan/t0_delays` | `TX.Delay` in wavelengths | 0, one element each |
| `/transmit/pulse_peak_time` | none | none | peak of `waveforms_two_way` | `TW.peak` in wavelengths | none |
| `/receive/element_index` | all | all | `scan/rx_aperture_indices`, else all | `Receive.Apod` | `rx`, 1-based; -1 for pairs that are not stored |
| scalars | (1, 1) arrays | (1,) arrays | 0-d float32 | (1, 1) arrays, texts as codes | (1, 1) arrays |

`usbeam convert` reads all of these and MUST's, and with a mapping file (see `mappings/`) any `.mat`, `.h5`, `.npz` or
`.npy`; it writes UFF and zea.
"""


def required(entry: Entry) -> str:
    """Whether an entry must be there, in few words."""
    if not entry.required_when:
        return "yes" if entry.required else "no"
    conditions = entry.required_when.items()
    cases = (f"`{where}` is {' or '.join(_plain(value) for value in values)}" for where, values in conditions)
    return "where " + " and ".join(cases)


def limits(entry: Entry) -> str:
    """The values that an entry may take, as a sentence; empty if any."""
    if len(entry.choices) > 1:
        return f"One of {', '.join(entry.choices)}."
    if entry.choices:
        return f"Always `{_plain(entry.choices[0])}`."
    sides = (("above", entry.above), ("at least", entry.minimum), ("at most", entry.maximum))
    words = [f"{word} {limit:g}" for word, limit in sides if limit is not None]
    return f"{' and '.join(words).capitalize()}." if words else ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def row(*cells: str) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def field_row(field: Field) -> str:
    """One dataset."""
    shapes = " or ".join(f"({', '.join(str(name) for name in shape)})" for shape in field.shapes)
    text = " ".join(part for part in (field.description, limits(field), field.notes) if part)
    return row(f"`{field.path}`", " or ".join(field.dtypes), shapes, field.units or "–", required(field), text)


def section(spec: Spec) -> Iterator[str]:
    """One format."""
    yield f"## `{spec.name}` {spec.version}\n\n{spec.summary}\n"
    yield "Dimensions: " + "; ".join(f"`{name}`: {text}" for name, text in spec.dimensions.items()) + ".\n"
    yield "### Datasets\n"
    yield row("path", "type", "shape", "units", "required", "meaning") + "\n|---|---|---|---|---|---|"
    yield "\n".join(field_row(field) for field in spec.fields) + "\n"
    yield "### Attributes\n"
    yield row("of", "name", "type", "required", "meaning") + "\n|---|---|---|---|---|"
    for path, attribute in spec.attributes():
        dtype = "JSON text" if attribute.dtype == "json" else attribute.dtype
        text = " ".join(part for part in (attribute.description, limits(attribute)) if part)
        yield row(f"`{path}`", f"`{attribute.name}`", dtype, required(attribute), text)
    yield ""


def readme() -> str:
    """The whole page."""
    recording, *others = (load_spec(name) for name in ("channel_data", "image", "pairs"))
    parts = [INTRODUCTION, *section(recording), TIME_ZERO, OTHER_FORMATS]
    for spec in others:
        parts += section(spec)
    return "\n".join(parts).rstrip() + "\n"


def draw_time_zero(path: Path) -> None:
    """The time line of one transmit and one echo."""
    import matplotlib.pyplot as plt
    import numpy as np

    plt.rcParams.update({"svg.hashsalt": "time zero", "font.size": 10})
    figure, axes = plt.subplots(figsize=(10, 4.8), layout="constrained")
    spans = [
        (0.0, 1.1, "delay of\nthe element", "tab:orange"),
        (1.1, 1.6, "lens", "tab:green"),
        (1.6, 3.6, "way out", "0.6"),
        (3.6, 5.4, "way back", "0.6"),
        (5.4, 5.9, "lens", "tab:green"),
        (5.9, 6.6, "pulse\npeak time", "tab:red"),
    ]
    for start, stop, text, color in spans:
        axes.fill_between([start, stop], 1.0, 1.2, color=color, lw=0)
        axes.text((start + stop) / 2, 1.26, text, ha="center", va="bottom")
    for label, place in (("trigger\nt = 0", 0.0), ("element\nfires", 1.1), ("wave meets\nthe point", 3.6)):
        axes.plot([place, place], [0.9, 1.2], color="0.2", lw=1)
        axes.text(place, 0.86, label, ha="center", va="top")

    first, peak = 4.6, 6.6
    time = np.linspace(first, 9.0, 2000)
    axes.plot(time, 0.5 * np.exp(-(((time - peak) / 0.3) ** 2)) * np.cos(16 * (time - peak)), color="tab:blue", lw=1.2)
    axes.text(9.0, 0.1, "recorded trace", ha="right", va="bottom", color="tab:blue")
    axes.plot([peak, peak], [-0.85, 1.2], color="0.2", lw=0.8, ls=":")
    axes.annotate(
        "the echo peaks here:\nthis sample belongs to the point",
        xy=(peak, 0.5),
        xytext=(7.1, 0.85),
        va="center",
        arrowprops={"arrowstyle": "->", "color": "0.2"},
    )
    samples = np.arange(first, 9.01, 0.2)
    axes.plot(samples, np.full_like(samples, -0.85), "|", color="0.2", ms=9)
    for label, place in (("sample 0", first), ("sample n", peak)):
        axes.text(place, -1.0, label, ha="center", va="top")
    axes.plot([0, 0], [-0.98, -0.72], color="0.2", lw=1)
    for start, stop, text, height in ((0.0, first, "start time", -0.85), (first, peak, "n / sampling frequency", -1.4)):
        axes.annotate("", (stop, height), (start, height), arrowprops={"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0})
        axes.text((start + stop) / 2, height - 0.06, text, ha="center", va="top")
    axes.set(xlim=(-0.6, 9.3), ylim=(-1.75, 1.75), yticks=[], xticks=[], xlabel="time")
    axes.spines[["left", "right", "top"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)
    plt.close(figure)


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(readme(), encoding="utf-8")
    draw_time_zero(FOLDER / "time_zero.svg")
