"""Does a test notice when a sign is wrong? Each mutation is made in a copy of the package, and its test must fail.

    python benchmarks/mutations.py               # all of benchmarks/mutations.toml; prints Markdown
    python benchmarks/mutations.py uff           # those whose file's name contains this

A mutation is a file of the package, a piece of its text that is there exactly once, what replaces it, and the tests of
which at least one must fail. The tests are run once on the copy as it is, where all must pass.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("usbeam", "tests", "data_specs", "pyproject.toml", "benchmarks")


@dataclass(frozen=True)
class Mutation:
    """One wrong sign.

    Parameters
    ----------
    file
        Of the package.
    text, mutated
        What stands there, and what is put in its place.
    tests
        As pytest takes them.
    """

    file: str
    text: str
    mutated: str
    tests: tuple[str, ...]


def load(path: Path) -> list[Mutation]:
    """The mutations of a TOML file."""
    with path.open("rb") as file:
        rows = tomllib.load(file)["mutation"]
    return [Mutation(row["file"], row["text"], row["mutated"], tuple(row["tests"])) for row in rows]


def passes(copy: Path, tests: tuple[str, ...]) -> bool:
    """Whether all tests pass there; anything but passing and failing is an error."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{tests}: pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("only", nargs="?", default="")
    chosen = [each for each in load(Path(__file__).with_suffix(".toml")) if options.parse_args().only in each.file]
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
            else:
                shutil.copy(source, copy / name)
        wanted = tuple(dict.fromkeys(test for each in chosen for test in each.tests))
        if not passes(copy, wanted):
            raise SystemExit("some of these tests fail without any mutation")
        print("| file | text | mutated | noticed by |\n|---|---|---|---|")
        for each in chosen:
            path = copy / each.file
            whole = path.read_text(encoding="utf-8")
            if whole.count(each.text) != 1:
                raise SystemExit(f"{each.file}: {each.text!r} is there {whole.count(each.text)} times, not once")
            path.write_text(whole.replace(each.text, each.mutated), encoding="utf-8")
            noticed = not passes(copy, each.tests)
            path.write_text(whole, encoding="utf-8")
            survived += not noticed
            names = ", ".join(test.rpartition("::")[2] for test in each.tests)
            shown = names if noticed else f"**nothing** ({names})"
            print(
                f"| {Path(each.file).name} | `{each.text.strip()}` | `{each.mutated.strip()}` | {shown} |", flush=True
            )
    print(f"\n{len(chosen) - survived} of {len(chosen)} mutations were noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
