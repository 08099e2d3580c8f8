"""Weights that come with usbeam: ``python -m benchmarks.zero_shot.shipping``, after the experiment has run.

Of each network the seed of the least validation loss is taken: test images choose nothing. The light ones are written
as they are, the others in half precision, each with its card, whose figures are those of the experiment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from usbeam import weights as shipped
from usbeam.train import Run, load_run, weights
from usbeam.train.run import WEIGHTS

from .__main__ import RESULTS
from .training import STRATEGIES

FULL = RESULTS / "full"
TITLES = {
    "unet": "U-Net of Li, Lu and Monkam",
    "unet-light": "Light U-Net of Li, Lu and Monkam",
    "looks": "Network for decorrelated looks",
    "looks-light": "Light network for decorrelated looks",
}
TISSUE = "Tissue: ellipses of other levels, gradients, layers, points."
TRAINED_ON = {
    "paper": "Each has an image from two transmitters about the middle, a sixth of all apart, and one from all. The "
    "recordings are simulated, of one machine: 64 elements over 40 mm, 7.5 MHz, every element fires alone, noise as "
    f"strong as the echoes in every channel. {TISSUE}",
    "looks": "Each has two oblique looks at a recording. The recordings are simulated, each of another machine: 4.5 to "
    "9 MHz but for 5.5 to 6.5, arrays of 18 to 40 mm, elements that fire alone, plane and diverging waves, noise as "
    f"strong as the echoes in every channel. {TISSUE}",
}
LIMITS = {
    "paper": "Trained on simulated recordings of one machine only. Behind filters at the same edge width: the "
    "method is here to be compared with.",
    "looks": "Trained on simulated recordings only. The difference of levels shrinks, and very faint and very small "
    "inclusions can be lost. An image is resampled so that a speckle has as many pixels as in the training.",
}
FIGURES = {
    "edge_ratio": "edge width over the original's",
    "cnr": "CNR",
    "gcnr": "gCNR",
    "mean_difference_db": "difference of levels [dB]",
    "faint_difference_db": "of faint circles [dB]",
    "level_error_db": "level error [dB]",
}


def best(model: str) -> Run:
    """The run of the least validation loss.

    Raises
    ------
    SystemExit
        If the experiment has not trained it.
    """
    folders = sorted(path.parent for path in FULL.glob(f"*/**/runs/{model} [0-9]*/{WEIGHTS}"))
    runs = [load_run(folder) for folder in folders]
    if not runs:
        raise SystemExit(f"no {model} in {FULL}; run python -m benchmarks.zero_shot first")
    return min(runs, key=lambda run: run.best.validation_loss)


def card(run: Run, results: Mapping[str, Mapping[str, Any]]) -> str:
    """What is to be known of a network, as Markdown.

    Parameters
    ----------
    run
        Of the network.
    results
        Geometry -> what the experiment wrote as JSON.
    """
    model, facts = run.config.model, run.facts
    strategy = STRATEGIES[model]
    spacing = " x ".join(f"{1e6 * each:.0f}" for each in facts["spacing"])
    lines = [
        f"# {model}: {TITLES[model]}",
        "",
        f"{facts['n_parameters']:,} parameters; seed {run.config.seed}; usbeam {facts['versions']['usbeam']}. For "
        f"images of {facts['dynamic_range_db']:g} dB in pixels of {spacing} um (depth x across).",
        "",
        f"**Trained on.** {facts['n_pairs']['training']} pairs, {run.history[-1].step} steps. {TRAINED_ON[strategy]}",
        "",
        "**Measured** on simulated test phantoms, mode fast, by `python -m benchmarks.zero_shot`:",
        "",
        *_table(f"{model}, fast, seed {run.config.seed}", results),
        "",
        f"**Limits.** {LIMITS[strategy]} Not a medical device: for research.",
    ]
    return "\n".join(lines) + "\n"


def _table(label: str, results: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    found = {name: each["sets"]["test"] for name, each in results.items() if label in each["sets"]["test"]}
    head = ["machine", *(f"{title}: original, network" for title in FIGURES.values())]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, rows in found.items():
        cells = (f"{_number(rows['identity'][key])}, {_number(rows[label][key])}" for key in FIGURES)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    """Write all of them into the package."""
    results = {
        path.parent.name.replace("_", " "): json.loads(path.read_text("utf-8"))
        for path in sorted(FULL.glob("*/zero_shot.json"))
    }
    total = 0
    for model in STRATEGIES:
        run = best(model)
        dtype = torch.float32 if model.endswith("light") else torch.float16
        weights.save(weights.load(run.weights)[0], shipped.path(model), run.facts, dtype=dtype)
        (shipped.FOLDER / f"{model}.md").write_text(card(run, results), encoding="utf-8")
        total += shipped.path(model).stat().st_size
        print(f"{model}: seed {run.config.seed}, {shipped.path(model).stat().st_size / 1e6:.2f} MB")
    print(f"together {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
