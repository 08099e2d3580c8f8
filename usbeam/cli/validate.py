"""``usbeam validate``: everything that is wrong with files, at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from usbeam.cli.common import Json, result
from usbeam.errors import FileFormatError, UsbeamError


def validate(
    files: Annotated[list[Path], typer.Argument(help="Recordings, images or pairs files.", show_default=False)],
    full: Annotated[bool, typer.Option("--full", help="Read every stored byte: checksums, finite samples.")] = False,
    isolate: Annotated[
        bool,
        typer.Option("--isolate", help="Read in a child process with limits on memory and time: a crash is one error."),
    ] = False,
    json_output: Json = False,
) -> None:
    """Check files: each finding with importance, place and hint.

    Exit code 0: no error. 1: a file has an ERROR. 3: a file cannot be read at all (the others are still checked).
    """
    reports = [_report(file, full, isolate) for file in files]
    result({"files": reports}, json_output, _lines(reports))
    if any(report["error"] for report in reports):
        raise typer.Exit(FileFormatError.exit_code)
    if any(finding["importance"] == "ERROR" for report in reports for finding in report["findings"]):
        raise typer.Exit(1)


def _report(file: Path, full: bool, isolate: bool) -> dict[str, Any]:
    """What validation says of one file, in plain types; ``error`` is set where it cannot be read."""
    from usbeam.io import isolate as in_child
    from usbeam.io import validate as validate_here

    try:
        findings = (in_child.validate if isolate else validate_here)(file, full=full)
    except UsbeamError as error:
        return {"file": str(file), "error": str(error), "hint": error.hint, "findings": []}
    names = ("importance", "location", "message", "expected", "found", "hint")
    plain = [{name: value for name, value in dataclasses.asdict(each).items() if name in names} for each in findings]
    texts = [{**each, "line": str(finding)} for each, finding in zip(plain, findings, strict=True)]
    return {"file": str(file), "error": None, "hint": None, "findings": texts}


def _lines(reports: list[dict[str, Any]]) -> Iterator[str]:
    for report in reports:
        if report["error"]:
            yield report["error"]
            if report["hint"]:
                yield f"  hint: {report['hint']}"
            continue
        count = len(report["findings"])
        yield f"{report['file']}: " + ("nothing found" if not count else f"{count} finding(s)")
        for finding in report["findings"]:
            yield f"  {finding['line']}"
            if finding["hint"]:
                yield f"    hint: {finding['hint']}"
