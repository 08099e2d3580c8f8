"""A comparison as data: every figure as CSV, and what they come to in plain types."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, TextIO

from usbeam.comparison.comparing import Comparison
from usbeam.comparison.methods import IDENTITY
from usbeam.comparison.statistics import Estimate
from usbeam.comparison.summary import COMPARED, OF_IMAGES, OF_PAIRS

COLUMNS = (
    *("image", "method", "setting", "parameters", "pair", "edge_ratio"),
    *("cnr", "control_cnr", "gcnr", "contrast_db", "mean_difference_db", "speckle_snr", "enl", "edge_width"),
    *OF_IMAGES,
    "seconds",
)
"""Of the CSV; in SI units and dB."""


def write_csv(comparison: Comparison, stream: TextIO) -> None:
    """One row for each image, setting and pair of regions; an absent figure is an empty field."""
    table = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
    table.writeheader()
    for image, results in comparison.results.items():
        for setting in (setting for sweep in comparison.sweeps for setting in sweep.settings):
            result = results[setting.label]
            for pair, figures in result.pairs.items():
                before, after = (each.pairs[pair].get("edge_width") for each in (results[IDENTITY], result))
                facts = {
                    "image": image,
                    "method": setting.method,
                    "setting": setting.label,
                    "parameters": json.dumps(dict(setting.parameters)),
                    "pair": pair,
                    "edge_ratio": after / before if before and after else None,
                    "seconds": result.seconds,
                }
                table.writerow({**facts, **figures, **result.whole})


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """All that a comparison comes to, in plain types."""
    return {
        "images": list(comparison.images),
        "pairs": list(comparison.pairs),
        "dynamic_range_db": comparison.dynamic_range,
        "methods": [
            {
                "method": row.setting.method,
                "curve": row.sweep.label,
                "setting": row.setting.label,
                "parameters": dict(row.setting.parameters),
                "control": row.sweep.is_control,
                **{name: _plain(row.figures.get(name)) for name in ("edge_ratio", *OF_PAIRS, *OF_IMAGES)},
                "at_edge_ratio": {
                    label: {name: _plain(found.get(name)) for name in COMPARED} for label, found in row.matched.items()
                },
                **{name: _plain(row.against_best.get(name)) for name in ("cnr_ratio", "gcnr_gain")},
                "unmatched": dict(row.unmatched),
                "tests": {
                    other: {name: dataclasses.asdict(test) for name, test in tests.items()}
                    for other, tests in row.tests.items()
                },
                "seconds": row.seconds,
            }
            for row in comparison.rows
        ],
        "definitions": definitions(comparison),
        "missing": missing(comparison),
    }


def definitions(comparison: Comparison) -> dict[str, Any]:
    """Figure -> domain -> definition and unit: linear methods and those for displayed images differ in the domain."""
    found: dict[str, Any] = {}
    for results in comparison.results.values():
        for result in results.values():
            for name, each in result.definitions.items():
                found.setdefault(name, {})[each["domain"]] = {key: each[key] for key in ("definition", "unit")}
    return found


def missing(comparison: Comparison) -> list[str]:
    """Why figures are missing: one line for each reason, with the settings and numbers of images that it concerns."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for results in comparison.results.values():
        for setting, result in results.items():
            # Without the pair, and without the numbers of the single case.
            whats = (f"{name.rpartition('.')[2]}: {why.partition(' (')[0]}" for name, why in result.absent.items())
            for what in dict.fromkeys(whats):
                counts[what][setting] += 1
    for row in comparison.rows:
        for why, count in row.unmatched.items():
            counts[f"no control at the same edge width: {why}"][row.setting.label] += count
    return [f"{what}: {_whom(comparison, found)}" for what, found in counts.items()]


def _whom(comparison: Comparison, counts: Mapping[str, int]) -> str:
    """Settings with numbers of images, or only the method where all of it is concerned."""
    n, found = len(comparison.images), list[str]()
    for sweep in comparison.sweeps:
        settings = {setting.label: counts.get(setting.label, 0) for setting in sweep.settings}
        if set(settings.values()) == {n}:
            found.append(sweep.label)
        else:
            found += [f"{setting} ({count} of {n} images)" for setting, count in settings.items() if count]
    return "all methods" if found == [sweep.label for sweep in comparison.sweeps] else ", ".join(found)


def _plain(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else dataclasses.asdict(found)
